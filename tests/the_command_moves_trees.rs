//! `ringrail serve` and `ringrail fetch` as processes: what they print, how they end, what they
//! leave behind when one of them goes away.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{assert_same, data, make_tree, write};

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn ringrail() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("ringrail"))
}

/// A server process; dropping it kills it.
struct Server {
    child: Child,
    uri: String,
}

impl Server {
    fn start(dir: &Path, more: &[&str]) -> Self {
        let mut command = ringrail();
        command
            .arg("serve")
            .arg(dir)
            .args(["--no-pin", "--shards", "1"])
            .args(more);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let uri = line.trim_end().strip_prefix("listening on ");
        let uri = uri.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, uri }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: exit code and stderr.
    fn wait(mut self) -> (Option<i32>, String) {
        let status = wait(&mut self.child);
        let mut text = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        (status, text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < PATIENCE, "a process does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn local(dir: &Path) -> Server {
    Server::start(dir, &["--listen", "127.0.0.1:0"])
}

fn fetch(uri: &str, to: &Path, more: &[&str]) -> Output {
    ringrail()
        .args(["fetch", uri, "--retry-wait", "0.01", "-o"])
        .arg(to)
        .args(more)
        .output()
        .unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_tree_moves_and_the_summary_says_so() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(from.path(), 4 << 20);
    let server = local(from.path());
    assert!(
        server.uri.starts_with("rail://127.0.0.1:"),
        "{}",
        server.uri
    );
    let output = fetch(&server.uri, &to.path().join("copy"), &[]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(" files, ") && text.contains("GB/s"), "{text}");
    assert_same(from.path(), &to.path().join("copy"));
}

#[test]
fn the_result_can_be_json() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(from.path(), "dir/with space", 5000);
    let server = local(from.path());
    let uri = format!("{}/dir/with%20space", server.uri);
    let output = fetch(&uri, &to.path().join("file"), &["--json"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["ok"], &json["files"], &json["bytes"]),
        (&true.into(), &1.into(), &5000.into())
    );
    let digest = blake3::hash(&data("dir/with space", 5000))
        .to_hex()
        .to_string();
    assert_eq!(json["blake3"], digest.as_str());

    let missing = fetch(&format!("{}/none", server.uri), to.path(), &["--json"]);
    assert_eq!(code(&missing), Some(1));
    let json: Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert!(
        json["error"]
            .as_str()
            .unwrap()
            .contains("there is no none here"),
        "{json}"
    );
}

#[test]
fn unix_sockets_and_checksums_off_move_the_same_bytes() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(from.path(), 1 << 20);
    write(from.path(), "large", 20 << 20);
    let socket = to.path().join("r.sock");
    let listen = format!("unix:{}", socket.display());
    let server = Server::start(from.path(), &["--no-checksum", "--listen", &listen]);
    assert_eq!(server.uri, format!("rail+unix://{}", socket.display()));
    let output = fetch(
        &server.uri,
        &to.path().join("copy"),
        &["--quiet", "--chunk", "1MiB"],
    );
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout, b"", "quiet");
    assert_same(from.path(), &to.path().join("copy"));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0, Some(0));
    assert!(!socket.exists(), "the socket's file goes with the server");
}

#[test]
fn files_that_fail_are_named_and_counted() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(from.path(), "good", 10);
    write(from.path(), "bad", 10);
    fs::create_dir(to.path().join("bad")).unwrap();
    let server = local(from.path());
    let output = fetch(&server.uri, to.path(), &[]);
    assert_eq!(code(&output), Some(3));
    let text = stderr(&output);
    assert!(
        text.contains("bad") && text.contains("a directory is in the way"),
        "{text}"
    );
    assert_eq!(fs::read(to.path().join("good")).unwrap(), data("good", 10));
}

