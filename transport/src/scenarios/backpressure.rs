//! Peers that send faster than they are handled: each is held back by its own socket, and takes no more of
//! the pool than its share.
//!
//! Handling costs virtual time here ([`Simulated::charge_frames`](super::ground::Simulated::charge_frames)):
//! where it costs none, a shard that never stops receiving keeps up with everybody.

use std::time::Duration;

use bytes::Bytes;
use ringrail_codec::native::OneWay;

use crate::buf::LeaseMut;
use crate::client::{ChunkOptions, TransportClient};
use crate::conf::TransportConf;
use crate::shard::conn::rx::PORTION_LEN;
use crate::sys::sim::{Faults, Link};

use super::cluster::Cluster;
use super::content::{ChunkName, Deed, Order};
use super::ground::{Ground, Simulated};
use super::{actors, seeds, settings, wire};

const MS: u64 = 1_000_000;

/// Time that the server takes for a frame.
const FRAME_COST_NS: u64 = 5_000;

fn conf() -> TransportConf {
    TransportConf {
        coalesce_us: 0,
        recv_buffers: 64,
        ..settings::plain()
    }
}

/// Length of a segment, and of a receive, on an Ethernet.
const SEGMENT_LEN: usize = 1448;

/// One-way messages of `len` bytes, one behind the other.
fn one_ways(count: u64, len: usize) -> Bytes {
    let body = Order::new(Deed::Reply, 0, 0).request(len);
    let frames = (1..=count).flat_map(|id| {
        let total_len = body.len() as u64;
        wire::frame(OneWay { id, total_len }.header(body.len() as u32), &body)
    });
    frames.collect::<Vec<u8>>().into()
}

/// A server whose handling costs time, an honest client, and a raw peer that floods it.
fn flooded(seed: u64, frames: u64) -> (Cluster<Simulated>, usize, TransportClient) {
    let mut cluster = Cluster::simulated(seed, Faults::default());
    // Less than the receive buffers between two turns, far more than is handled in one: the multishot
    // receive never runs out of buffers, and so never ends by itself.
    cluster.world().set_link(Link {
        bytes_per_sec: Some(100_000_000),
        ..Link::default()
    });
    let client = cluster.pair(conf(), conf());
    let addr = client.peer().clone();
    cluster.ground.charge_frames(0, FRAME_COST_NS);
    let raw = cluster.puppet_client(&addr, wire::limits());
    cluster.raws[raw].send(one_ways(frames, 40));
    (cluster, raw, client)
}

#[test]
fn a_flood_of_one_way_messages_is_held_back_by_its_own_socket() {
    seeds::each(4, |seed| {
        let frames = 160_000;
        let (mut cluster, raw, client) = flooded(seed, frames);
        let group = usize::from(conf().recv_buffers) * conf().recv_buffer_len;
        let mut calls = 0;
        while cluster.shards[0].board.one_ways().len() < frames as usize {
            let order = Order::new(Deed::Reply, calls, 50);
            let begun_ns = cluster.clock.now_ns();
            let asked = actors::order(client.clone(), order, 100, cluster.clock.clone());
            cluster.block_on(asked).expect("an honest peer is served");
            let took_ns = cluster.clock.now_ns() - begun_ns;
            assert!(took_ns < 50 * MS, "call {calls} took {took_ns} ns");
            calls += 1;
        }
        assert!(calls > 20, "{calls} calls beside the flood");
        assert!(cluster.raws[raw].has_sent());
        let pool = cluster.shards[0].pump.local.pool.stats();
        assert!(pool.high_water_bytes < 4 * group, "{pool:?}");
        assert_eq!(pool.exhausted, 0, "nobody found the pool empty");
        cluster.finish();
    });
}

/// A multishot receive has the kernel copy all that a socket holds, while everybody else waits. Once a peer
/// is known to flood, its socket is read by portions.
#[test]
fn a_socket_that_is_flooded_is_read_by_portions() {
    seeds::each(4, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::default());
        cluster.world().set_link(Link {
            send_buffer_len: 1 << 20,
            recv_buffer_len: 1 << 20,
            ..Link::default()
        });
        let client = cluster.pair(conf(), conf());
        let addr = client.peer().clone();
        cluster.ground.charge_frames(0, FRAME_COST_NS);
        let raw = cluster.puppet_client(&addr, wire::limits());
        let frames = 80_000;
        cluster.raws[raw].send(one_ways(frames, 40));
        let (mut calls, mut most) = (0, 0);
        while cluster.shards[0].board.one_ways().len() < frames as usize {
            let order = Order::new(Deed::Reply, calls, 50);
            let asked = actors::order(client.clone(), order, 100, cluster.clock.clone());
            cluster.block_on(asked).expect("an honest peer is served");
            calls += 1;
            // The first receive is a multishot: nobody knows yet.
            if cluster.shards[0].board.one_ways().len() > frames as usize / 2 {
                most = most.max(cluster.shards[0].pump.local.pool.stats().leased_bytes);
            }
        }
        let group = usize::from(conf().recv_buffers) * conf().recv_buffer_len;
        assert!(
            most < group + 4 * PORTION_LEN,
            "{most} bytes leased, {group} of them armed"
        );
        cluster.finish();
    });
}

