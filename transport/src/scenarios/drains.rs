//! Shards that stop serving: requests under way complete, no others begin, and none is left
//! waiting.

use ringrail_codec::native::FailureCode;
use tokio::sync::oneshot;

use crate::client::{ChunkOptions, TransportClient};
use crate::error::{CloseReason, RequestError};
use crate::shard::command::Command;
use crate::sys::sim::Faults;

use super::actors::{self, Ended};
use super::board::read;
use super::cluster::Cluster;
use super::content::{ChunkName, Deed, Order};
use super::ground::Ground;
use super::service::UploadPlan;
use super::tasks::{self, Join};
use super::{seeds, settings};

const MS: u64 = 1_000_000;

fn begin_drain<G: Ground>(cluster: &Cluster<G>, shard: usize) -> Join<()> {
    let (done, drained) = oneshot::channel();
    cluster.post(shard, Command::Drain { done });
    cluster.spawn(async move { drained.await.expect("the shard tells") })
}

/// Whether an error says that the peer takes no requests any more.
fn is_farewell(error: &RequestError) -> bool {
    match error {
        RequestError::Closed { reason, .. } => {
            matches!(
                **reason,
                CloseReason::Drained { .. } | CloseReason::Shutdown
            )
        }
        RequestError::NotConnected => true,
        RequestError::Remote { failure, .. } => failure.code() == FailureCode::ShuttingDown,
        _ => false,
    }
}

/// Requests of all kinds from one side to the other, at times around the beginning of a drain.
fn busy_traffic<G: Ground>(
    cluster: &mut Cluster<G>,
    client: &TransportClient,
    tags: std::ops::Range<u64>,
) -> Vec<(u64, Join<Ended>)> {
    let clock = cluster.clock.clone();
    let mut joins = Vec::new();
    for tag in tags {
        let rng = &mut cluster.rng;
        let (after, len, reply_len) = (rng.below(20 * MS), rng.cut(40_000), rng.cut(40_000));
        let (kind, deferred) = (rng.below(6), rng.chance(0.3));
        let (client, clock) = (client.clone(), clock.clone());
        let action = async move {
            clock.sleep(after).await;
            let wait = clock.clone();
            match kind {
                0 => {
                    let (name, index) = (
                        ChunkName {
                            from_file: true,
                            len,
                        },
                        tag as u32,
                    );
                    actors::chunk(client, name, index, ChunkOptions::default(), wait).await
                }
                1 => actors::stream(client, (false, tag, len), 0, 0, wait).await,
                2 => {
                    let plan = UploadPlan {
                        len,
                        reply_len,
                        ..UploadPlan::new(tag)
                    };
                    actors::upload(client, plan, false, wait).await
                }
                _ => {
                    let deed = if deferred { Deed::Defer } else { Deed::Reply };
                    actors::order(client, Order::new(deed, tag, reply_len), len, wait).await
                }
            }
        };
        joins.push((tag, cluster.spawn(action)));
    }
    joins
}

/// Every request succeeds or fails because of the drain; every request that a handler has seen is
/// answered.
fn judge<G: Ground>(cluster: &mut Cluster<G>, handled_by: usize, joins: Vec<(u64, Join<Ended>)>) {
    for (tag, join) in joins {
        let outcome = cluster.block_on(join);
        let handled = cluster.shards[handled_by].board.times_handled(tag);
        assert!(handled <= 1, "request {tag} was handled {handled} times");
        if let Err(error) = outcome {
            assert!(is_farewell(&error), "request {tag}: {error:?}");
            assert_eq!(handled, 0, "request {tag} was handled, and lost: {error}");
        }
    }
}

pub(super) fn a_drain_amid_traffic<G: Ground>(cluster: &mut Cluster<G>, both: bool) {
    let conf = settings::any(&mut cluster.rng);
    let client = cluster.pair(conf.clone(), conf);
    let back = cluster.shards[0].board.peers().remove(0);
    cluster.settle_often(3 * MS);
    let forth = busy_traffic(cluster, &client, 1..25);
    let returns = busy_traffic(cluster, &back, 101..125);
    let after = cluster.rng.below(25 * MS);
    cluster.run_for(after);
    let begun_ns = cluster.clock.now_ns();
    let mut drains = vec![begin_drain(cluster, 0)];
    if both {
        let after = cluster.rng.below(3 * MS);
        cluster.run_for(after);
        drains.push(begin_drain(cluster, 1));
    }
    cluster.block_on(tasks::all(drains));
    let took_ns = cluster.clock.now_ns() - begun_ns;
    assert!(
        took_ns < 8_000 * MS,
        "the drain waited for nothing: {took_ns} ns"
    );
    judge(cluster, 0, forth);
    judge(cluster, 1, returns);
    assert!(!client.is_active());
    assert_eq!(cluster.shards[0].pump.local.conn_count(), 0);
}

