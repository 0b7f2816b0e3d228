//! The beginning of connections: peers that speak something else, nothing, too little or too slowly.

use ringrail_codec::native::{Kind, RpcRequest};

use crate::error::ConnectError;
use crate::sys::sim::{Faults, Rng};

use super::cluster::Cluster;
use super::content::{Deed, Order};
use super::ground::Ground;
use super::{actors, seeds, settings, wire};

const SECOND_NS: u64 = 1_000_000_000;

/// Sees that the server still serves others.
fn assert_alive<G: Ground>(cluster: &mut Cluster<G>, addr: &crate::sys::socket::Addr) {
    let client = cluster.connect(1, addr);
    let clock = cluster.clock.clone();
    let order = Order::new(Deed::Reply, 1, 100);
    let outcome = cluster.block_on(actors::order(client, order, 200, clock));
    outcome.expect("others are served");
}

fn server_and_client<G: Ground>(cluster: &mut Cluster<G>) -> crate::sys::socket::Addr {
    for _ in 0..2 {
        cluster.add_shard(settings::plain());
    }
    cluster.listen(0)
}

fn foreign_hello(rng: &mut Rng) -> (Vec<u8>, &'static [u8]) {
    match rng.below(5) {
        0 => (
            b"GET / HTTP/1.1\r\nHost: there\r\n\r\n".to_vec(),
            b"HTTP/1.1 400",
        ),
        1 => (
            [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 50]].concat(),
            &[0x15, 3, 3],
        ),
        2 => (
            b"\0\0\0\0\0\0\0\x18\x03\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x03ABC".to_vec(),
            b"RINGNOPE",
        ),
        3 => {
            let mut hello = wire::hello(wire::limits());
            // Another version, or another format of archives.
            hello[if rng.chance(0.5) { 8 } else { 16 }] ^= 0x40;
            (hello, b"RINGNOPE")
        }
        _ => {
            let len = 12 + rng.below(3000) as usize;
            let mut noise: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
            noise[0] = 0xff;
            (noise, b"RINGNOPE")
        }
    }
}

pub(super) fn a_foreign_client<G: Ground>(cluster: &mut Cluster<G>) {
    let addr = server_and_client(cluster);
    cluster.add_raw();
    let (bytes, answer) = foreign_hello(&mut cluster.rng);
    cluster.raws[0].connect(&addr);
    cluster.until(|cluster| cluster.raws[0].is_connected());
    cluster.raws[0].send(bytes);
    cluster.until(|cluster| cluster.raws[0].ended);
    let got = &cluster.raws[0].received;
    assert!(
        got.starts_with(answer),
        "{:?}",
        String::from_utf8_lossy(got)
    );
    assert_alive(cluster, &addr);
}

#[test]
fn who_speaks_something_else_is_told_so() {
    seeds::each(60, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        a_foreign_client(&mut cluster);
        cluster.finish();
    });
    for seed in 0..10 {
        let mut cluster = Cluster::real(seed);
        a_foreign_client(&mut cluster);
        cluster.finish();
    }
}

/// A client that connects to something that says `bytes`, and then perhaps nothing more.
fn outcome_of_talking_to(seed: u64, bytes: &[u8], end: bool) -> ConnectError {
    let mut cluster = Cluster::simulated(seed, Faults::rough());
    let client = cluster.add_shard(settings::plain());
    cluster.add_raw();
    let addr = cluster.raws[0].listen("10.0.0.1:0");
    let connecting = cluster.connecting(client, &addr);
    let join = cluster.spawn(connecting);
    cluster.until(|cluster| cluster.raws[0].is_connected());
    cluster.raws[0].send(bytes.to_vec());
    if end {
        cluster.until(|cluster| cluster.raws[0].has_sent());
        cluster.raws[0].end_sending();
    }
    cluster.until(|_| join.is_over());
    let error = join.take().expect("it is over").expect_err("no connection");
    cluster.finish();
    error
}

#[test]
fn a_client_says_what_it_met_instead_of_a_server() {
    seeds::each(40, |seed| {
        let http = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        let error = outcome_of_talking_to(seed, http, true);
        assert!(error.to_string().contains("HTTP"), "{error}");
        let error = outcome_of_talking_to(seed, &[0xff; 100], false);
        assert!(matches!(error, ConnectError::Handshake { .. }), "{error:?}");
        let error = outcome_of_talking_to(seed, b"", false);
        assert!(error.to_string().contains("handshakeTimeout"), "{error}");
        let error = outcome_of_talking_to(seed, b"", true);
        assert!(error.to_string().contains("closed"), "{error}");
    });
}

