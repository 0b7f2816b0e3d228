//! A thread that runs endpoints, as all other threads see it: somewhere to post to.
//!
//! One queue in one order: *messages* (bounded, given back where there is no room) and *orders* (set-up,
//! stopping, events of connections, answers, wake-ups: they must not be lost, and their number is bounded by
//! what they are about). What one thread posts comes in the order in which it was posted, whatever it is: an
//! endpoint hears of a connection before it gets a message over it, and of its end after the last.
//!
//! ```text
//! post, post_surely ─► posts (bounded) ──────────► take
//!                 └──► overflow (control messages alone) ──►  └ when posts is empty
//! ```
//!
//! An order that finds no room goes to the overflow. As long as something is there no message is taken, and
//! further orders follow it there, so whatever is in the bounded queue was posted before.
//!
//! The poster wakes the thread by its [`ThreadWaker`]; the thread arms it, looks once more, and sleeps.

mod job;

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use ringrail_transport::RpcFailure;

use super::body::BodyBuf;
use super::dispatcher::Dispatcher;
use super::error::RpcError;
use super::settings::MAILBOX_KEY;
use super::sync::{ArrayQueue, AtomicBool, AtomicUsize, SegQueue};

pub(crate) use job::{AnyPeerMessage, AnyPendingAsk, Job};

/// Wakers that wait for a host's turn; further ones are woken from where they are.
const WAKES: usize = 1024;

/// Wakes a host's thread.
pub(crate) trait ThreadWaker: Send + Sync {
    /// There is something to do.
    fn wake(&self);
}

/// A thread that runs endpoints.
pub(crate) struct ThreadHandle {
    name: Box<str>,
    posts: ArrayQueue<Job>,
    overflow: SegQueue<Job>,
    /// Orders in the overflow, or about to be.
    overflowing: AtomicUsize,
    /// Orders in both.
    controls: AtomicUsize,
    /// Futures of this thread whose outcome another one has brought.
    wakes: ArrayQueue<Waker>,
    closed: AtomicBool,
    /// The env did not wait for it any longer.
    cut_off: AtomicBool,
    quiet: AtomicBool,
    waker: Box<dyn ThreadWaker>,
    /// Its endpoints may block it: nobody can rely on its timers.
    may_block: bool,
}

/// Why a job was not taken.
#[derive(Debug)]
pub(crate) enum PostError {
    /// The host has ended.
    Closed(Job),
    /// Too much waits already.
    Full(Job),
}

impl ThreadHandle {
    pub(crate) fn new(
        name: String,
        capacity: usize,
        may_block: bool,
        waker: Box<dyn ThreadWaker>,
    ) -> Self {
        Self {
            name: name.into(),
            posts: ArrayQueue::new(capacity.max(1)),
            overflow: SegQueue::new(),
            overflowing: AtomicUsize::new(0),
            controls: AtomicUsize::new(0),
            wakes: ArrayQueue::new(WAKES),
            closed: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
            waker,
            may_block,
        }
    }

    /// The name, for people.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Messages that may wait for it.
    pub(crate) fn capacity(&self) -> usize {
        self.posts.capacity()
    }

    /// Why a job was not taken where too much of it waits: `what` is full.
    pub(crate) fn full(&self, what: &'static str) -> RpcError {
        RpcError::Busy {
            what,
            limit: self.capacity() as u64,
            key: MAILBOX_KEY,
        }
    }

    pub(crate) fn may_block(&self) -> bool {
        self.may_block
    }

    /// Posts a message.
    ///
    /// # Errors
    /// Gives it back where there is no room, or nobody to take it.
    pub(crate) fn post(&self, job: Job) -> Result<(), PostError> {
        debug_assert!(!job.is_control(), "control messages are not given back");
        if self.is_closed() {
            return Err(PostError::Closed(job));
        }
        if self.overflowing.load(Ordering::SeqCst) != 0 {
            return Err(PostError::Full(job));
        }
        self.posts.push(job).map_err(PostError::Full)?;
        self.posted();
        Ok(())
    }

    /// Posts an order; false where the host has ended, and then nobody does it.
    fn post_surely(&self, job: Job) -> bool {
        if self.is_closed() {
            return false;
        }
        self.put(job);
        self.posted()
    }

    /// As [`run`](Self::run), for whoever holds a lock: [`posted`](Self::posted) is to be called without it.
    pub(crate) fn put_control(&self, run: impl FnOnce(&Rc<Dispatcher>) + Send + 'static) {
        self.put(Job::Control(Box::new(run)));
    }