#[test]
fn a_drain_finishes_what_was_begun() {
    seeds::each(60, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        a_drain_amid_traffic(&mut cluster, false);
        cluster.finish();
    });
}

#[test]
fn both_sides_may_drain_at_once() {
    seeds::each(60, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        a_drain_amid_traffic(&mut cluster, true);
        cluster.finish();
    });
}

#[test]
fn drains_work_on_the_kernel_s_ring() {
    for seed in 0..6 {
        let mut cluster = Cluster::real(seed);
        a_drain_amid_traffic(&mut cluster, seed % 2 == 1);
        cluster.finish();
    }
}

#[test]
fn a_drain_waits_no_longer_than_it_may() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        let clock = cluster.clock.clone();
        let order = Order::new(Deed::Defer, 1, 10);
        let asked = cluster.spawn(actors::order(client, order, 100, clock));
        cluster.until(|cluster| cluster.shards[0].board.debts() == 1);
        let begun_ns = cluster.clock.now_ns();
        let drained = begin_drain(&cluster, 0);
        cluster.block_on(drained);
        let (took_ns, limit) = (
            cluster.clock.now_ns() - begun_ns,
            settings::plain().drain_timeout,
        );
        let limit_ns = limit.as_nanos() as u64;
        assert!(
            (limit_ns..limit_ns + 1000 * MS).contains(&took_ns),
            "{took_ns}"
        );
        let error = cluster.block_on(asked).expect_err("it was never answered");
        assert!(is_farewell(&error), "{error:?}");
        cluster.finish();
    });
}

#[test]
fn a_drain_ends_with_the_retraction_of_what_it_waited_for() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        let clock = cluster.clock.clone();
        // A deferred reply, and a stream whose reader takes nothing.
        let request = Order::new(Deed::Defer, 1, 10).request(100);
        let asked = client.send_rpc(request);
        let name = actors::stream_name(false, 2, 1 << 20);
        let reader = cluster.block_on({
            let client = client.clone();
            async move { client.stream(name, 0).await.expect("begun") }
        });
        cluster.until(|cluster| cluster.shards[0].board.debts() == 1);
        let drained = begin_drain(&cluster, 0);
        cluster.run_for(200 * MS);
        assert!(!drained.is_over());
        drop((asked, reader));
        let begun_ns = clock.now_ns();
        cluster.block_on(drained);
        assert!(clock.now_ns() - begun_ns < 1000 * MS);
        cluster.finish();
    });
}

#[test]
fn a_client_of_a_drained_server_finds_another() {
    seeds::each(30, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        let other = cluster.add_shard(settings::plain());
        let elsewhere = cluster.listen(other);
        let drained = begin_drain(&cluster, 0);
        cluster.block_on(drained);
        cluster.until(|cluster| read(&cluster.shards[1].board.closed) == 1);
        assert!(!client.is_active());
        let clock = cluster.clock.clone();
        let order = Order::new(Deed::Reply, 1, 10);
        let refused = cluster.block_on(actors::order(client, order, 100, clock.clone()));
        assert!(is_farewell(&refused.expect_err("nobody serves it")));
        let client = cluster.connect(1, &elsewhere);
        let outcome = cluster.block_on(actors::order(client, order, 100, clock));
        outcome.expect("the other one serves");
        cluster.finish();
    });
}

#[test]
fn a_large_reply_that_is_retracted_does_not_end_a_drain_early() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        let clock = cluster.clock.clone();
        let order = Order::new(Deed::Defer, 1, 10);
        let asked = cluster.spawn(actors::order(client.clone(), order, 100, clock));
        let large = client.send_rpc(Order::new(Deed::Reply, 2, 1 << 20).request(100));
        cluster.until(|cluster| {
            let board = &cluster.shards[0].board;
            board.debts() == 1 && board.times_handled(2) == 1
        });
        drop(large);
        let drained = begin_drain(&cluster, 0);
        cluster.run_for(300 * MS);
        assert!(!drained.is_over(), "a reply is due");
        cluster.shards[0].board.settle();
        cluster.block_on(asked).expect("the reply came in time");
        cluster.block_on(drained);
        cluster.finish();
    });
}
