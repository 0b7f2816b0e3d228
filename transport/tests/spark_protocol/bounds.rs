//! Bounds: peers that ask too much, read too little, or go away; the end under load.

use std::time::{Duration, Instant};

use ringrail_transport::TransportConf;
use ringrail_transport::client::ChunkOptions;

use crate::clients::connect;
use crate::raw::{Got, Raw, chunk, one_way, rpc, stream, upload};
use crate::server::{Seen, server, start};
use crate::support::content;

fn small() -> TransportConf {
    let mut conf = TransportConf::default();
    conf.limits.max_outstanding = 16;
    conf
}

/// Waits until `done`, for as long as a slow machine may need.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_peer_that_asks_more_than_it_may_waits_and_loses_nothing() {
    let server = start(small(), None);
    let mut peer = Raw::connect(server.port());
    // So many stay unanswered that nothing more is read.
    let late: Vec<u8> = (0..16).flat_map(|id| rpc(id, b"late")).collect();
    peer.send(&late);
    peer.send(&[rpc(100, b"waits"), one_way(b"too")].concat());
    assert_eq!(server.seen.recv().unwrap(), Seen::ClientId(None));
    let heard = server.seen.recv_timeout(Duration::from_millis(200));
    assert!(heard.is_err(), "{heard:?}");
    // Another connection has room, and lets the first go on.
    let mut other = Raw::connect(server.port());
    assert_eq!(other.ask(&rpc(1, b"now")), Got::rpc_reply(1, b"now"));
    let mut got: Vec<Got> = (0..17).map(|_| peer.get()).collect();
    got.sort_by_key(|it| it.rest.clone());
    for (id, got) in got.iter().take(16).enumerate() {
        assert_eq!(*got, Got::rpc_reply(id as i64, b"better late"));
    }
    assert_eq!(got[16], Got::rpc_reply(100, b"waits"));
}