#[test]
fn a_destination_that_cannot_be_written_has_a_code_of_its_own() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(from.path(), "file", 10);
    fs::write(to.path().join("plain"), "").unwrap();
    let server = local(from.path());
    let output = fetch(&server.uri, &to.path().join("plain/below"), &[]);
    assert_eq!(code(&output), Some(5), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("cannot make the directory"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn no_server_is_said_at_once() {
    let to = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let output = fetch(&format!("rail://{address}"), to.path(), &[]);
    assert_eq!(code(&output), Some(4));
    assert!(
        stderr(&output).contains("Connection refused"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_port_in_use_is_said_to_be() {
    let from = tempfile::tempdir().unwrap();
    let server = local(from.path());
    let address = server.uri.strip_prefix("rail://").unwrap();
    let output = ringrail()
        .arg("serve")
        .arg(from.path())
        .args(["-l", address])
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(1));
    assert_eq!(output.stdout, b"");
    assert!(stderr(&output).contains("in use"), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_served_is_said_to_be() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("file"), "").unwrap();
    for (name, why) in [("none", "No such file"), ("file", "Not a directory")] {
        let output = ringrail()
            .arg("serve")
            .arg(temp.path().join(name))
            .output()
            .unwrap();
        assert_eq!(code(&output), Some(1));
        let text = stderr(&output);
        assert!(
            text.contains("cannot serve") && text.contains(why),
            "{text}"
        );
    }
}

/// A file that takes a while: 16 KiB at a time.
const SLOWLY: [&str; 8] = [
    "--connections",
    "1",
    "--in-flight",
    "1",
    "--chunk",
    "16KiB",
    "--retries",
    "1",
];

const LARGE: u64 = 256 << 20;

fn large(dir: &Path) {
    fs::create_dir(dir).unwrap();
    fs::File::create(dir.join("large"))
        .unwrap()
        .set_len(LARGE)
        .unwrap();
}

/// Starts a slow fetch.
fn begin_slow_fetch(uri: &str, to: &Path) -> Child {
    let mut command = ringrail();
    command
        .args(["fetch", uri, "--retry-wait", "0.01", "-o"])
        .arg(to)
        .args(SLOWLY);
    begin(command, to)
}

/// Starts a fetch and waits until it has begun to write.
fn begin(mut command: Command, to: &Path) -> Child {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while fs::read_dir(to.join(".ringrail-fetch")).map_or(0, Iterator::count) == 0 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the fetch has ended before it was disturbed"
        );
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

fn end_of(child: Child) -> Output {
    let mut child = child;
    wait(&mut child);
    child.wait_with_output().unwrap()
}

fn lose_the_server(signal: Signal, code_of_server: Option<i32>) {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    large(&from);
    let server = local(&from);
    let child = begin_slow_fetch(&server.uri, &to);
    server.signal(signal);
    assert_eq!(server.wait().0, code_of_server);
    let output = end_of(child);
    assert_eq!(code(&output), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("the server is gone"),
        "{}",
        stderr(&output)
    );
    assert!(!to.join("large").exists(), "no half file under its name");

    let server = local(&from);
    let output = fetch(&server.uri, &to, &[]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_same(&from, &to);
}

#[test]
fn a_killed_server_leaves_no_half_file_and_the_next_fetch_succeeds() {
    lose_the_server(Signal::KILL, None);
}

#[test]
fn a_server_drains_on_sigterm_with_a_fetch_under_way() {
    lose_the_server(Signal::TERM, Some(0));
}

#[test]
fn an_idle_server_ends_on_sigint() {
    let from = tempfile::tempdir().unwrap();
    let server = local(from.path());
    server.signal(Signal::INT);
    let (code, said) = server.wait();
    // Where io_uring is forbidden, a line says so.
    let mut said = said
        .lines()
        .filter(|line| !line.contains("shards use epoll"));
    assert_eq!((code, said.next()), (Some(0), None));
}

#[test]
fn a_killed_fetch_is_gone_on_with() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    large(&from);
    let server = local(&from);
    let mut child = begin_slow_fetch(&server.uri, &to);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!to.join("large").exists());
    let output = fetch(&server.uri, &to, &["--json"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_same(&from, &to);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        json["bytes"].as_u64().unwrap() + json["bytes_resumed"].as_u64().unwrap(),
        LARGE
    );
    assert!(!to.join(".ringrail-fetch").exists());
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    large(&from);
    let server = local(&from);
    server.signal(Signal::STOP);
    let hurry = ["--timeout", "1", "--connect-timeout", "1", "--retries", "0"];
    let output = fetch(&server.uri, &to, &hurry);
    assert_eq!(code(&output), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no handshake"),
        "{}",
        stderr(&output)
    );

    server.signal(Signal::CONT);
    let mut command = ringrail();
    command
        .args(["fetch", &server.uri, "-o"])
        .arg(&to)
        .args(SLOWLY)
        .args(&hurry[..4]);
    let child = begin(command, &to);
    server.signal(Signal::STOP);
    let output = end_of(child);
    assert_eq!(code(&output), Some(4), "{}", stderr(&output));
    assert!(!to.join("large").exists());
    server.signal(Signal::CONT);
    assert_eq!(code(&fetch(&server.uri, &to, &[])), Some(0));
    assert_same(&from, &to);
}

#[test]
fn a_name_that_the_file_system_does_not_take_is_said_to_be_too_long() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(from.path(), "file", 10);
    let server = local(from.path());
    let uri = format!("{}/file", server.uri);
    let output = fetch(&uri, &to.path().join("n".repeat(256)), &[]);
    assert_eq!(code(&output), Some(5));
    assert!(
        stderr(&output).contains("no name or path so long"),
        "{}",
        stderr(&output)
    );
}
