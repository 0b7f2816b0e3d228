//! Keepalive: peers that vanish, peers that answer only pings, idle connections.

use std::time::Duration;

use ringrail_codec::native::{Kind, Ping, Pong};

use crate::conf::TransportConf;
use crate::error::{CloseReason, RequestError};
use crate::sys::sim::Faults;

use super::cluster::Cluster;
use super::content::{Deed, Order};
use super::{actors, board, seeds, settings, wire};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// Half a minute of silence is too much; requests may take far longer.
fn patient() -> TransportConf {
    TransportConf {
        connection_timeout: Duration::from_secs(30),
        request_timeout: Duration::from_secs(1000),
        ..settings::plain()
    }
}

fn closing_idle() -> TransportConf {
    TransportConf {
        close_idle: true,
        ..patient()
    }
}

/// Why a connection ended, as a request of it was told.
fn reason_of(error: &RequestError) -> &CloseReason {
    match error {
        RequestError::Closed { reason, .. } => reason,
        error => panic!("{error:?}"),
    }
}

/// Silence is looked at every quarter of the timeout, and broken by a ping at half of it: it may have
/// lasted for three quarters when the peer vanishes.
fn assert_within(took_ns: u64, timeout: Duration) {
    let limit = timeout.as_nanos() as u64;
    let range = limit / 4..limit + limit / 4 + SECOND;
    assert!(range.contains(&took_ns), "{took_ns} ns, not in {range:?}");
}

#[test]
fn requests_to_a_peer_that_vanished_fail_and_the_key_is_named() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(patient(), patient());
        let clock = cluster.clock.clone();
        let waits = cluster.rng.below(100) * SECOND;
        cluster.run_for(waits);
        let asked: Vec<_> = (0..3)
            .map(|tag| {
                let order = Order::new(Deed::Defer, tag, 10);
                let (client, clock) = (client.clone(), clock.clone());
                cluster.spawn(actors::order(client, order, 100, clock))
            })
            .collect();
        cluster.until(|cluster| cluster.shards[0].board.debts() == 3);
        cluster.run_for(10 * MS);
        let (begun_ns, far) = (clock.now_ns(), cluster.rng.chance(0.5));
        cluster.ground.host(usize::from(far)).unplug();
        for asked in asked {
            let error = cluster.block_on(asked).expect_err("nobody is there");
            let reason = reason_of(&error);
            let CloseReason::Stalled { outstanding, .. } = reason else {
                panic!("{reason}");
            };
            assert_eq!(*outstanding, 3);
            let text = reason.to_string();
            assert!(
                text.contains("ringrail.transport.connectionTimeout"),
                "{text}"
            );
        }
        assert_within(clock.now_ns() - begun_ns, patient().connection_timeout);
        cluster.until(|cluster| {
            cluster
                .shards
                .iter()
                .all(|it| it.pump.local.conn_count() == 0)
        });
        cluster.finish();
    });
}

#[test]
fn a_connection_that_nobody_uses_is_kept_by_default_and_pings_hold_it() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(patient(), patient());
        cluster.run_for(3000 * SECOND);
        assert!(client.is_active());
        let clock = cluster.clock.clone();
        let order = Order::new(Deed::Reply, 1, 10);
        let outcome = cluster.block_on(actors::order(client, order, 100, clock));
        outcome.expect("it still works");
        cluster.finish();
    });
}

#[test]
fn an_idle_peer_that_vanished_is_noticed_though_nobody_asks() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(patient(), patient());
        cluster.run_for(SECOND);
        let begun_ns = cluster.clock.now_ns();
        cluster.ground.host(0).unplug();
        cluster.until(|_| !client.is_active());
        assert_within(
            cluster.clock.now_ns() - begun_ns,
            patient().connection_timeout,
        );
        cluster.finish();
    });
}

#[test]
fn a_connection_that_nobody_uses_is_closed_where_the_flag_says_so() {
    seeds::each(60, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let by_server = cluster.rng.chance(0.5);
        let client = match by_server {
            true => cluster.pair(closing_idle(), patient()),
            false => cluster.pair(patient(), closing_idle()),
        };
        let begun_ns = cluster.clock.now_ns();
        cluster.until(|cluster| {
            cluster
                .shards
                .iter()
                .all(|it| it.pump.local.conn_count() == 0)
        });
        assert!(!client.is_active());
        let limit = patient().connection_timeout;
        assert_within(cluster.clock.now_ns() - begun_ns + SECOND / 2, limit);
        cluster.finish();
    });
}

