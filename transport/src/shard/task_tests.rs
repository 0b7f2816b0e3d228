//! Tasks over real rings: their turns, their timers, wake-ups from other threads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use super::*;
use crate::conf::ParkMode;
use crate::conf::TransportConf;
use crate::shard::Engine;

/// Passes on what is posted, and the tokens of its timers.
struct Relay {
    posted: Arc<ArrayQueue<u32>>,
    context: RefCell<Option<TaskContext>>,
    out: Sender<u32>,
    panics: Cell<bool>,
}

impl ShardTask for Relay {
    fn run(&self) {
        // One per turn: the rest must get further turns.
        if let Some(word) = self.posted.pop() {
            if self.panics.replace(false) {
                panic!("as the test wants it");
            }
            self.out.send(word).expect("the test listens");
        }
    }

    fn has_work(&self) -> bool {
        !self.posted.is_empty()
    }

    fn on_timer(&self, token: u32) {
        self.out.send(token).expect("the test listens");
        if token == 7 {
            let context = self.context.borrow();
            let context = context.as_ref().expect("set at once");
            context.set_timer(Duration::from_millis(1), 8);
        }
    }

    fn on_stop(&self) {
        self.out.send(u32::MAX).expect("the test listens");
    }
}

fn relay(park: ParkMode, check: impl FnOnce(&Engine, &ArrayQueue<u32>, &dyn Fn() -> u32)) {
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .unpinned()
        .park(park)
        .start()
        .expect("an engine");
    let posted = Arc::new(ArrayQueue::new(1024));
    let (out, words) = channel();
    let queue = Arc::clone(&posted);
    engine
        .run_on(0, move |shard| {
            let relay = Rc::new(Relay {
                posted: queue,
                context: RefCell::new(None),
                out,
                panics: Cell::new(true),
            });
            let context = shard.add_task(relay.clone()).expect("its own thread");
            context.set_timer(Duration::from_millis(2), 7);
            *relay.context.borrow_mut() = Some(context);
        })
        .expect("it runs");
    assert!(
        engine.shards()[0].add_task(Rc::new(Nobody)).is_none(),
        "not the shard's thread"
    );
    let next = || {
        words
            .recv_timeout(Duration::from_secs(20))
            .expect("a word in time")
    };
    check(&engine, &posted, &next);
    drop(engine);
    assert_eq!(next(), u32::MAX, "it is told of the end");
}

struct Nobody;

impl ShardTask for Nobody {
    fn run(&self) {}

    fn has_work(&self) -> bool {
        false
    }
}

fn timers_fire_and_posts_wake(engine: &Engine, posted: &ArrayQueue<u32>, next: &dyn Fn() -> u32) {
    assert_eq!((next(), next()), (7, 8), "a timer, and the one that it set");
    let shard = &engine.shards()[0];
    posted.push(0).expect("room");
    shard.notify();
    // The first is lost in a panic; the task is called again.
    for word in 1..200 {
        posted.push(word).expect("room");
        shard.notify();
        if word % 50 == 0 {
            // Let it fall asleep in between.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    for word in 1..200 {
        assert_eq!(next(), word);
    }
    assert_eq!(engine.metrics().handler_panics, 1);
}

#[test]
fn tasks_run_when_posted_to_and_when_their_timers_are_due() {
    relay(ParkMode::Bare, timers_fire_and_posts_wake);
}

#[test]
fn tasks_run_on_hosted_shards_too() {
    relay(ParkMode::Hosted, timers_fire_and_posts_wake);
}

#[test]
fn a_future_on_a_busy_hosted_shard_keeps_its_time() {
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .unpinned()
        .park(ParkMode::Hosted)
        .start()
        .expect("an engine");
    struct Busy;
    impl ShardTask for Busy {
        fn run(&self) {}

        fn has_work(&self) -> bool {
            true
        }
    }
    let (out, done) = channel();
    engine
        .run_on(0, move |shard| {
            // A shard that never has nothing to do.
            shard.add_task(Rc::new(Busy)).expect("its own thread");
            tokio_uring::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let file = tokio_uring::fs::File::open("/proc/self/stat").await;
                out.send(file.is_ok()).expect("the test listens");
            });
        })
        .expect("it runs");
    let opened = done.recv_timeout(Duration::from_secs(20));
    assert_eq!(opened, Ok(true), "timers and files have their turn");
}