#[test]
fn a_hello_cut_anywhere_opens_nothing_and_ends() {
    let hello = wire::hello(wire::limits());
    for cut in 0..hello.len() {
        for end in [false, true] {
            let mut cluster = Cluster::simulated(cut as u64, Faults::rough());
            let addr = server_and_client(&mut cluster);
            cluster.add_raw();
            cluster.raws[0].connect(&addr);
            cluster.until(|cluster| cluster.raws[0].is_connected());
            let begun_ns = cluster.clock.now_ns();
            cluster.raws[0].send(hello[..cut].to_vec());
            if end {
                cluster.until(|cluster| cluster.raws[0].has_sent());
                cluster.raws[0].end_sending();
            }
            cluster.until(|cluster| cluster.raws[0].ended);
            let took_ns = cluster.clock.now_ns() - begun_ns;
            let limit_ns = settings::plain().handshake_timeout.as_nanos() as u64;
            assert_eq!(took_ns < limit_ns, end, "cut at {cut}: {took_ns} ns");
            assert!(took_ns < limit_ns + SECOND_NS, "cut at {cut}: {took_ns} ns");
            assert_eq!(super::board::read(&cluster.shards[0].board.opened), 0);
            assert_alive(&mut cluster, &addr);
            cluster.finish();
        }
    }
}

#[test]
fn a_hello_that_dribbles_too_slowly_runs_out_of_time() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let addr = server_and_client(&mut cluster);
        cluster.add_raw();
        cluster.raws[0].connect(&addr);
        cluster.until(|cluster| cluster.raws[0].is_connected());
        let begun_ns = cluster.clock.now_ns();
        for byte in wire::hello(wire::limits()) {
            cluster.raws[0].send(vec![byte]);
            cluster.run_for(SECOND_NS / 2);
            if cluster.raws[0].ended {
                break;
            }
        }
        assert!(
            cluster.raws[0].ended,
            "a byte every half second is not enough"
        );
        let limit_ns = settings::plain().handshake_timeout.as_nanos() as u64;
        assert!(cluster.clock.now_ns() - begun_ns < limit_ns + SECOND_NS);
        assert_alive(&mut cluster, &addr);
        cluster.finish();
    });
}

#[test]
fn a_peer_that_dribbles_every_byte_is_served() {
    seeds::each(10, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let addr = server_and_client(&mut cluster);
        cluster.add_raw();
        cluster.raws[0].connect(&addr);
        cluster.until(|cluster| cluster.raws[0].is_connected());
        let order = Order::new(Deed::Reply, seed, 777);
        let body = order.request(333);
        let request = RpcRequest {
            id: 5,
            total_len: body.len() as u64,
            deadline_us: 0,
        };
        let request = wire::frame(request.header(body.len() as u32), &body);
        for byte in wire::hello(wire::limits()).into_iter().chain(request) {
            cluster.raws[0].send(vec![byte]);
            cluster.run_for(100_000);
        }
        cluster.until(|cluster| !wire::frames(&cluster.raws[0].received).is_empty());
        let (header, body) = wire::frames(&cluster.raws[0].received).remove(0);
        assert_eq!((header.kind, header.id), (Kind::RpcReply, 5));
        actors::expect("reply", &body, &order.reply());
        cluster.finish();
    });
}

#[test]
fn a_connect_that_is_never_answered_runs_out_of_time() {
    let faults = Faults {
        connect_hang: 1.0,
        ..Faults::default()
    };
    let mut cluster = Cluster::simulated(1, faults);
    let addr = server_and_client(&mut cluster);
    let begun_ns = cluster.clock.now_ns();
    let connecting = cluster.connecting(1, &addr);
    let error = cluster.block_on(connecting).expect_err("nobody answers");
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    assert!(
        error.to_string().contains("connectionCreationTimeout"),
        "{error}"
    );
    let limit_ns = settings::plain().connect_timeout.as_nanos() as u64;
    assert!(cluster.clock.now_ns() - begun_ns < limit_ns + SECOND_NS);
    cluster.finish();
}

#[test]
fn a_connection_that_is_not_awaited_any_more_is_closed() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let addr = server_and_client(&mut cluster);
        drop(cluster.connecting(1, &addr));
        cluster.until(|cluster| super::board::read(&cluster.shards[1].board.closed) == 1);
        cluster.until(|cluster| cluster.shards[0].pump.local.conn_count() == 0);
        cluster.finish();
    });
}
