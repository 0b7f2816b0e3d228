//! Turns: what a dispatcher does, and in which order.

use std::rc::Rc;

use crate::rpc::thread::Job;

use super::{AnyInbox, Dispatcher};

/// Turns of inboxes that are run in one go, before the thread looks at anything else.
const RUN_TURNS: usize = 64;

/// Jobs that are delivered before any of them is handled.
const JOB_BATCH: usize = 256;

impl Dispatcher {
    /// One turn: futures that wait for replies, what was posted, inboxes, overdue asks.
    pub(crate) fn turn(self: &Rc<Self>) {
        if self.handle.is_cut_off() {
            return self.abandon();
        }
        self.handle.wake_all();
        self.catch_up();
        self.run_now();
        if self.asks_due_ns.get() <= self.now_ns() {
            self.expire();
        }
        self.retry();
    }

    /// Does what other threads have posted by now, in their order. What has piled up goes to the inboxes
    /// first, where urgent messages overtake others, and is handled then; a single message is handled at once.
    pub(crate) fn catch_up(self: &Rc<Self>) {
        let mut left = self.handle.len();
        while left > 0 {
            let batch = left.min(JOB_BATCH);
            left -= batch;
            let entered = batch > 1 && self.enter();
            for _ in 0..batch {
                match self.handle.take() {
                    Some(job) => self.take(job),
                    None => left = 0,
                }
            }
            if entered {
                self.leave();
            }
        }
    }

    fn take(self: &Rc<Self>, job: Job) {
        match job {
            Job::Ask(pending) => pending.deliver(self),
            Job::Control(run) => run(self),
            Job::Answer(key, outcome) => {
                if let Some(table) = self.table(key) {
                    table.answered(key, *outcome);
                }
            }
            Job::Message(message) => message.deliver(self),
            Job::Wake(serial) => self.wake_inbox(serial),
            Job::Cancel(key) => self.cancel(key),
        }
    }

    /// Makes the dispatcher busy; false where it is.
    #[inline]
    pub(crate) fn enter(&self) -> bool {
        !self.busy.replace(true)
    }

    /// Works off what was queued meanwhile, and lets go.
    #[inline]
    pub(crate) fn leave(self: &Rc<Self>) {
        debug_assert!(self.busy.get(), "only who has entered leaves");
        if self.runnable.borrow().is_empty() {
            self.busy.set(false);
            return;
        }
        self.work_off();
    }

    fn work_off(self: &Rc<Self>) {
        let budget = self.env.settings.inbox_budget;
        for _ in 0..RUN_TURNS {
            let next = self.runnable.borrow_mut().pop_front();
            let Some(inbox) = next else {
                break;
            };
            if inbox.run(self, budget) {
                self.runnable.borrow_mut().push_back(inbox);
            }
        }
        assert!(
            self.busy.replace(false),
            "nobody else has let go of the thread"
        );
        if !self.runnable.borrow().is_empty() {
            self.host.rouse();
        }
    }

    /// Works off what is queued, unless somebody further down the stack will.
    pub(crate) fn run_now(self: &Rc<Self>) {
        if self.enter() {
            self.leave();
        }
    }

    /// Has an inbox run.
    pub(crate) fn schedule(&self, inbox: Rc<dyn AnyInbox>) {
        self.runnable.borrow_mut().push_back(inbox);
        if !self.busy.get() {
            self.host.rouse();
        }
    }
}
