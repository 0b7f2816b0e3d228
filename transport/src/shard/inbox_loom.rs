//! Models of the inbox, run by loom through every interleaving (up to the
//! preemption bound) and every reordering that the memory model allows.
//!
//! A lost wake-up leaves the shard parked forever, which loom reports as a deadlock.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{Inbox, PushError};

/// Three context switches that no blocking forces: enough for every known bug of
/// this protocol, and still done in seconds.
const PREEMPTIONS: usize = 3;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

/// Pushes, and wakes the shard if told to; spins while the inbox is full.
fn push_and_wake(inbox: &Inbox<usize>, shard: &thread::Thread, message: usize) {
    loop {
        match inbox.push(message) {
            Ok(pushed) => {
                if pushed.wake_needed {
                    shard.unpark();
                }
                return;
            }
            Err(PushError::Full(_)) => thread::yield_now(),
            Err(PushError::Closed(_)) => panic!("nobody closes this inbox"),
        }
    }
}

/// Drains until `expected` messages came, parking whenever it may.
fn run_shard(inbox: &Inbox<usize>, expected: usize) -> Vec<usize> {
    let mut seen = Vec::new();
    loop {
        inbox.drain(usize::MAX, |message| seen.push(message));
        assert!(inbox.len() <= inbox.capacity());
        if seen.len() == expected {
            return seen;
        }
        if inbox.prepare_sleep() {
            thread::park();
            inbox.finish_sleep();
        }
    }
}

#[test]
fn loom_no_wake_up_is_lost_and_messages_arrive_in_order() {
    explore(|| {
        let inbox = Arc::new(Inbox::new(4));
        let shard = thread::current();
        let pusher = thread::spawn({
            let inbox = inbox.clone();
            move || {
                push_and_wake(&inbox, &shard, 1);
                push_and_wake(&inbox, &shard, 2);
            }
        });
        assert_eq!(run_shard(&inbox, 2), [1, 2]);
        pusher.join().unwrap();
    });
}

#[test]
fn loom_two_pushers_deliver_exactly_once() {
    explore(|| {
        let inbox = Arc::new(Inbox::new(4));
        let shard = thread::current();
        let pushers = [1, 2].map(|message| {
            let (inbox, shard) = (inbox.clone(), shard.clone());
            thread::spawn(move || push_and_wake(&inbox, &shard, message))
        });
        let mut seen = run_shard(&inbox, 2);
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        for pusher in pushers {
            pusher.join().unwrap();
        }
        assert!(inbox.is_empty());
        assert_eq!(inbox.stats().pushed, 2);
    });
}

#[test]
fn loom_a_full_inbox_stays_bounded_and_loses_nothing() {
    explore(|| {
        let inbox = Arc::new(Inbox::new(1));
        let shard = thread::current();
        let pusher = thread::spawn({
            let inbox = inbox.clone();
            move || {
                push_and_wake(&inbox, &shard, 1);
                push_and_wake(&inbox, &shard, 2);
            }
        });
        assert_eq!(run_shard(&inbox, 2), [1, 2]);
        pusher.join().unwrap();
    });
}

#[test]
fn loom_exactly_one_pusher_is_told_to_wake_a_sleeper() {
    explore(|| {
        let inbox = Arc::new(Inbox::new(4));
        assert!(inbox.prepare_sleep());
        let wakes = Arc::new(AtomicUsize::new(0));
        let pushers = [1, 2].map(|message| {
            let (inbox, wakes) = (inbox.clone(), wakes.clone());
            thread::spawn(move || {
                if inbox.push(message).unwrap().wake_needed {
                    wakes.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        for pusher in pushers {
            pusher.join().unwrap();
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert_eq!(inbox.stats().wakes, 1);
    });
}

/// A message that is pushed while the inbox closes is given back or dropped; it
/// never stays in a queue that is no longer drained.
#[test]
fn loom_closing_strands_no_message() {
    explore(|| {
        let inbox = Arc::new(Inbox::new(4));
        let message = Arc::new(());
        let pusher = thread::spawn({
            let (inbox, message) = (inbox.clone(), message.clone());
            move || {
                let _ = inbox.push(message);
            }
        });
        inbox.close();
        pusher.join().unwrap();
        assert_eq!(Arc::strong_count(&message), 1);
    });
}

/// Models an eventfd: an early wake-up is retained.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.ring.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.ring.wait(rung).unwrap();
        }
        *rung = false;
    }
}

#[test]
fn loom_work_of_a_task_is_seen_before_or_wakes_the_sleeper() {
    explore(|| {
        let inbox = Arc::new(Inbox::<usize>::new(4));
        let work = Arc::new(AtomicUsize::new(0));
        let bell = Arc::new(Bell::default());
        let poster = thread::spawn({
            let (inbox, work, bell) = (inbox.clone(), work.clone(), bell.clone());
            move || {
                work.store(1, Ordering::Relaxed);
                if inbox.notify() {
                    bell.ring();
                }
            }
        });
        while work.load(Ordering::Relaxed) == 0 {
            if inbox.prepare_sleep() {
                // The shard checks its tasks after it has announced its sleep.
                if work.load(Ordering::Relaxed) == 0 {
                    bell.wait();
                }
                inbox.finish_sleep();
            }
        }
        poster.join().unwrap();
    });
}
