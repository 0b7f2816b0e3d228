//! Calls whose bodies travel in slices, in both directions, and the small ones that overtake them.

use crate::client::TransportClient;
use crate::conf::TransportConf;
use crate::error::RequestError;
use crate::sys::sim::{Faults, Link, Rng};

use super::cluster::Cluster;
use super::content::{Deed, Order};
use super::ground::Ground;
use super::tasks::{self, Join};
use super::{actors, seeds, settings};

const MS: u64 = 1_000_000;

/// Lengths around those at which a body is sent another way.
fn an_edge(rng: &mut Rng, conf: &TransportConf) -> usize {
    let slice = conf.slice_len as usize;
    let edges = [
        0,
        conf.inline_max,
        conf.exact_min,
        conf.recv_buffer_len,
        slice,
        2 * slice,
        5 * slice,
        slice + conf.limits.initial_credit as usize,
    ];
    let edge = edges[rng.below(edges.len() as u64) as usize];
    (edge + 1).saturating_sub(rng.below(3) as usize)
}

pub(super) fn bodies_of_edge_lengths<G: Ground>(cluster: &mut Cluster<G>) {
    let server = settings::any(&mut cluster.rng);
    let client = settings::any(&mut cluster.rng);
    let forth = cluster.pair(server.clone(), client.clone());
    let back = cluster.shards[0].board.peers().remove(0);
    cluster.settle_often(2 * MS);
    let mut joins = Vec::new();
    for tag in 0..24 {
        let rng = &mut cluster.rng;
        let (asking, conf) = match rng.chance(0.5) {
            true => (&forth, &client),
            false => (&back, &server),
        };
        let deeds = [Deed::Reply, Deed::ReplyShared, Deed::Defer];
        let deed = deeds[rng.below(3) as usize];
        let order = Order::new(deed, tag, an_edge(rng, conf));
        let (len, clock) = (an_edge(rng, conf), cluster.clock.clone());
        joins.push(cluster.spawn(actors::order(asking.clone(), order, len, clock)));
    }
    for (tag, outcome) in cluster.block_on(tasks::all(joins)).into_iter().enumerate() {
        outcome.unwrap_or_else(|error| panic!("call {tag}: {error}"));
    }
    cluster.assert_at_rest();
}

#[test]
fn calls_of_any_length_are_answered_in_both_directions() {
    seeds::each(150, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        bodies_of_edge_lengths(&mut cluster);
        cluster.finish();
    });
}

#[test]
fn sliced_calls_work_on_the_kernel_s_ring() {
    for seed in 0..6 {
        let mut cluster = Cluster::real(seed);
        bodies_of_edge_lengths(&mut cluster);
        cluster.finish();
        let mut cluster = Cluster::real(seed);
        one_way_messages(&mut cluster);
        cluster.finish();
    }
}

/// Bytes per second of a slow link, and what its sockets hold.
const RATE: u64 = 10_000_000;
const BUFFER: usize = 16 << 10;

fn large_calls(
    cluster: &Cluster<super::ground::Simulated>,
    ends: [&TransportClient; 2],
) -> Vec<Join<actors::Ended>> {
    let joins = ends.into_iter().enumerate().map(|(at, end)| {
        let order = Order::new(Deed::ReplyShared, 1000 + at as u64, 1 << 20);
        let (end, clock) = (end.clone(), cluster.clock.clone());
        cluster.spawn(actors::order(end, order, 1 << 20, clock))
    });
    joins.collect()
}

/// A small call waits for what is with the kernel already, and for one portion: not for the bodies.
#[test]
fn small_calls_overtake_large_bodies_in_both_directions() {
    seeds::each(25, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        cluster.world().set_link(Link {
            bytes_per_sec: Some(RATE),
            send_buffer_len: BUFFER,
            recv_buffer_len: BUFFER,
            ..Link::default()
        });
        let forth = cluster.pair(settings::plain(), settings::plain());
        let back = cluster.shards[0].board.peers().remove(0);
        let large = large_calls(&cluster, [&forth, &back]);
        cluster.run_for(20 * MS);
        // Both sockets and one portion (4 KiB), each way, and as much again for what is rough.
        let bytes = 2 * (2 * BUFFER + (4 << 10)) as u64;
        let limit_ns = 2 * bytes * (1_000_000_000 / RATE) + 10 * MS;
        for tag in 0..40 {
            let asking = [&forth, &back][cluster.rng.below(2) as usize].clone();
            let order = Order::new(Deed::Reply, tag, 50);
            let begun_ns = cluster.clock.now_ns();
            let clock = cluster.clock.clone();
            let asked = cluster.block_on(actors::order(asking, order, 100, clock));
            asked.expect("a reply");
            let took_ns = cluster.clock.now_ns() - begun_ns;
            let all_over = large.iter().all(Join::is_over);
            assert!(took_ns < limit_ns || all_over, "call {tag}: {took_ns} ns");
        }
        let over = large.iter().filter(|join| join.is_over()).count();
        assert_eq!(
            over, 0,
            "the large ones take a tenth of a second and more each way"
        );
        for outcome in cluster.block_on(tasks::all(large)) {
            outcome.expect("the large ones come as well");
        }
        cluster.assert_at_rest();
        cluster.finish();
    });
}

