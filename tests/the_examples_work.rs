//! The programs of `docs/examples` do what they say.
#![allow(
    dead_code,
    reason = "each example has a main of its own, which is not called here"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[path = "../docs/examples/callbacks_on_a_shard.rs"]
mod callbacks_on_a_shard;
#[path = "../docs/examples/chunks_of_a_file.rs"]
mod chunks_of_a_file;
#[path = "../docs/examples/echo_from_threads.rs"]
mod echo_from_threads;
#[path = "../docs/examples/echo_from_tokio.rs"]
mod echo_from_tokio;
#[path = "../docs/examples/futures_on_a_shard.rs"]
mod futures_on_a_shard;
#[path = "../docs/examples/hosted_shard.rs"]
mod hosted_shard;
#[path = "../docs/examples/rpc_call_backs.rs"]
mod rpc_call_backs;
#[path = "../docs/examples/rpc_deadlines.rs"]
mod rpc_deadlines;
#[path = "../docs/examples/rpc_failover.rs"]
mod rpc_failover;
#[path = "../docs/examples/rpc_fan_out.rs"]
mod rpc_fan_out;
#[path = "../docs/examples/rpc_files.rs"]
mod rpc_files;
#[path = "../docs/examples/rpc_hello.rs"]
mod rpc_hello;
#[path = "../docs/examples/rpc_interceptors.rs"]
mod rpc_interceptors;
#[path = "../docs/examples/rpc_message_types.rs"]
mod rpc_message_types;
#[path = "../docs/examples/rpc_room.rs"]
mod rpc_room;
#[path = "../docs/examples/rpc_streams.rs"]
mod rpc_streams;
#[path = "../docs/examples/rpc_supervision.rs"]
mod rpc_supervision;
#[path = "../docs/examples/rpc_threads.rs"]
mod rpc_threads;
#[path = "../docs/examples/rpc_timers.rs"]
mod rpc_timers;
#[path = "../docs/examples/rpc_web_service.rs"]
mod rpc_web_service;
#[path = "../docs/examples/smallest.rs"]
mod smallest;
#[path = "../docs/examples/spark_protocol.rs"]
mod spark_protocol;

/// This test's program again, as one of the processes of the smallest example.
fn smallest_process(uri: Option<&str>) -> Command {
    let mut process = Command::new(std::env::current_exe().unwrap());
    let test = [
        "--exact",
        "a_process_of_the_smallest",
        "--ignored",
        "--nocapture",
    ];
    process.args(test).stdout(Stdio::piped());
    match uri {
        Some(uri) => process.env("SMALLEST_URI", uri),
        None => process.env_remove("SMALLEST_URI"),
    };
    process
}

#[test]
#[ignore = "the_smallest_is_two_processes runs it"]
fn a_process_of_the_smallest() {
    smallest::run(std::env::var("SMALLEST_URI").ok()).unwrap();
}

/// Ends a process that would not end by itself.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_smallest_is_two_processes() {
    let mut server = Ends(smallest_process(None).spawn().unwrap());
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    // The test harness may have begun the line.
    let uri = lines.map_while(Result::ok).find_map(|line| {
        let at = line.find("rail://counter@")?;
        Some(line[at..].to_owned())
    });
    let asked = smallest_process(uri.as_deref()).output().unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    assert!(asked.status.success(), "{said}");
    for part in [
        "sum: 2\n",
        "too much",
        "TimedOut",
        "50ms",
        "CounterClient::with_timeout",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let program = include_str!("../docs/examples/smallest.rs");
    assert!(program.lines().count() <= 45);
    let guide = include_str!("../docs/rpc.md");
    for program in [
        program,
        include_str!("../benches/peers/examples/smallest.rs"),
    ] {
        assert!(guide.contains(program));
        assert!(guide.contains(&format!("{} lines:", program.lines().count())));
    }
}

#[test]
fn one_handler_serves_both_protocols() {
    assert_eq!(spark_protocol::either("hello").unwrap(), ["hello"; 2]);
    assert_eq!(spark_protocol::encrypted(300_000).unwrap(), 300_000);
}

#[test]
fn threads_get_their_echoes() {
    assert_eq!(echo_from_threads::run(3, 50).unwrap(), 150);
}

#[test]
fn tasks_get_their_echoes() {
    assert_eq!(echo_from_tokio::run(100).unwrap(), 101);
}

#[test]
fn callbacks_ask_on_until_all_is_answered() {
    for (calls, in_flight) in [(1, 1), (3, 8), (1000, 16)] {
        assert_eq!(callbacks_on_a_shard::run(calls, in_flight).unwrap(), calls);
    }
}

#[test]
fn futures_on_a_shard_ask_rest_and_give_up() {
    let (right, error) = futures_on_a_shard::run(100).unwrap();
    assert_eq!(right, 100);
    assert!(error.contains("20ms"), "{error}");
}