#[test]
fn a_connection_in_use_is_not_idle_whoever_asks_and_however_seldom() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(closing_idle(), closing_idle());
        let back = cluster.shards[0].board.peers().remove(0);
        let asking = match cluster.rng.chance(0.5) {
            true => client.clone(),
            false => back,
        };
        let clock = cluster.clock.clone();
        for tag in 0..20 {
            let wait = 10 * SECOND + cluster.rng.below(15 * SECOND);
            cluster.run_for(wait);
            let order = Order::new(Deed::Reply, tag, 10);
            let asked = actors::order(asking.clone(), order, 100, clock.clone());
            cluster.block_on(asked).expect("it is in use");
        }
        // A reply that takes its time is use as well.
        let order = Order::new(Deed::Defer, 99, 10);
        let asked = cluster.spawn(actors::order(asking, order, 100, clock));
        cluster.run_for(200 * SECOND);
        for shard in &cluster.shards {
            shard.board.settle();
        }
        cluster.block_on(asked).expect("the reply came at last");
        cluster.finish();
    });
}

/// A server by hand that answers pings, if anything.
fn a_silent_server(seed: u64, answers_pings: bool) -> (RequestError, u64) {
    let mut cluster = Cluster::simulated(seed, Faults::rough());
    let conf = TransportConf {
        request_timeout: Duration::from_secs(100),
        ..patient()
    };
    cluster.add_shard(conf);
    let (raw, client) = cluster.puppet_server(0, wire::limits());
    let begun_ns = cluster.clock.now_ns();
    let clock = cluster.clock.clone();
    let order = Order::new(Deed::Reply, 1, 10);
    let asked = cluster.spawn(actors::order(client.clone(), order, 100, clock.clone()));
    let mut pings = 0;
    while !asked.is_over() {
        cluster.run_for(SECOND / 4);
        for (header, body) in cluster.hear(raw) {
            if header.kind != Kind::Ping {
                continue;
            }
            let half = patient().connection_timeout.as_nanos() as u64 / 2;
            assert!(clock.now_ns() - begun_ns >= half, "a ping too early");
            pings += 1;
            let opaque = Ping::from_header(&header).expect("a ping").opaque;
            assert!(body.is_empty());
            if answers_pings {
                cluster.tell(raw, Pong { opaque }.header(), &[]);
            }
        }
    }
    assert!(pings > 0, "it was asked whether it lives");
    let error = asked.take().expect("it is over").expect_err("no answer");
    assert_eq!(client.is_active(), answers_pings);
    let took_ns = cluster.clock.now_ns() - begun_ns;
    cluster.finish();
    (error, took_ns)
}

#[test]
fn a_peer_that_answers_pings_alone_costs_the_request_and_not_the_connection() {
    seeds::each(40, |seed| {
        let (error, took_ns) = a_silent_server(seed, true);
        assert!(matches!(error, RequestError::TimedOut { .. }), "{error:?}");
        assert!(error.to_string().contains("requestTimeout"), "{error}");
        assert!((100 * SECOND..102 * SECOND).contains(&took_ns), "{took_ns}");
        let (error, took_ns) = a_silent_server(seed, false);
        assert!(matches!(reason_of(&error), CloseReason::Stalled { .. }));
        assert_within(took_ns, patient().connection_timeout);
    });
}

#[test]
fn a_ping_is_answered_with_what_it_carries_also_in_the_midst_of_a_body() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        cluster.add_shard(settings::plain());
        let addr = cluster.listen(0);
        let raw = cluster.puppet_client(&addr, wire::limits());
        let asked = Order::new(Deed::ReplyShared, 1, 3 << 20).request(0);
        let request = ringrail_codec::native::RpcRequest {
            id: 1,
            total_len: asked.len() as u64,
            deadline_us: 0,
        };
        cluster.tell(raw, request.header(asked.len() as u32), &asked);
        let opaque = cluster.rng.next_u64();
        cluster.tell(raw, Ping { opaque }.header(), &[]);
        let (mut came, mut answered) = (0, false);
        while !answered {
            for (header, _) in cluster.hear_some(raw) {
                came += header.body_len;
                if header.kind == Kind::Pong {
                    assert_eq!(header.arg, opaque);
                    answered = true;
                }
            }
        }
        assert!(came < 3 << 20, "it came behind the whole body");
        assert_eq!(board::read(&cluster.shards[0].board.opened), 1);
        cluster.finish();
    });
}