pub(super) fn one_way_messages<G: Ground>(cluster: &mut Cluster<G>) {
    let server = settings::any(&mut cluster.rng);
    let client = settings::any(&mut cluster.rng);
    let forth = cluster.pair(server, client.clone());
    let mut sent = Vec::new();
    for tag in 0..20 {
        let len = an_edge(&mut cluster.rng, &client);
        let message = Order::new(Deed::Reply, tag, 0).request(len);
        while let Err(error) = cluster.on_shard(1, &forth, |it| it.send(&message)) {
            assert!(actors::is_busy(&error), "{error}");
            cluster.run_for(MS);
        }
        sent.push(tag);
    }
    cluster.assert_at_rest();
    let board = std::sync::Arc::clone(&cluster.shards[0].board);
    cluster.until(|_| board.one_ways().len() == sent.len());
    let mut came = board.one_ways();
    came.sort_unstable();
    assert_eq!(came, sent);
}

#[test]
fn messages_of_any_length_come_once_and_whole() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        one_way_messages(&mut cluster);
        cluster.finish();
    });
}

#[test]
fn a_large_call_that_is_retracted_at_any_time_leaves_nothing() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let forth = cluster.pair(
            settings::any(&mut Rng::new(seed)),
            settings::any(&mut Rng::new(!seed)),
        );
        let back = cluster.shards[0].board.peers().remove(0);
        for tag in 0..12 {
            let rng = &mut cluster.rng;
            let asking = [&forth, &back][rng.below(2) as usize];
            let (reply_len, len) = (rng.cut(200_000), rng.cut(200_000));
            let order = Order::new(Deed::ReplyShared, tag, reply_len);
            let asked = asking.send_rpc(order.request(len));
            let wait = rng.below(3 * MS);
            cluster.run_for(wait);
            drop(asked);
        }
        cluster.assert_at_rest();
        let clock = cluster.clock.clone();
        let order = Order::new(Deed::Reply, 99, 100_000);
        let asked = cluster.block_on(actors::order(forth, order, 100_000, clock));
        asked.expect("the connection stays");
        cluster.assert_at_rest();
        cluster.finish();
    });
}

/// Bodies beyond what the other side takes, or could ever hold.
#[test]
fn a_body_that_is_too_long_fails_alone_and_names_the_limit() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let mut modest = settings::plain();
        modest.limits.max_rpc_len = 100_000;
        let small = TransportConf {
            pool_budget: 1 << 20,
            pool_reserve: 512 << 10,
            recv_buffers: 4,
            recv_buffer_len: 4 << 10,
            ..settings::plain()
        };
        let modest_first = cluster.rng.chance(0.5);
        let peer = if modest_first { modest } else { small };
        let forth = cluster.pair(peer, settings::plain());
        let back = cluster.shards[0].board.peers().remove(0);
        let (key, len) = match modest_first {
            true => ("maxRpcLen", 100_001),
            false => ("poolBudget", 600_000),
        };
        let clock = cluster.clock.clone();
        let ask = |client: &TransportClient, reply_len, len| {
            let order = Order::new(Deed::ReplyShared, 1, reply_len);
            actors::order(client.clone(), order, len, clock.clone())
        };
        // A request that it does not take, and a reply.
        let calls = [ask(&forth, 10, len), ask(&back, len, 100)];
        for call in calls {
            let error = cluster.block_on(call).expect_err("it is too long");
            assert!(error.to_string().contains(key), "{error}");
            assert!(!error.is_retryable(), "{error:?}");
            assert!(!matches!(error, RequestError::Closed { .. }));
        }
        let calls = [ask(&forth, 100, 50_000), ask(&back, 50_000, 100)];
        for call in calls {
            cluster.block_on(call).expect("the connection stays");
        }
        cluster.assert_at_rest();
        cluster.finish();
    });
}