#[test]
fn a_hosted_shard_reads_a_file_while_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes");
    std::fs::write(&path, "three\n").unwrap();
    assert_eq!(hosted_shard::run(&path).unwrap(), b"three\n");
    let missing = hosted_shard::run(&dir.path().join("missing"));
    assert!(missing.unwrap_err().to_string().contains("No such file"));
}

#[test]
fn a_file_comes_in_chunks() {
    for len in [0, 1, 512 << 10, (2 << 20) + 12_345] {
        let content: Vec<u8> = (0..len).map(|at: usize| (at * 31 / 7) as u8).collect();
        let (got, _) = chunks_of_a_file::run(&content).unwrap();
        assert!(got == content, "{len} bytes");
    }
}

#[test]
fn everybody_is_greeted() {
    let greetings = rpc_hello::run(&["Ada", "Grace"]).unwrap();
    let wanted = [
        "Hello, Ada! You are number 1.",
        "Hello, Grace! You are number 2.",
    ];
    assert_eq!(greetings, wanted);
}

#[test]
fn each_message_type_has_its_handler() {
    let sums = rpc_message_types::run(&[("a", 1), ("b", 2), ("a", 3)]);
    assert_eq!(sums.unwrap(), (5, 0));
}

#[test]
fn who_does_not_listen_is_called_back() {
    assert_eq!(rpc_call_backs::run(5).unwrap(), [1, 2, 3, 4, 5]);
}

#[test]
fn files_are_given_out() {
    let content: Vec<u8> = (0..500_000).map(|at: usize| (at * 31 / 7) as u8).collect();
    assert!(rpc_files::run(&content).unwrap() == content);
}

#[test]
fn threads_ask_and_block() {
    let (highest, error) = rpc_threads::run(4, 50).unwrap();
    assert_eq!(highest, 200);
    assert!(
        error.ends_with("This timeout is controlled by tickets.patience"),
        "{error}"
    );
}

#[test]
fn an_endpoint_that_panics_is_made_anew() {
    assert_eq!(rpc_supervision::run().unwrap(), (1, 0));
}

#[test]
fn leases_end_by_timers() {
    let (first, later) = rpc_timers::run(Duration::from_millis(100)).unwrap();
    assert_eq!(first, ["ada"]);
    assert!(later.is_empty());
}

#[test]
fn a_sender_waits_for_room() {
    let (written, refused) = rpc_room::run(300).unwrap();
    assert_eq!(written, 300);
    assert!(refused > 0);
}

#[test]
fn a_deadline_goes_through_three_endpoints() {
    let (given, late) = rpc_deadlines::run(Duration::from_millis(300)).unwrap();
    assert!(given.is_some_and(|ms| ms <= 300), "{given:?}");
    // The default of an ask is two minutes: nobody waited for that.
    assert_eq!(late.code(), ringrail::rpc::FailureCode::DeadlineExceeded);
}

#[test]
fn work_goes_on_where_a_server_ends() {
    let [with_all, without_one] = rpc_failover::run(&["ada", "grace", "barbara"], 60).unwrap();
    assert!(with_all.values().eq(&[10, 10, 10]), "{with_all:?}");
    assert_eq!(without_one.values().sum::<usize>(), 30);
    assert!(
        without_one.keys().eq(&["barbara", "grace"]),
        "{without_one:?}"
    );
}

#[test]
fn interceptors_let_in_and_count() {
    use ringrail::rpc::FailureCode::{Busy, Unauthorized};

    let (counts, asks) = rpc_interceptors::run().unwrap();
    let codes = asks
        .iter()
        .map(|ask| ask.as_ref().err().map(|error| error.code()));
    assert!(
        codes.eq([None, Some(Unauthorized), None, Some(Busy)]),
        "{asks:?}"
    );
    assert_eq!(counts["vault.read answered"], 2);
    assert_eq!(counts["vault.destroy refused"], 1);
}

#[test]
fn a_stream_is_read_as_far_as_it_is_wanted() {
    let (found, looked_at) = rpc_streams::run("99", 12).unwrap();
    assert_eq!(found[..3], ["line 99", "line 199", "line 299"]);
    assert_eq!(found.len(), 12);
    assert!(looked_at < 10_000, "{looked_at}");
}

#[test]
fn a_thousand_are_asked_at_once() {
    assert_eq!(rpc_fan_out::run(1000).unwrap(), 999_000);
}

#[test]
fn http_requests_become_asks() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (_env, routes) = rpc_web_service::service().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        for hits in 1..=3 {
            let mut peer = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = b"GET /hits/home HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            peer.write_all(request).await.unwrap();
            let mut answer = String::new();
            peer.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{hits}")), "{answer}");
        }
    });
}
