//! The composer alone: no driver, no shard, files that nobody reads.

use std::cell::Cell;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::buf::{Lease, ManagedBuffer, Pool};

use super::body_queue::BodyQueue;
use super::composer::{Ask, Composed, Composer, Discipline, FileAnswer, FileAsk, Portions, Way};
use super::file_sums::FileSums;
use super::spark::lead::Lead;
use super::transfer::{Carries, Transfer};

const SLICE: u32 = 1024;

const CHUNK: Carries = Carries::Chunk { stream: 1 };

struct Bench {
    pool: Pool,
    bodies: BodyQueue,
    sums: FileSums,
}

impl Bench {
    fn new() -> Self {
        Self {
            pool: Pool::new(16 << 20, 1 << 20),
            bodies: BodyQueue::new(Rc::new(Cell::new(0))),
            sums: FileSums::new(1 << 20),
        }
    }

    fn push(&mut self, id: u64, carries: Carries, data: ManagedBuffer, credit: u64) {
        let transfer = Transfer::new(id, carries, data, SLICE, credit, u64::MAX);
        self.bodies.push(transfer);
    }

    fn push_plain(&mut self, id: u64, data: ManagedBuffer) {
        let lead = Lead::fixed(&[7; 21]);
        let transfer = Transfer::plain(id, Carries::Chunk { stream: 1 }, data, SLICE, lead);
        self.bodies.push(transfer);
    }

    fn composer(&self, discipline: Discipline, batch: usize) -> Composer {
        let gather = self.pool.gather(64 << 10).expect("an empty pool");
        let portions = Portions {
            slice_max: SLICE,
            batch,
            now_ns: 5,
        };
        Composer::new(gather, discipline, portions, &self.bodies, Vec::new())
    }

    fn run(&mut self, composer: &mut Composer) -> Ask {
        composer.run(&mut self.bodies, &self.sums)
    }

    fn answer(&mut self, composer: &mut Composer, asked: FileAsk, way: Way) {
        let ticket = None;
        composer.answer(&mut self.bodies, asked, FileAnswer { way, ticket });
    }

    fn bytes(&self, len: usize) -> Lease {
        let mut lease = self.pool.lease(len).expect("an empty pool");
        lease.put(&vec![3; len]);
        lease.freeze()
    }
}

fn memory(len: usize) -> ManagedBuffer {
    ManagedBuffer::from(Bytes::from(vec![1; len]))
}

fn file(len: u64) -> ManagedBuffer {
    let file = tempfile::tempfile().expect("a temporary file");
    file.set_len(len).expect("room on the disk");
    ManagedBuffer::File(crate::buf::FileSegment {
        file: Arc::<File>::new(file),
        offset: 0,
        len,
        mapping: None,
    })
}

fn asks_for_file(ask: Ask) -> FileAsk {
    match ask {
        Ask::File(asked) => asked,
        other => panic!("{other:?}"),
    }
}

fn ids(composed: &Composed) -> Vec<u64> {
    composed.ended.iter().map(|(body, _)| body.id).collect()
}

#[test]
fn a_batch_bounds_what_leaves_and_the_rest_goes_on_later() {
    let mut bench = Bench::new();
    bench.push(1, Carries::Stream, memory(10 * SLICE as usize), u64::MAX);
    let mut composer = bench.composer(Discipline::Interleaved, 3 * SLICE as usize);
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    let composed = composer.finish();
    assert_eq!(composed.counts.frames, 3);
    assert!(composed.ended.is_empty() && bench.bodies.len() == 1);
    let mut composer = bench.composer(Discipline::Interleaved, 1 << 20);
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    let composed = composer.finish();
    assert_eq!((composed.counts.frames, ids(&composed)), (7, vec![1]));
    assert!(bench.bodies.is_empty());
}

#[test]
fn a_body_without_credit_is_overtaken_and_parked() {
    let mut bench = Bench::new();
    bench.push(1, CHUNK, memory(4000), 1000);
    bench.push(2, CHUNK, memory(500), 500);
    let mut composer = bench.composer(Discipline::Interleaved, 1 << 20);
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    let composed = composer.finish();
    assert_eq!(ids(&composed), [2]);
    assert_eq!((bench.bodies.len(), bench.bodies.ready_len()), (1, 0));
}

