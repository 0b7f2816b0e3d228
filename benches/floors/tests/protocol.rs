//! The line protocol: servers end with their stdin whatever happens, and the harness says what a
//! candidate did wrong.

use ringrail_floors::floor::Floor;
use ringrail_floors::harness::{Candidate, FloorCandidate, HarnessError, Run, Side, run_once};
use ringrail_floors::report::ServerReport;
use ringrail_floors::workload::{Length, Placement, Wait, Workload};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

const EXE: &str = env!("CARGO_BIN_EXE_ringrail-floors");

fn ping() -> Workload {
    Workload::ping_pong(64, Placement::SameCore, Wait::Parked, Length::Ops(10))
}

#[test]
fn a_server_ends_with_its_stdin_though_clients_are_connected() {
    for floor in [Floor::Blocking, Floor::Ring, Floor::RingEcho] {
        let mut server = FloorCandidate::new(floor, EXE)
            .server_cmd(&ping())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("built by cargo");
        let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
        let ready = lines.next().expect("a first line").expect("UTF-8");
        let addr = ready.strip_prefix("ready ").expect("ready ADDR");
        let idle = TcpStream::connect(addr).expect("it listens");
        let mut midway = TcpStream::connect(addr).expect("it listens");
        midway.write_all(&[0; 5]).expect("part of a header");
        drop(server.stdin.take());
        let report = lines.next().expect("a last line").expect("UTF-8");
        let report: ServerReport = serde_json::from_str(&report).expect("a report");
        assert_eq!(report.ops, Some(0));
        assert!(lines.next().is_none(), "nothing after the report");
        assert!(server.wait().expect("a child").success());
        drop((idle, midway));
    }
}

#[test]
fn a_role_that_is_not_understood_is_refused() {
    let run = |floor: &str, role: &str, workload: &str| {
        let mut command = FloorCandidate::new(Floor::Blocking, EXE).server_cmd(&ping());
        command
            .env("RINGRAIL_FLOOR", floor)
            .env("RINGRAIL_FLOOR_ROLE", role);
        command
            .env("RINGRAIL_FLOOR_WORKLOAD", workload)
            .stdin(Stdio::null());
        let output = command.output().expect("built by cargo");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let good = serde_json::to_string(&ping()).expect("plain data");
    assert!(run("cellar", "server", &good).contains("no floor is called \"cellar\""));
    assert!(run("ring", "butler", &good).contains("not server or client"));
    assert!(run("ring", "server", "{}").contains("reading the workload"));
    let zero = good.replace("\"conns\":1", "\"conns\":0");
    assert!(run("ring", "server", &zero).contains("conns is 0"));
}

/// Two shell scripts.
struct Scripts {
    server: &'static str,
    client: &'static str,
}

impl Candidate for Scripts {
    fn name(&self) -> &str {
        "scripts"
    }
    fn server_cmd(&self, _: &Workload) -> Command {
        sh(self.server)
    }
    fn client_cmd(&self, _: &Workload, _: &str) -> Command {
        sh(self.client)
    }
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

const SERVER: &str = r#"echo ready 127.0.0.1:1; cat; echo '{"cpu_s":0.5,"hits":3}'"#;
const CLIENT: &str = r#"echo '{"ops":1,"bytes":64,"elapsed_s":1,"cpu_s":1,"p50_us":1,"p99_us":1,"p999_us":1,"verified":true}'"#;

fn run(server: &'static str, client: &'static str) -> Result<(), HarnessError> {
    run_once(&Scripts { server, client }, &ping()).map(drop)
}

#[test]
fn any_program_can_be_a_candidate() {
    let scripts = Scripts {
        server: SERVER,
        client: CLIENT,
    };
    let Run { client, server, .. } =
        run_once(&scripts, &ping()).expect("they keep to the protocol");
    assert_eq!((client.ops, server.cpu_s), (1, 0.5));
    assert_eq!(server.extra["hits"], 3);
}

#[test]
fn what_a_candidate_does_wrong_is_said() {
    use HarnessError::{BadReport, Ended, Failed, NotReady};
    assert!(
        matches!(run("echo hello; cat", CLIENT), Err(NotReady { line, .. }) if line == "hello")
    );
    assert!(
        matches!(run("exit 3", CLIENT), Err(Ended { side: Side::Server, status, .. }) if status.code() == Some(3))
    );
    assert!(
        matches!(run(SERVER, "exit 4"), Err(Ended { side: Side::Client, status, .. }) if status.code() == Some(4))
    );
    assert!(matches!(
        run(SERVER, "echo '{}'"),
        Err(BadReport {
            side: Side::Client,
            ..
        })
    ));
    assert!(matches!(
        run("echo ready x; cat; echo 1", CLIENT),
        Err(BadReport {
            side: Side::Server,
            ..
        })
    ));
    let fails_late = r#"echo '{"ops":1,"bytes":1,"elapsed_s":1,"cpu_s":1,"p50_us":1,"p99_us":1,"p999_us":1,"verified":true}'; exit 5"#;
    assert!(matches!(
        run(SERVER, fails_late),
        Err(Failed {
            side: Side::Client,
            ..
        })
    ));
}

#[test]
fn a_failed_client_leaves_no_server_behind() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let pid_file = dir.path().join("pid");
    struct Writes(std::path::PathBuf);
    impl Candidate for Writes {
        fn name(&self) -> &str {
            "writes"
        }
        fn server_cmd(&self, _: &Workload) -> Command {
            // Ignores the end of its stdin, which a server must not.
            let mut command =
                sh(r#"echo $$ > "$PID_FILE"; echo ready 127.0.0.1:1; exec sleep 1000"#);
            command.env("PID_FILE", &self.0);
            command
        }
        fn client_cmd(&self, _: &Workload, _: &str) -> Command {
            sh("exit 1")
        }
    }
    assert!(run_once(&Writes(pid_file.clone()), &ping()).is_err());
    let pid = std::fs::read_to_string(pid_file).expect("it started");
    let is_alive = std::path::Path::new("/proc").join(pid.trim()).exists();
    assert!(!is_alive, "process {pid} is still there");
}

#[test]
fn a_client_that_breaks_the_rules_ends_only_its_own_connection() {
    for floor in [Floor::Blocking, Floor::Ring] {
        let floor = FloorCandidate::new(floor, EXE);
        let mut server = floor.server_cmd(&ping());
        server.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = server.spawn().expect("built by cargo");
        let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
        let ready = lines.next().expect("a first line").expect("UTF-8");
        let addr = ready.strip_prefix("ready ").expect("ready ADDR");
        let mut rude = TcpStream::connect(addr).expect("it listens");
        rude.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("room");
        let end = rude.read(&mut [0; 1]);
        assert!(matches!(end, Ok(0) | Err(_)), "closed without an answer");
        let polite = floor
            .client_cmd(&ping(), addr)
            .output()
            .expect("built by cargo");
        assert!(polite.status.success());
        drop(server.stdin.take());
        assert!(server.wait().expect("a child").success());
    }
}
