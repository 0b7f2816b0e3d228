//! The scenarios that run on the kernel's ring, on epoll.

use super::backpressure::{all_go_on, cpu_ns, dry};
use super::cluster::Cluster;
use super::ground::Kernel;
use super::settings;
use super::{
    credit, drains, handshake, memory, misdeeds, mixed, reconnect, sliced, spark, streams, uploads,
};
use crate::sys::epoll::EpollDriver;

type Real = Cluster<Kernel<EpollDriver>>;

/// Runs a scenario from so many seeds.
fn each(seeds: u64, scenario: impl Fn(u64, &mut Real)) {
    for seed in 0..seeds {
        let mut cluster = Cluster::epoll(seed);
        scenario(seed, &mut cluster);
        cluster.finish();
    }
}

#[test]
fn everything_works() {
    each(5, |_, cluster| mixed::everything(cluster, 40, 0.2, true));
}

#[test]
fn spark_s_protocol_works() {
    each(8, |_, cluster| spark::everything(cluster, 40, 0.2, true));
}

#[test]
fn the_factory_works() {
    each(1, |_, cluster| {
        assert_eq!(reconnect::everybody_persists(cluster, 40), 40)
    });
}

#[test]
fn drains_work() {
    each(6, |seed, cluster| {
        drains::a_drain_amid_traffic(cluster, seed % 2 == 1)
    });
}

#[test]
fn foreign_clients_are_told() {
    each(10, |_, cluster| handshake::a_foreign_client(cluster));
}

#[test]
fn clients_that_break_a_rule_end_their_own_connection() {
    each(10, |_, cluster| misdeeds::a_client_misbehaves(cluster));
}

#[test]
fn uploads_work() {
    each(6, |_, cluster| uploads::uploads_of_all_fates(cluster));
}

#[test]
fn little_memory_is_enough() {
    each(4, |_, cluster| {
        memory::many_chunks(cluster, memory::tiny(), memory::tiny())
    });
    each(2, |_, cluster| {
        memory::many_chunks(cluster, memory::tiny(), settings::plain())
    });
}

#[test]
fn credit_works() {
    each(4, |_, cluster| credit::grants_nothing(cluster));
    each(4, |_, cluster| credit::grants_in_steps(cluster, 5000));
}

#[test]
fn streams_work() {
    each(6, |_, cluster| streams::streams_of_edge_lengths(cluster));
    each(1, |_, cluster| streams::slow_and_fast_readers(cluster));
}

#[test]
fn sliced_calls_work() {
    each(6, |_, cluster| sliced::bodies_of_edge_lengths(cluster));
    each(6, |_, cluster| sliced::one_way_messages(cluster));
}

#[test]
fn a_shard_without_memory_sleeps() {
    const MS: u64 = 1_000_000;
    let mut cluster = Cluster::epoll(1);
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