/// A portion that waits for its peer holds a buffer: with half of the pool in use there is none.
#[test]
fn portions_take_no_more_than_half_of_the_pool() {
    let mut portions = Vec::new();
    for is_half_full in [false, true] {
        let (mut cluster, _, client) = flooded(1, 80_000);
        let pool = &cluster.shards[0].pump.local.pool;
        let half = conf().pool_budget / 2;
        let taken = is_half_full.then(|| pool.lease(half).expect("the pool has as much"));
        while cluster.shards[0].board.one_ways().len() < 80_000 {
            let order = Order::new(Deed::Reply, portions.len() as u64, 50);
            let asked = actors::order(client.clone(), order, 100, cluster.clock.clone());
            cluster.block_on(asked).expect("an honest peer is served");
        }
        portions.push(cluster.shards[0].pump.local.metrics.bytes_in_portions.get());
        drop(taken);
        cluster.finish();
    }
    assert!(portions[0] > 0, "a flood is read by portions");
    assert_eq!(portions[1], 0, "not with half of the pool in use");
}

/// Received bytes end anywhere on a real network, and frames lie behind a part of another one.
#[test]
fn receives_that_end_anywhere_cost_few_copies() {
    for cost_ns in [0, FRAME_COST_NS] {
        let mut cluster = Cluster::simulated(1, Faults::default());
        cluster.world().set_link(Link {
            segment_len: SEGMENT_LEN,
            bytes_per_sec: Some(100_000_000),
            ..Link::default()
        });
        cluster.add_shard(conf());
        let addr = cluster.listen(0);
        cluster.ground.charge_frames(0, cost_ns);
        let raw = cluster.puppet_client(&addr, wire::limits());
        let frames = 20_000;
        cluster.raws[raw].send(one_ways(frames, 64));
        cluster.until(|cluster| cluster.shards[0].board.one_ways().len() == frames as usize);
        let metrics = cluster.metrics(0);
        let copies = metrics.copies_straddle + metrics.copies_misaligned + metrics.copies_kept;
        assert!(
            copies * 10 <= metrics.frames_in,
            "{copies} copies for {} frames: {metrics}",
            metrics.frames_in
        );
        cluster.finish();
    }
}

/// All memory of a shard that does not lie in the group of receive buffers.
fn take_all(cluster: &Cluster<impl Ground>, shard: usize) -> Vec<LeaseMut> {
    let pool = &cluster.shards[shard].pump.local.pool;
    let lens = [1 << 20, 64 << 10, 4 << 10];
    let leases = lens.map(|len| std::iter::from_fn(move || pool.lease_receive(len)));
    leases.into_iter().flatten().collect()
}

/// A server without any memory, and peers that have said Hello to it.
pub(super) fn dry<G: Ground>(cluster: &mut Cluster<G>, peers: usize) -> Vec<LeaseMut> {
    cluster.add_shard(conf());
    let taken = take_all(cluster, 0);
    let addr = cluster.listen(0);
    for _ in 0..peers {
        let raw = cluster.add_raw();
        cluster.raws[raw].connect(&addr);
        cluster.until(|cluster| cluster.raws[raw].is_connected());
        cluster.raws[raw].send(wire::hello(wire::limits()));
    }
    cluster.run_for(5 * MS);
    taken
}

pub(super) fn all_go_on<G: Ground>(cluster: &mut Cluster<G>, taken: Vec<LeaseMut>) {
    assert!(cluster.raws.iter().all(|raw| raw.received.is_empty()));
    drop(taken);
    cluster.until(|cluster| cluster.raws.iter().all(|raw| !raw.received.is_empty()));
}

#[test]
fn a_shard_without_memory_looks_again_and_does_not_spin() {
    let mut cluster = Cluster::simulated(1, Faults::default());
    let taken = dry(&mut cluster, 12);
    let before = cluster.metrics(0);
    cluster.run_for(1000 * MS);
    let spent = cluster.metrics(0).since(&before);
    assert!(spent.enters < 2500, "{} turns in a second", spent.enters);
    assert!(spent.recvs < 100, "{} receives without memory", spent.recvs);
    all_go_on(&mut cluster, taken);
    cluster.finish();
}

/// Processor time of this thread.
pub(super) fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[test]
fn a_shard_without_memory_sleeps_on_the_kernel_s_ring() {
    let mut cluster = Cluster::real(1);
    let taken = dry(&mut cluster, 12);
    let (before, recvs) = (cpu_ns(), cluster.metrics(0).recvs);
    cluster.run_for(500 * MS);
    let spent_ms = (cpu_ns() - before) / MS;
    assert!(spent_ms < 350, "{spent_ms} ms of a processor in 500 ms");
    let recvs = cluster.metrics(0).recvs - recvs;
    assert!(recvs < 100, "{recvs} receives without memory");
    all_go_on(&mut cluster, taken);
    cluster.finish();
}

/// One receive of a whole slice takes many times the timeout here: what shows that the peer lives is what
/// the socket has moved.
#[test]
fn a_slow_link_is_not_taken_for_a_silent_one() {
    let mut cluster = Cluster::simulated(1, Faults::default());
    cluster.world().set_link(Link {
        bytes_per_sec: Some(8_000),
        segment_len: 1448,
        ..Link::default()
    });
    let conf = TransportConf {
        connection_timeout: Duration::from_millis(800),
        progress_timeout: Duration::from_millis(800),
        ..conf()
    };
    let client = cluster.pair(conf.clone(), conf);
    for (index, len) in [64 << 10, 48 << 10].into_iter().enumerate() {
        let name = ChunkName {
            from_file: false,
            len,
        };
        let options = ChunkOptions {
            len_hint: Some(len as u64),
            ..ChunkOptions::default()
        };
        let clock = cluster.clock.clone();
        let chunk = actors::chunk(client.clone(), name, index as u32, options, clock);
        cluster.block_on(chunk).expect("it comes, slowly");
    }
    assert!(cluster.clock.now_ns() > 10_000 * MS, "it was slow");
    cluster.finish();
}
