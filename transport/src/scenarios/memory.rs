//! Pools that are too small for everything at once: everything comes all the same, a little later.

use std::time::Duration;

use crate::client::{ChunkOptions, TransportClient};
use crate::conf::TransportConf;
use crate::error::RequestError;
use crate::sys::sim::{Faults, Rng};

use super::actors::{self, Ended};
use super::cluster::Cluster;
use super::content::{ChunkName, Deed, Order};
use super::ground::Ground;
use super::{seeds, settings, tasks};

const MS: u64 = 1_000_000;

/// Half a MiB for data, as much for control traffic.
pub(super) fn tiny() -> TransportConf {
    TransportConf {
        pool_budget: 1 << 20,
        pool_reserve: 512 << 10,
        recv_buffers: 4,
        recv_buffer_len: 4 << 10,
        ..settings::plain()
    }
}

fn a_hint(rng: &mut Rng, len: usize) -> Option<u64> {
    match rng.below(4) {
        0 => None,
        1 => Some(0),
        2 => Some(rng.below(300_000)),
        _ => Some(len as u64),
    }
}

/// Fetches a chunk, checks it, and keeps it for a while.
async fn fetch_and_keep(
    client: TransportClient,
    (name, index): (ChunkName, u32),
    hint: Option<u64>,
    keep_ns: u64,
    clock: tasks::Clock,
) -> Ended {
    let options = ChunkOptions {
        len_hint: hint,
        ..ChunkOptions::default()
    };
    let id = name.stream_id();
    let ask = || client.fetch_chunk(id, index, &options);
    let got = actors::when_not_busy(&clock, ask).await?;
    actors::expect("chunk", &got, &name.bytes(index));
    clock.sleep(keep_ns).await;
    Ok(())
}

pub(super) fn many_chunks<G: Ground>(
    cluster: &mut Cluster<G>,
    server: TransportConf,
    client: TransportConf,
) {
    let client = cluster.pair(server, client);
    let mut joins = Vec::new();
    for index in 0..40 {
        let rng = &mut cluster.rng;
        let len = rng.cut(200_000);
        let name = ChunkName {
            from_file: rng.chance(0.5),
            len,
        };
        let (hint, keep_ns) = (a_hint(rng, len), rng.below(2) * rng.below(30 * MS));
        let clock = cluster.clock.clone();
        let fetch = fetch_and_keep(client.clone(), (name, index), hint, keep_ns, clock);
        joins.push(cluster.spawn(fetch));
    }
    for (index, outcome) in cluster.block_on(tasks::all(joins)).into_iter().enumerate() {
        outcome.unwrap_or_else(|error| panic!("chunk {index}: {error}"));
    }
    cluster.assert_at_rest();
}

#[test]
fn a_client_with_little_memory_gets_every_chunk() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        many_chunks(&mut cluster, settings::plain(), tiny());
        cluster.finish();
    });
}

#[test]
fn a_server_with_little_memory_serves_every_chunk() {
    seeds::each(40, |seed| {
        let faults = Faults {
            cold: 0.8,
            ..Faults::rough()
        };
        let mut cluster = Cluster::simulated(seed, faults);
        many_chunks(&mut cluster, tiny(), settings::plain());
        cluster.finish();
    });
}

#[test]
fn little_memory_is_enough_on_the_kernel_s_ring() {
    for seed in 0..4 {
        let mut cluster = Cluster::real(seed);
        many_chunks(&mut cluster, tiny(), tiny());
        cluster.finish();
    }
}

/// The first chunks fill the server's look ahead without credit; memory is promised to the last.
#[test]
fn chunks_without_memory_do_not_hold_up_those_with() {
    seeds::each(8, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), tiny());
        let mut joins = Vec::new();
        for index in 0..32 {
            let name = ChunkName {
                from_file: false,
                len: 60_000 + index as usize,
            };
            let hint = if index < 20 {
                Some(0)
            } else {
                Some(name.len as u64)
            };
            let clock = cluster.clock.clone();
            joins.push(cluster.spawn(fetch_and_keep(
                client.clone(),
                (name, index),
                hint,
                0,
                clock,
            )));
        }
        for (index, outcome) in cluster.block_on(tasks::all(joins)).into_iter().enumerate() {
            outcome.unwrap_or_else(|error| panic!("chunk {index}: {error}"));
        }
        cluster.finish();
    });
}