#[test]
fn a_peer_that_asks_and_never_reads_holds_a_bounded_amount() {
    let conf = TransportConf {
        pool_budget: 96 << 20,
        ..TransportConf::default()
    };
    let server = start(conf, None);
    let mut deaf = Raw::connect(server.port());
    deaf.socket
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let asked: Vec<u8> = (0..1000).flat_map(|n| rpc(n, &[7; 4000])).collect();
    let mut sent = 0usize;
    // Until the server reads no more, and the socket is full.
    while sent < 1 << 30 {
        match std::io::Write::write(&mut deaf.socket, &asked) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    assert!(sent < 1 << 30, "everything was taken");
    let mut good = Raw::connect(server.port());
    assert_eq!(good.ask(&rpc(1, b"a")), Got::rpc_reply(1, b"a"));
    assert_eq!(
        good.ask(&chunk(1 << 20, 0)),
        Got::chunk(1 << 20, 0, &content(0, 1 << 20))
    );
}

#[test]
fn peers_that_announce_bodies_and_never_send_them_stop_nobody() {
    let conf = TransportConf {
        pool_budget: 112 << 20,
        progress_timeout: Duration::from_secs(2),
        ..TransportConf::default()
    };
    let server = start(conf, None);
    let claim = &rpc(7, &[0; 1 << 20])[..121];
    let mut liars: Vec<Raw> = (0..150).map(|_| Raw::connect(server.port())).collect();
    for liar in &mut liars {
        liar.send(claim);
    }
    let mut good = Raw::connect(server.port());
    let body = content(3, 1 << 20);
    for id in 0..3 {
        assert_eq!(good.ask(&rpc(id, &body)), Got::rpc_reply(id, &body));
    }
    for liar in &mut liars {
        let patience = Some(Duration::from_secs(20));
        liar.socket.set_read_timeout(patience).unwrap();
        let read = std::io::Read::read(&mut liar.socket, &mut [0; 8]);
        assert!(!matches!(&read, Ok(1..)), "{read:?}");
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        assert!(
            !read.is_err_and(|error| timed_out(&error)),
            "it is still open"
        );
    }
    assert_eq!(good.ask(&rpc(9, &body)), Got::rpc_reply(9, &body));
}

#[test]
fn a_reader_that_is_behind_holds_its_stream_back_and_gets_all_of_it() {
    let server = server();
    let (context, client) = connect(&server, None);
    let mut reader = client.stream_blocking("30000000", 0).expect("asked");
    let first = reader.blocking_next().expect("a piece").expect("there");
    std::thread::sleep(Duration::from_millis(200));
    let metrics = context.engine().metrics();
    let received = metrics.bytes_in;
    assert!(
        received < 8 << 20,
        "{received} bytes came for one that was taken"
    );
    let mut all = first.to_vec();
    while let Some(piece) = reader.blocking_next() {
        all.extend_from_slice(&piece.expect("a piece"));
    }
    assert!(all == content(0, 30_000_000));
}

#[test]
fn the_end_of_a_connection_fails_what_waits_on_it() {
    let server = server();
    let (_context, client) = connect(&server, None);
    let waits = client.send_rpc("hold");
    drop(waits);
    let rpc = client.send_rpc("late");
    let there = client.send_rpc("there").wait();
    assert_eq!(there.expect("a reply")[..], b"there"[..]);
    let chunks: Vec<_> = (0..20)
        .map(|n| client.fetch_chunk(8 << 20, n, &ChunkOptions::default()))
        .collect();
    client.close();
    rpc.wait().expect_err("closed");
    let failed = chunks
        .into_iter()
        .filter(|_| true)
        .map(|chunk| chunk.wait());
    assert!(failed.filter(Result::is_err).count() > 0);
    let inactive = server
        .seen
        .iter()
        .take(2)
        .any(|seen| seen == Seen::Inactive);
    assert!(inactive, "the server's handler is told");
}

#[test]
fn a_connection_cut_anywhere_leaves_the_server_whole() {
    let server = server();
    let script = [
        rpc(1, b"abc"),
        chunk(100_000, 0),
        stream("70000"),
        upload(2, b"m", &[5; 40_000]),
        rpc(3, &[6; 40_000]),
    ]
    .concat();
    for cut in (1..script.len()).filter(|cut| *cut < 200 || cut % 4001 == 0) {
        let mut peer = Raw::connect(server.port());
        peer.send(&script[..cut]);
        drop(peer);
    }
    let mut good = Raw::connect(server.port());
    assert_eq!(good.ask(&rpc(1, b"a")), Got::rpc_reply(1, b"a"));
    wait_until("connections of the dead are given up", || {
        server.context.engine().metrics().connections_active == 1
    });
}

/// To Spark's clients a failure is final, and the end of a connection a reason to ask again.
#[test]
fn a_drain_answers_what_it_has_and_refuses_nothing_with_a_failure() {
    let conf = TransportConf {
        drain_timeout: Duration::from_secs(1),
        ..TransportConf::default()
    };
    let server = start(conf, None);
    let mut peer = Raw::connect(server.port());
    peer.send(&rpc(1, b"late"));
    peer.send(&rpc(2, b"there"));
    assert_eq!(peer.get(), Got::rpc_reply(2, b"there"));
    let (context, transport) = (server.context.clone(), server.server);
    let engine = context.engine().clone();
    let drains = std::thread::spawn(move || transport.drain());
    std::thread::sleep(Duration::from_millis(100));
    peer.send(&[rpc(3, b"now"), chunk(100, 0)].concat());
    drop(drains);
    drop(engine);
    // The late answer never comes, so the drain's time ends it: without an answer to what came too late.
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut peer.socket, &mut rest);
    assert!(rest.is_empty(), "{rest:?}");
}

/// For Spark's clients a failed chunk is final, so a peer that requests more bodies than the shard has
/// room for is disconnected, and others are served.
#[test]
fn a_peer_that_takes_all_room_for_bodies_loses_its_connection_alone() {
    let conf = TransportConf {
        max_transfers: 8,
        ..TransportConf::default()
    };
    let server = start(conf, None);
    let mut greedy = Raw::connect(server.port());
    let asked: Vec<u8> = (0..20).flat_map(|n| chunk(8 << 20, n)).collect();
    greedy.send(&asked);
    wait_until("the connection is closed", || {
        server.context.engine().metrics().connections_active == 0
    });
    let mut came = Vec::new();
    // The end may be a reset: not all of it was read.
    let _ = std::io::Read::read_to_end(&mut greedy.socket, &mut came);
    assert!(came.len() < 20 * (8 << 20), "{} bytes", came.len());
    let mut good = Raw::connect(server.port());
    for n in 0..10 {
        assert_eq!(
            good.ask(&chunk(1 << 20, n)),
            Got::chunk(1 << 20, n, &content(n as u64, 1 << 20))
        );
    }
}
