//! Threads that connect: names are resolved and peers waited for, which blocks.
//!
//! As many as connect at the same time, up to `ringrail.rpc.connect.concurrency`; further connections
//! wait for one of them. A thread that has nothing to do for a while ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::rpc::sync::{Condvar, Mutex, MutexGuard, Unpoisoned, thread};

type Job = Box<dyn FnOnce() + Send>;

/// How long a thread waits for another connection to make.
const LINGER: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

/// The threads that connect.
pub(crate) struct Connector {
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Connector {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }

    /// Has `job` run on one of the threads; false where they are stopped, or none is to be had.
    pub(crate) fn run(self: &Arc<Self>, job: Job) -> bool {
        let mut state = self.lock();
        if state.stopped {
            return false;
        }
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle {
            self.changed.notify_one();
            return true;
        }
        if state.threads >= self.limit {
            return true;
        }
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("ringrail-rpc-connect".into());
        if thread.spawn(move || this.work()).is_ok() {
            state.threads += 1;
            assert!(state.threads <= self.limit, "no more threads than allowed");
        } else if state.threads == 0 {
            // Nobody would ever take it.
            let job = state.jobs.pop_back();
            drop(state);
            drop(job);
            return false;
        }
        true
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            if state.stopped {
                break;
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, LINGER);
            let (after, timeout) = waited.unpoisoned();
            state = after;
            assert!(state.idle > 0, "a thread that waited was counted");
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        assert!(state.threads > 0, "a thread that ends was counted");
        state.threads -= 1;
    }

    /// Begins nothing more. What is under way comes to its end by itself.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(jobs);
        self.changed.notify_all();
    }
}
