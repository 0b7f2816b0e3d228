//! Whole streams, over many seeds.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use super::peers::stream;
use crate::sys::driver::Driver;
use crate::sys::sim::{Faults, Link, Rng, SimWorld};

/// A stream of some length and its file.
fn content(seed: u64) -> (Vec<u8>, Arc<File>) {
    let mut rng = Rng::new(!seed);
    let len = rng.cut(300_000);
    let words = (0..len.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes());
    let bytes: Vec<u8> = words.collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    (bytes, Arc::new(file))
}

/// Every seed has its own link, some with buffers of a few bytes.
fn world(seed: u64, faults: Faults) -> SimWorld {
    let mut rng = Rng::new(seed);
    let world = SimWorld::new(seed);
    world.set_link(Link {
        delay_ns: rng.below(1_000_000),
        jitter_ns: rng.below(1_000_000),
        bytes_per_sec: Some(1_000_000 << rng.below(12)),
        send_buffer_len: 1000 + rng.cut(1 << 18),
        recv_buffer_len: 1000 + rng.cut(1 << 18),
        segment_len: 1000 + rng.cut(1 << 16),
    });
    world.set_faults(faults);
    world
}

#[test]
fn whatever_loses_nothing_changes_nothing() {
    for seed in 0..150 {
        let (bytes, file) = content(seed);
        let world = world(seed, Faults::rough());
        let (sender, receiver) = stream(&world, &bytes, Some(file));
        assert_eq!((sender.peer.failed, receiver.peer.failed), (None, None));
        assert!(receiver.bytes == bytes);
    }
}

#[test]
fn what_arrives_of_a_broken_stream_is_its_beginning() {
    let (mut whole, mut broken) = (0, 0);
    for seed in 0..300 {
        let (bytes, file) = content(seed);
        let world = world(seed, Faults::chaos());
        let (sender, receiver) = stream(&world, &bytes, Some(file));
        assert!(bytes.starts_with(&receiver.bytes));
        match (sender.peer.failed, receiver.peer.failed) {
            (None, None) => {
                assert!(receiver.bytes == bytes);
                whole += 1;
            }
            _ => broken += 1,
        }
    }
    assert!(whole > 50 && broken > 50, "{whole} whole, {broken} broken");
}

#[test]
fn a_seed_replays_to_the_last_event() {
    let history = |seed| {
        let (bytes, file) = content(7);
        let world = world(seed, Faults::chaos());
        let (sender, receiver) = stream(&world, &bytes, Some(file));
        let told = [&sender.peer, &receiver.peer].map(|peer| (peer.failed, peer.driver.stats()));
        (world.trace(), world.now_ns(), told, receiver.bytes)
    };
    for seed in 0..20 {
        let first = history(seed);
        assert!(first == history(seed), "seed {seed}");
        assert!(first.0 != history(seed + 100).0, "seed {seed}");
    }
}

#[test]
fn without_faults_all_seeds_tell_the_same() {
    let (bytes, _) = content(7);
    let end = |seed| {
        let world = SimWorld::new(seed);
        let (_, receiver) = stream(&world, &bytes, None);
        receiver.bytes
    };
    assert!(end(1) == end(2));
}
