//! Models of answers for other threads: a caller that is never woken is a deadlock, which loom reports.

use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Arc;
use loom::thread;

use super::{Spare, WakeBatch};

type Caller = super::Caller<u8, u32>;
type Answerer = super::Answerer<u8, u32>;
type Deliveries = super::Deliveries<u8, u32>;

fn pair() -> (Caller, Answerer) {
    Spare::new().pair(None)
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Parks until the outcome is there.
fn wait(mut caller: Caller, batch: &Arc<WakeBatch>) -> Option<u32> {
    wait_for(&mut caller, batch)
}

fn wait_for(caller: &mut Caller, batch: &Arc<WakeBatch>) -> Option<u32> {
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match caller.poll(&mut context, batch) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

/// The shard: answers everybody, and wakes them in one batch.
fn answer(answerers: Vec<Answerer>) -> Deliveries {
    let mut deliveries = Deliveries::default();
    for (n, answerer) in answerers.into_iter().enumerate() {
        if let Some(delivery) = answerer.publish(n as u32) {
            deliveries.push(delivery);
        }
    }
    deliveries.flush(0);
    deliveries
}

#[test]
fn loom_callers_of_one_batch_are_all_woken() {
    explore(|| {
        let batch = WakeBatch::new();
        let (first, answer_first) = pair();
        let (second, answer_second) = pair();
        let other = thread::spawn({
            let batch = Arc::clone(&batch);
            move || assert_eq!(wait(first, &batch), Some(0))
        });
        let shard = thread::spawn(move || answer(vec![answer_first, answer_second]));
        assert_eq!(wait(second, &batch), Some(1));
        other.join().unwrap();
        shard.join().unwrap();
    });
}

#[test]
fn loom_a_leader_that_is_dropped_leaves_nobody_behind() {
    explore(|| {
        let batch = WakeBatch::new();
        let (mut first, answer_first) = pair();
        let (second, answer_second) = pair();
        let other = thread::spawn({
            let batch = Arc::clone(&batch);
            move || {
                let mut context = Context::from_waker(Waker::noop());
                // Registered or answered already; then it goes.
                let _ = first.poll(&mut context, &batch);
                first.retract();
            }
        });
        let shard = thread::spawn(move || answer(vec![answer_first, answer_second]));
        assert_eq!(wait(second, &batch), Some(1));
        other.join().unwrap();
        shard.join().unwrap();
    });
}

#[test]
fn loom_a_leader_that_never_runs_is_replaced_in_time() {
    explore(|| {
        let batch = WakeBatch::new();
        let (mut first, answer_first) = pair();
        let (second, answer_second) = pair();
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.poll(&mut context, &batch).is_pending());
        let shard = thread::spawn(move || {
            let mut deliveries = answer(vec![answer_first, answer_second]);
            deliveries.wake_overdue(super::LEADER_NS);
        });
        assert_eq!(wait(second, &batch), Some(1));
        shard.join().unwrap();
        drop(first);
    });
}

#[test]
fn loom_a_request_is_sent_or_retracted() {
    explore(|| {
        let (mut caller, answerer) = pair();
        let shard = thread::spawn(move || answerer.sent_as(7));
        let cancelled = caller.retract();
        let sent = shard.join().unwrap();
        assert_eq!(cancelled.is_some(), sent);
    });
}

/// A cell that is used again has left nothing of its first request behind.
#[test]
fn loom_a_cell_is_used_again_once_both_ends_have_let_go() {
    explore(|| {
        let batch = WakeBatch::new();
        let mut spare = Spare::new();
        for round in 0..2 {
            let (mut caller, mut answerer) = spare.pair(Some(round));
            let shard = thread::spawn(move || {
                assert_eq!(answerer.question(), Some(round));
                assert_eq!(answerer.question(), None);
                if let Some(delivery) = answerer.publish(u32::from(round)) {
                    delivery.wake();
                }
            });
            assert_eq!(wait_for(&mut caller, &batch), Some(u32::from(round)));
            if let Some(used) = caller.used() {
                spare.keep(used);
            }
            shard.join().unwrap();
        }
    });
}
