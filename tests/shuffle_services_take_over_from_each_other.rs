//! `ringrail shuffle-service` as a process: what it says, what it counts, how it ends, and that the next one goes on
//! where it has ended.
#![cfg(feature = "cli")]

#[path = "support/spark_shuffle.rs"]
mod spark_shuffle;

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use ringrail::codec::spark::shuffle::{FetchShuffleBlocks, IntLists, Message, StreamHandle};
use serde_json::Value;
use spark_shuffle::{APP, Client, Disk, EXEC, register_message};

struct Service {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Service {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ringrail"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("RINGRAIL_") || name.starts_with("SPARK_") {
                command.env_remove(&*name);
            }
        }
        command
            .args(["shuffle-service", "--json", "--shards", "2"])
            .args(args);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    fn signal(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fetch_one(client: &Client, shuffle: i32) -> Vec<u8> {
    let handle = client
        .ask(Message::FetchShuffleBlocks(FetchShuffleBlocks {
            app_id: APP,
            exec_id: EXEC,
            shuffle_id: shuffle,
            map_ids: (&[1i64][..]).into(),
            reduce_ids: IntLists::from(&[&[0][..]][..]),
            batch_fetch_enabled: false,
        }))
        .unwrap();
    let handle = StreamHandle::decode(&handle).unwrap();
    client.chunk(handle.stream_id, 0).unwrap()
}

/// An address that nothing listens on.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

fn properties(disk: &Disk) -> String {
    let file = disk.root.path().join("spark-defaults.conf");
    let dir = disk.root.path().display();
    let text = format!("# as Spark has it\nspark.local.dir  {dir}\nspark.executor.memory 4g\n");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_service_is_configured_as_sparks_is_counts_and_ends_when_told() {
    let disk = Disk::new();
    let block = disk.write_map(3, 1, &[70_000]);
    let file = properties(&disk);
    let args = ["--port", "0", "--properties-file", &file];
    let mut service = Service::start(&[&args[..], &["--metrics-addr", "127.0.0.1:0"]].concat());
    let told = service.next();
    assert_eq!(
        (&told["event"], &told["executors"]),
        (&"listening".into(), &0.into())
    );
    let client = Client::connect(told["addr"].as_str().unwrap());
    client
        .ask(register_message(EXEC, &disk.dir_names()).message())
        .unwrap();
    assert_eq!(fetch_one(&client, 3), block[0]);
    let page = metrics(told["metrics"].as_str().unwrap());
    for line in [
        "metrics_shuffleService_registeredExecutorsSize_Value{type=\"gauges\"} 1",
        "metrics_shuffleService_blockTransferRateBytes_Count{type=\"counters\"} 70000",
        "metrics_shuffleService_blockTransferRate_Count{type=\"counters\"} 1",
        "metrics_shuffleService_openBlockRequestLatencyMillis_Count{type=\"timers\"} 1",
        "metrics_shuffleService_numActiveConnections_Count{type=\"counters\"} 1",
        "ringrail_shuffle_requests_total{message=\"FetchShuffleBlocks\"} 1",
        "ringrail_shuffle_chunks_total{by=\"chunk\"} 1",
        "ringrail_shuffle_chunks_total{by=\"stream\"} 0",
        "ringrail_connections_active 1",
    ] {
        assert!(
            page.lines().any(|it| it == line),
            "{line} is not in\n{page}"
        );
    }
    service.signal();
    assert_eq!(service.next()["event"], "draining");
    let told = service.next();
    assert_eq!(
        (&told["event"], &told["bytes"]),
        (&"drained".into(), &70_000.into())
    );
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn the_next_service_takes_over_port_and_executors() {
    let disk = Disk::new();
    let block = disk.write_map(0, 1, &[100]);
    let file = properties(&disk);
    let metrics = free_address();
    let args = ["--metrics-addr", &metrics, "--properties-file", &file];
    let mut first = Service::start(&[&["--port", "0"], &args[..]].concat());
    let told = first.next();
    let address = told["addr"].as_str().unwrap();
    let client = Client::connect(address);
    client
        .ask(register_message(EXEC, &disk.dir_names()).message())
        .unwrap();
    let port = told["port"].to_string();
    // Before the first one knows of it; it waits for what that one holds.
    let mut second = Service::start(&[&["--port", &port], &args[..]].concat());
    assert_eq!(fetch_one(&client, 0), block[0]);
    first.signal();
    let told = second.next();
    assert_eq!(
        (&told["event"], &told["executors"]),
        (&"listening".into(), &1.into())
    );
    assert_eq!(told["addr"], address);
    assert_eq!(first.exit_code(), Some(0));
    assert_eq!(fetch_one(&Client::connect(address), 0), block[0]);
}

#[test]
fn a_service_that_was_killed_has_lost_nothing() {
    let disk = Disk::new();
    let block = disk.write_map(0, 1, &[100]);
    let file = properties(&disk);
    let args = ["--port", "0", "--properties-file", &file];
    let mut service = Service::start(&args);
    let told = service.next();
    let client = Client::connect(told["addr"].as_str().unwrap());
    client
        .ask(register_message(EXEC, &disk.dir_names()).message())
        .unwrap();
    service.child.kill().unwrap();
    service.child.wait().unwrap();
    let mut next = Service::start(&args);
    let told = next.next();
    assert_eq!(told["executors"], 1);
    let client = Client::connect(told["addr"].as_str().unwrap());
    assert_eq!(fetch_one(&client, 0), block[0]);
}