#[test]
fn chunks_behind_one_that_is_read_are_read_ahead_and_a_stream_passes() {
    let mut bench = Bench::new();
    bench.push(1, CHUNK, file(SLICE.into()), u64::MAX);
    bench.push(2, CHUNK, file(SLICE.into()), u64::MAX);
    bench.push(3, Carries::Stream, memory(100), u64::MAX);
    let mut composer = bench.composer(Discipline::Interleaved, 1 << 20);
    let asked = asks_for_file(bench.run(&mut composer));
    let first = asked.body;
    bench.answer(&mut composer, asked, Way::Ordered);
    let Ask::Ahead(ahead) = bench.run(&mut composer) else {
        panic!("the second chunk may not overtake");
    };
    assert_ne!(ahead.body, first);
    composer.answer_ahead(&mut bench.bodies, &ahead, None);
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    assert_eq!(ids(&composer.finish()), [3]);
    // Both reads are under way: nothing is asked again.
    let mut composer = bench.composer(Discipline::Interleaved, 1 << 20);
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    let at = bench.bodies.find(first).expect("it waits");
    let read = bench.bytes(SLICE as usize);
    bench.bodies.at(at).loaded(Ok(read)).expect("it was read");
    let mut again = bench.composer(Discipline::Interleaved, 1 << 20);
    assert!(matches!(bench.run(&mut again), Ask::Done));
    assert_eq!(ids(&again.finish()), [1]);
    drop(composer.finish());
}

#[test]
fn a_range_leaves_straight_from_its_file_only_as_the_first_of_a_send() {
    let mut bench = Bench::new();
    bench.push(1, Carries::Stream, memory(100), u64::MAX);
    bench.push(2, CHUNK, file(SLICE.into()), u64::MAX);
    let mut composer = bench.composer(Discipline::Interleaved, 1 << 20);
    let asked = asks_for_file(bench.run(&mut composer));
    bench.answer(&mut composer, asked, Way::Direct { crc: None });
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    let composed = composer.finish();
    assert!(composed.direct.is_none(), "the gathered slice goes first");
    let mut composer = bench.composer(Discipline::Interleaved, 1 << 20);
    let asked = asks_for_file(bench.run(&mut composer));
    bench.answer(&mut composer, asked, Way::Direct { crc: Some(9) });
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    let composed = composer.finish();
    let (range, padding) = composed.direct.expect("it is the first");
    assert_eq!((range.len, padding), (SLICE as usize, 0));
    assert_eq!(composed.counts.sum_known, u64::from(SLICE));
}

#[test]
fn bodies_in_order_wait_for_the_first_and_a_failure_is_told_to_the_shell() {
    let mut bench = Bench::new();
    bench.push_plain(1, file(2 * u64::from(SLICE)));
    bench.push_plain(2, memory(10));
    let mut composer = bench.composer(Discipline::InOrder, 1 << 20);
    let asked = asks_for_file(bench.run(&mut composer));
    let read = Ok(bench.bytes(SLICE as usize));
    bench.answer(&mut composer, asked, Way::Read(read));
    let asked = asks_for_file(bench.run(&mut composer));
    bench.answer(&mut composer, asked, Way::NoMemory);
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    let composed = composer.finish();
    assert_eq!(composed.gather.total(), 21 + SLICE as usize);
    assert!(composed.ended.is_empty(), "the second may not overtake");
    let mut composer = bench.composer(Discipline::InOrder, 1 << 20);
    let asked = asks_for_file(bench.run(&mut composer));
    let gone = std::io::Error::other("the disk is gone");
    bench.answer(&mut composer, asked, Way::Read(Err(gone)));
    let Ask::Failed(at, failure) = bench.run(&mut composer) else {
        panic!("its place is not given up by the composer");
    };
    composer.ended((bench.bodies.remove(at), Some(failure)));
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    assert_eq!(ids(&composer.finish()), [1, 2]);
}

#[test]
fn a_body_beyond_its_deadline_is_dropped_unsent() {
    let mut bench = Bench::new();
    let late = Transfer::new(1, CHUNK, memory(100), SLICE, u64::MAX, 5);
    bench.bodies.push(late);
    let mut composer = bench.composer(Discipline::Interleaved, 1 << 20);
    assert!(matches!(bench.run(&mut composer), Ask::Done));
    let composed = composer.finish();
    assert_eq!((composed.counts.timed_out, ids(&composed)), (1, vec![1]));
    assert!(composed.gather.is_empty());
}