#[test]
fn a_chunk_that_never_fits_fails_at_once_and_holds_up_nobody() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), tiny());
        let name = ChunkName {
            from_file: false,
            len: 700 << 10,
        };
        let hint = cluster.rng.chance(0.5).then_some(name.len as u64);
        let options = ChunkOptions {
            len_hint: hint,
            ..ChunkOptions::default()
        };
        let begun_ns = cluster.clock.now_ns();
        let large = client.fetch_chunk(name.stream_id(), 0, &options);
        let small = ChunkName {
            from_file: false,
            len: 100_000,
        };
        let clock = cluster.clock.clone();
        let small = cluster.spawn(fetch_and_keep(client, (small, 1), None, 0, clock));
        let error = cluster.block_on(large).expect_err("it does not fit");
        assert!(error.to_string().contains("poolBudget"), "{error}");
        cluster.block_on(small).expect("the other one fits");
        assert!(cluster.clock.now_ns() - begun_ns < 2000 * MS);
        cluster.assert_at_rest();
        cluster.finish();
    });
}

fn many_kept_replies<G: Ground>(cluster: &mut Cluster<G>, client: TransportClient) {
    let kept = cluster.block_on(async move {
        let mut kept = Vec::new();
        for tag in 0..150 {
            let order = Order::new(Deed::Reply, tag, 100);
            let reply = client.send_rpc(order.request(50)).await;
            kept.push((order, reply.expect("a reply")));
        }
        kept
    });
    for (order, reply) in kept {
        actors::expect("kept reply", &reply, &order.reply());
    }
}

#[test]
fn small_replies_that_are_kept_do_not_keep_receive_buffers() {
    seeds::each(10, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let conf = TransportConf {
            recv_buffer_len: 16 << 10,
            ..tiny()
        };
        let client = cluster.pair(settings::plain(), conf);
        many_kept_replies(&mut cluster, client);
        cluster.finish();
    });
}

/// Requests of all sizes, some of them too large for what is free: those fail as busy, and succeed
/// when they are sent again.
#[test]
fn requests_that_find_no_memory_are_refused_and_not_lost() {
    seeds::each(30, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(tiny(), tiny());
        let mut joins = Vec::new();
        for tag in 0..25 {
            let rng = &mut cluster.rng;
            let order = Order::new(Deed::Reply, tag, rng.cut(150_000));
            let (len, clock) = (rng.cut(150_000), cluster.clock.clone());
            joins.push(cluster.spawn(actors::order(client.clone(), order, len, clock)));
        }
        for (tag, outcome) in cluster.block_on(tasks::all(joins)).into_iter().enumerate() {
            outcome.unwrap_or_else(|error| panic!("request {tag}: {error}"));
        }
        cluster.assert_at_rest();
        cluster.finish();
    });
}

/// Each side's memory is held by answers whose credit lies behind requests that find no memory there.
#[test]
fn two_sides_without_memory_do_not_wait_for_each_other() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(tiny(), tiny());
        let back = cluster.shards[0].board.peers().remove(0);
        let mut joins = Vec::new();
        for tag in 0..40 {
            let rng = &mut cluster.rng;
            let order = Order::new(Deed::Reply, tag, rng.cut(150_000));
            let asking = [&client, &back][rng.below(2) as usize].clone();
            let (len, clock) = (rng.cut(40_000), cluster.clock.clone());
            joins.push(cluster.spawn(actors::order(asking, order, len, clock)));
        }
        for (tag, outcome) in cluster.block_on(tasks::all(joins)).into_iter().enumerate() {
            outcome.unwrap_or_else(|error| panic!("request {tag}: {error}"));
        }
        assert!(cluster.clock.now_ns() < 10_000 * MS, "it went by timeouts");
        cluster.assert_at_rest();
        cluster.finish();
    });
}

/// Memory that is promised and never used is free again when the request ends.
#[test]
fn promised_memory_comes_back_however_a_request_ends() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), tiny());
        let at_first = cluster.shards[1].pump.local.pool.stats().leased_bytes;
        let options = ChunkOptions {
            len_hint: Some(200_000),
            timeout: Some(Duration::from_millis(50)),
            ..ChunkOptions::default()
        };
        // One that does not exist, one that is dropped, one that is much shorter.
        let missing = client.fetch_chunk(u64::MAX >> 8, 0, &options);
        let error = cluster.block_on(missing).expect_err("there is none");
        assert!(matches!(error, RequestError::Remote { .. }), "{error}");
        let name = |len| ChunkName {
            from_file: false,
            len,
        };
        drop(client.fetch_chunk(name(200_000).stream_id(), 0, &options));
        let short = client.fetch_chunk(name(10).stream_id(), 0, &options);
        let got = cluster.block_on(short).expect("it is there");
        actors::expect("chunk", &got, &name(10).bytes(0));
        drop(got);
        cluster.assert_at_rest();
        let now = cluster.shards[1].pump.local.pool.stats().leased_bytes;
        assert!(now <= at_first + (16 << 10), "{at_first}, then {now}");
        cluster.finish();
    });
}
