//! Tests of the metrics.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use super::{ErrorKind, Metric, MetricKind, MetricsSnapshot, RequestKind, ShardMetrics};

fn value(snapshot: &MetricsSnapshot, name: &str) -> u64 {
    snapshot
        .iter()
        .find(|metric| metric.name == name)
        .map(|metric| metric.value)
        .unwrap_or_else(|| panic!("no metric {name}"))
}

#[test]
fn what_is_counted_is_read_back() {
    let metrics = ShardMetrics::default();
    metrics.bytes_in.add(10);
    metrics.bytes_in.add(5);
    metrics.frames_in.increment();
    metrics.pool_bytes_used.add(100);
    metrics.pool_bytes_used.sub(30);
    metrics.inbox_depth_max.raise_to(7);
    metrics.inbox_depth_max.raise_to(3);
    metrics.connection_opened();
    metrics.connection_opened();
    metrics.connection_closed();

    let snapshot = metrics.snapshot();
    let expected = [
        ("bytes_in", 15),
        ("frames_in", 1),
        ("pool_bytes_used", 70),
        ("inbox_depth_max", 7),
        ("connections_opened", 2),
        ("connections_closed", 1),
        ("connections_active", 1),
    ];
    for (name, expected) in expected {
        assert_eq!(value(&snapshot, name), expected, "{name}");
    }
    let total: u64 = snapshot.iter().map(|metric| metric.value).sum();
    assert_eq!(total, expected.iter().map(|(_, value)| value).sum::<u64>());
}

#[test]
fn every_kind_has_a_counter_of_its_own() {
    let metrics = ShardMetrics::default();
    let requests = [
        (RequestKind::Rpc, "rpc"),
        (RequestKind::OneWay, "one_way"),
        (RequestKind::Chunk, "chunk"),
        (RequestKind::Stream, "stream"),
        (RequestKind::Upload, "upload"),
    ];
    for (amount, (kind, _)) in (1..).zip(requests) {
        metrics.requests_in(kind).add(amount);
        metrics.requests_out(kind).add(amount * 100);
    }
    let errors = [
        (ErrorKind::ForeignProtocol, "foreign_protocol"),
        (ErrorKind::Version, "version"),
        (ErrorKind::Auth, "auth"),
        (ErrorKind::HandshakeTimeout, "handshake_timeout"),
        (ErrorKind::Malformed, "malformed"),
        (ErrorKind::Oversized, "oversized"),
        (ErrorKind::Checksum, "checksum"),
        (ErrorKind::Archive, "archive"),
        (ErrorKind::FlowControl, "flow_control"),
        (ErrorKind::Unexpected, "unexpected"),
        (ErrorKind::Io, "io"),
    ];
    for (amount, (kind, _)) in (1..).zip(errors) {
        metrics.errors(kind).add(amount);
    }

    let snapshot = metrics.snapshot();
    for (amount, (_, name)) in (1..).zip(requests) {
        assert_eq!(value(&snapshot, &format!("requests_in_{name}")), amount);
        assert_eq!(
            value(&snapshot, &format!("requests_out_{name}")),
            amount * 100
        );
    }
    for (amount, (_, name)) in (1..).zip(errors) {
        assert_eq!(value(&snapshot, &format!("errors_{name}")), amount);
    }
}

#[test]
fn shards_add_up_and_peaks_take_the_highest() {
    let shards = [3, 5].map(|amount| {
        let metrics = ShardMetrics::default();
        metrics.sends.add(amount);
        metrics.pool_bytes_used.set(amount);
        metrics.inbox_depth_max.raise_to(amount);
        metrics.snapshot()
    });
    let total: MetricsSnapshot = shards.iter().sum();
    assert_eq!((total.sends, total.pool_bytes_used), (8, 8));
    assert_eq!(total.inbox_depth_max, 5);
    assert_eq!(shards.into_iter().sum::<MetricsSnapshot>(), total);
}

#[test]
fn a_difference_covers_counters_and_leaves_gauges() {
    let metrics = ShardMetrics::default();
    metrics.sends.add(3);
    metrics.pool_bytes_used.set(9);
    let earlier = metrics.snapshot();
    metrics.sends.add(4);
    metrics.pool_bytes_used.set(2);
    let since = metrics.snapshot().since(&earlier);
    assert_eq!((since.sends, since.pool_bytes_used), (4, 2));
}

#[test]
fn names_are_unique_and_every_metric_is_explained() {
    let mut names = HashSet::new();
    for Metric { name, help, .. } in MetricsSnapshot::default().iter() {
        assert!(names.insert(name), "{name} twice");
        assert!(help.len() > 10 && !help.ends_with('.'), "{name}: {help}");
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{name}"
        );
    }
    let peaks: Vec<_> = MetricsSnapshot::default()
        .iter()
        .filter(|metric| metric.kind == MetricKind::Peak)
        .map(|metric| metric.name)
        .collect();
    assert_eq!(peaks, ["inbox_depth_max"]);
}

#[test]
fn display_lists_what_is_not_zero() {
    let metrics = ShardMetrics::default();
    assert_eq!(metrics.snapshot().to_string(), "");
    metrics.sends.add(2);
    metrics.cq_overflows.add(30);
    assert_eq!(
        metrics.snapshot().to_string(),
        "sends         2\ncq_overflows  30"
    );
}

#[test]
fn another_thread_reads_while_the_shard_counts() {
    const COUNT: u64 = 50_000;
    let metrics = Arc::new(ShardMetrics::default());
    let shard = thread::spawn({
        let metrics = Arc::clone(&metrics);
        move || (0..COUNT).for_each(|_| metrics.frames_in.increment())
    });
    let mut last = 0;
    while last < COUNT {
        let now = metrics.snapshot().frames_in;
        assert!(now >= last && now <= COUNT);
        last = now;
    }
    shard.join().unwrap();
}
