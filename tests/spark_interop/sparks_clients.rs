//! Spark's own TransportClient against a ringrail server: every kind of request, every way to fail.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use ringrail::transport::spark::{Secret, ServerAuthentication, ServerMode};

use crate::support::echo::{CHUNK_LEN, EchoServer, SOURCE_LEN, file, memory};
use crate::support::{Bare, Conf, digest, kinds, must, pattern, peer, refusal};

fn connect(server: &EchoServer) -> Bare {
    Bare::connect(server.port, "app", None, &Conf::new())
}

fn everything_works(server: &EchoServer, client: &Bare) {
    for size in [0, 1, 15, 16, 1000, 16_384, 70_000, 1 << 20, (5 << 20) + 3] {
        let answer = must(&client.call("rpc").arg("size", size).arg("seed", size));
        let expected = digest(&pattern(size as u64, size));
        assert_eq!(
            (&answer["len"], &answer["sha256"]),
            (&size.into(), &expected.into())
        );
    }
    let answer = must(
        &client
            .call("rpc")
            .arg("text", "in time")
            .arg("timeout_ms", 10_000),
    );
    assert_eq!(answer["len"], 7);
    for (stream, index) in [(0, 0), (3, 1), (i64::MAX, 2)] {
        let call = client
            .call("chunk")
            .arg("stream", stream)
            .arg("index", index);
        let chunks = SOURCE_LEN / CHUNK_LEN;
        let offset = (stream as u64 + index as u64) % chunks * CHUNK_LEN;
        let expected = digest(&pattern(offset, CHUNK_LEN as usize));
        assert_eq!(must(&call)["sha256"], expected, "{stream} {index}");
    }
    for (offset, len) in [(0, 0), (5, 1), (70_001, 3), (1, 2_000_000)] {
        let call = client
            .call("stream")
            .arg("stream", format!("{offset}/{len}"));
        let expected = digest(&pattern(offset, len));
        assert_eq!(must(&call)["sha256"], expected, "{offset}/{len}");
    }
    assert_eq!(
        must(&client.call("stream").arg("stream", "empty"))["len"],
        0
    );
    for size in [0, 5, 70_000, 3 << 20] {
        let call = client
            .call("upload")
            .arg("meta", "take it")
            .arg("size", size);
        let expected = format!("{size} {}", digest(&pattern(0, size)));
        let expected: String = expected.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(must(&call)["hex"], expected, "{size}");
    }
    let before = server.one_ways();
    for size in [0, 10, 100_000] {
        must(&client.call("oneway").arg("size", size));
    }
    // An answer comes after what was sent before it on the same connection.
    must(&client.call("rpc").arg("text", "all there?"));
    assert_eq!(server.one_ways() - before, 3);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn every_kind_of_request_is_answered() {
    for source in [memory(), file()] {
        let server = EchoServer::start(source, None);
        everything_works(&server, &connect(&server));
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn every_kind_of_authentication_works() {
    for (engine, conf) in kinds() {
        let mode = engine.map_or(ServerMode::Sasl, |engine| ServerMode::Engine {
            engine,
            sasl_fallback: false,
        });
        let auth = ServerAuthentication::shared(mode, Secret::from("the secret".to_owned()));
        let server = EchoServer::start(file(), Some(auth));
        let client = Bare::connect(server.port, "app", Some("the secret"), &conf);
        everything_works(&server, &client);
        let wrong = Bare::new();
        refusal(&wrong.connecting(server.port, "app", Some("another"), &conf));
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn failures_carry_their_words_and_end_nothing() {
    let server = EchoServer::start(memory(), None);
    let client = connect(&server);
    let error = refusal(&client.call("rpc").arg("text", "!fail so it is: naïve"));
    assert!(error.contains("so it is: na\u{ef}ve"), "{error}");
    let error = refusal(&client.call("chunk").arg("stream", 1).arg("index", -1));
    assert!(error.contains("no chunk"), "{error}");
    let error = refusal(&client.call("stream").arg("stream", "nobody"));
    assert!(error.contains("Stream 'nobody' was not found."), "{error}");
    let call = client
        .call("upload")
        .arg("meta", "!fail")
        .arg("size", 100_000);
    let error = refusal(&call);
    assert!(
        error.contains("the upload is not wanted after all"),
        "{error}"
    );
    everything_works(&server, &client);
}

/// As Spark's own server: it cannot know how much body is still to come.
#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn an_upload_refused_at_its_start_fails() {
    let server = EchoServer::start(memory(), None);
    let client = connect(&server);
    let call = client
        .call("upload")
        .arg("meta", "!refuse")
        .arg("size", 10_000_000);
    refusal(&call);
    everything_works(&server, &connect(&server));
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn thousands_of_requests_from_many_clients_are_told_apart() {
    let server = EchoServer::start(memory(), None);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let client = connect(&server);
                let call = client.call("rpcs").arg("count", 3000).arg("size", 9000);
                let answer = must(&call.arg("in_flight", 100));
                assert_eq!(answer["good"], 3000, "{answer}");
            });
        }
    });
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn the_end_of_a_connection_fails_what_is_outstanding() {
    let server = EchoServer::start(memory(), None);
    let client = connect(&server);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| refusal(&client.call("rpc").arg("text", "!never"))))
            .collect();
        // They are sent before this one, or fail at once: the outcome is the same.
        thread::sleep(Duration::from_millis(200));
        refusal(&client.call("rpc").arg("text", "!close"));
        for outcome in waiting {
            outcome.join().expect("each has failed");
        }
    });
    let active = peer().call(&client.call("active"));
    assert_eq!(active.expect("an answer")["active"], false);
}

/// Lengths and types that Spark's decoder throws at; the connection ends, the others do not notice.
#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn bad_frames_end_their_connection_alone() {
    let server = EchoServer::start(memory(), None);
    let client = connect(&server);
    let bad: [&[u8]; 5] = [
        &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3],
        &[0, 0, 0, 0, 0, 0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 9, 13, 0, 0, 0, 0, 0, 0, 0],
        &[
            0, 0, 0, 0, 0, 0, 0, 0x14, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0,
        ],
    ];
    for frame in bad {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        let limit = Some(Duration::from_secs(20));
        socket.set_read_timeout(limit).expect("a time limit");
        // A one-way message first, so that it is plain which protocol this is.
        let hello = [0, 0, 0, 0, 0, 0, 0, 16, 9, 0, 0, 0, 3, 1, 2, 3];
        socket.write_all(&[&hello, frame].concat()).expect("room");
        let mut answer = Vec::new();
        // The end of the connection, or a reset: what matters is that it does not stay open.
        match socket.read_to_end(&mut answer) {
            Ok(_) => assert!(answer.is_empty(), "{frame:?} was answered with {answer:?}"),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{frame:?}"),
        }
    }
    everything_works(&server, &client);
}