    fn put(&self, job: Job) {
        debug_assert!(job.is_control(), "messages are bounded");
        self.controls.fetch_add(1, Ordering::SeqCst);
        let left = match self.overflowing.load(Ordering::SeqCst) {
            0 => self.posts.push(job).err(),
            _ => Some(job),
        };
        if let Some(job) = left {
            // Counted first: from here on nothing goes to the bounded queue.
            self.overflowing.fetch_add(1, Ordering::SeqCst);
            self.overflow.push(job);
        }
    }

    /// Something was posted; false where nobody will take it.
    pub(crate) fn posted(&self) -> bool {
        // It may have closed, and looked for the last time, since we looked.
        if self.is_closed() {
            self.turn_away();
            return false;
        }
        self.waker.wake();
        true
    }

    /// Wakes a future of this host's thread there: a runtime is woken by its own thread without a
    /// system call, and finds the future in its local queue.
    pub(crate) fn wake(&self, waker: Waker) {
        if self.is_closed() {
            return waker.wake();
        }
        match self.wakes.push(waker) {
            Err(waker) => waker.wake(),
            Ok(()) if self.is_closed() => self.wake_all(),
            Ok(()) => self.waker.wake(),
        }
    }

    /// Wakes the futures that are to be woken here.
    pub(crate) fn wake_all(&self) {
        while let Some(waker) = self.wakes.pop() {
            waker.wake();
        }
    }

    /// Has `run` run on the host's thread, when what was posted before has been delivered, and before what is
    /// posted later; false where the host has ended.
    pub(crate) fn run(&self, run: impl FnOnce(&Rc<Dispatcher>) + Send + 'static) -> bool {
        self.post_surely(Job::Control(Box::new(run)))
    }

    /// The future of an asynchronous handler can go on.
    pub(crate) fn wake_inbox(&self, serial: u64) {
        self.post_surely(Job::Wake(serial));
    }

    /// The answer to an ask of this thread; false where the host has ended.
    pub(crate) fn answer(&self, key: u64, outcome: Result<BodyBuf, RpcFailure>) -> bool {
        self.post_surely(Job::Answer(key, Box::new(outcome)))
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn cancel(&self, key: u64) {
        self.post_surely(Job::Cancel(key));
    }

    /// The next of what was posted.
    pub(crate) fn take(&self) -> Option<Job> {
        let job = self.posts.pop().or_else(|| self.take_overflow())?;
        if job.is_control() {
            let before = self.controls.fetch_sub(1, Ordering::SeqCst);
            assert!(before > 0, "an order is counted before it is posted");
        }
        Some(job)
    }

    fn take_overflow(&self) -> Option<Job> {
        if self.overflowing.load(Ordering::SeqCst) == 0 {
            return None;
        }
        // Posts from before the overflow may have come since we looked.
        if let Some(job) = self.posts.pop() {
            return Some(job);
        }
        let job = self.overflow.pop()?;
        let before = self.overflowing.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "what overflows is counted before it is queued");
        Some(job)
    }

    /// Messages and orders that wait.
    pub(crate) fn len(&self) -> usize {
        self.posts.len() + self.overflowing.load(Ordering::SeqCst)
    }

    /// Messages that wait.
    pub(crate) fn messages_len(&self) -> usize {
        self.len()
            .saturating_sub(self.controls.load(Ordering::SeqCst))
    }

    pub(crate) fn has_jobs(&self) -> bool {
        !self.posts.is_empty() || self.overflowing.load(Ordering::SeqCst) != 0
    }

    pub(crate) fn has_post(&self) -> bool {
        self.has_jobs() || !self.wakes.is_empty()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Its endpoints have all ended, or it has.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::SeqCst) || self.is_closed()
    }

    /// Its endpoints have all ended.
    pub(crate) fn set_quiet(&self) {
        self.quiet.store(true, Ordering::SeqCst);
    }

    /// Takes no more, and turns away what is here.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.turn_away();
    }

    /// The env does not wait for it any longer: its thread ends what is left as soon as its endpoint lets it.
    pub(crate) fn cut_off(&self) {
        self.cut_off.store(true, Ordering::SeqCst);
        self.close();
        self.waker.wake();
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::SeqCst)
    }

    fn turn_away(&self) {
        while let Some(job) = self.take() {
            job.turn_away();
        }
        self.wake_all();
    }
}

debug_text!(ThreadHandle, |this| "ThreadHandle({})", this.name);

/// The services that a dispatcher needs of the thread that runs it.
pub(crate) trait Executor {
    /// Time of the thread's turn, in ns of the monotonic clock.
    fn now_ns(&self) -> u64;

    /// Have the dispatcher's timers looked at no later than then; `None` never.
    fn arm(&self, at_ns: Option<u64>);

    /// The dispatcher has more to do.
    fn rouse(&self);
}
