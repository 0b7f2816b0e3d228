//! A thread that runs endpoints, as all other threads see it: somewhere to post to.
//!
//! *Mail* (messages, in order, bounded) and *errands* (what must not be lost: set-up, stopping,
//! answers, wake-ups; their number is bounded by what they are about). Whoever posts rings the
//! [`Bell`]; the thread arms it, looks once more, and sleeps.

use std::fmt;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crate::rpc::error::RpcError;
use crate::rpc::settings::MAIL_KEY;
use crate::rpc::sync::{ArrayQueue, AtomicBool, AtomicUsize, SegQueue};

use super::Node;
use super::mail::{Errand, Mail};

/// Wakers that wait for a host's turn; further ones are woken from where they are.
const WAKES: usize = 1024;

/// Wakes a host's thread.
pub(crate) trait Bell: Send + Sync {
    /// There is something to do.
    fn ring(&self);
}

/// A thread that runs endpoints.
pub(crate) struct HostHandle {
    name: Box<str>,
    mail: ArrayQueue<Mail>,
    errands: SegQueue<Errand>,
    /// Futures of this thread whose outcome another one has brought.
    wakes: ArrayQueue<Waker>,
    closed: AtomicBool,
    /// Orders that mail must not overtake, and that are not among it.
    holds: AtomicUsize,
    quiet: AtomicBool,
    bell: Box<dyn Bell>,
    /// Its endpoints may block it: nobody can rely on its timers.
    may_block: bool,
}

/// Why mail was not taken.
#[derive(Debug)]
pub(crate) enum PostError {
    /// The host has ended.
    Closed(Mail),
    /// Too much waits already.
    Full(Mail),
}

impl HostHandle {
    pub(crate) fn new(name: String, capacity: usize, may_block: bool, bell: Box<dyn Bell>) -> Self {
        Self {
            name: name.into(),
            mail: ArrayQueue::new(capacity.max(1)),
            errands: SegQueue::new(),
            wakes: ArrayQueue::new(WAKES),
            closed: AtomicBool::new(false),
            holds: AtomicUsize::new(0),
            quiet: AtomicBool::new(false),
            bell,
            may_block,
        }
    }

    /// What it is called, for people.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Messages that may wait for it.
    pub(crate) fn capacity(&self) -> usize {
        self.mail.capacity()
    }

    /// Why mail was not taken where too much of it waits: `what` is full.
    pub(crate) fn full(&self, what: &'static str) -> RpcError {
        RpcError::Busy {
            what,
            limit: self.capacity() as u64,
            key: MAIL_KEY,
        }
    }

    pub(crate) fn may_block(&self) -> bool {
        self.may_block
    }

    /// Posts mail.
    ///
    /// # Errors
    /// Gives it back where there is no room, or nobody to take it.
    pub(crate) fn post(&self, mail: Mail) -> Result<(), PostError> {
        if self.is_closed() {
            return Err(PostError::Closed(mail));
        }
        if self.holds.load(Ordering::SeqCst) != 0 {
            return Err(PostError::Full(mail));
        }
        self.mail.push(mail).map_err(PostError::Full)?;
        // It may have closed, and looked for the last time, since we looked.
        if self.is_closed() {
            self.turn_away();
        } else {
            self.bell.ring();
        }
        Ok(())
    }

    /// Posts an errand; false where the host has ended, and then nobody does it.
    pub(crate) fn errand(&self, errand: Errand) -> bool {
        if self.is_closed() {
            return false;
        }
        self.errands.push(errand);
        if self.is_closed() {
            self.turn_away();
            return false;
        }
        self.bell.ring();
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
            Ok(()) => self.bell.ring(),
        }
    }

    /// Wakes the futures that are to be woken here.
    pub(crate) fn wake_all(&self) {
        while let Some(waker) = self.wakes.pop() {
            waker.wake();
        }
    }

    /// Has `run` run on the host's thread.
    pub(crate) fn run(&self, run: impl FnOnce(&Rc<Node>) + Send + 'static) -> bool {
        self.errand(Errand::Run(Box::new(run)))
    }

    /// Has `run` run there when the mail that was posted before has been delivered, and before what is
    /// posted later. Where the mail has no room for it, no other mail is taken until it has run.
    pub(crate) fn run_after_mail(&self, run: impl FnOnce(&Rc<Node>) + Send + 'static) -> bool {
        match self.post(Mail::Order(Box::new(run))) {
            Ok(()) => true,
            Err(PostError::Full(Mail::Order(run))) => {
                self.holds.fetch_add(1, Ordering::SeqCst);
                self.errand(Errand::RunAfterMail(run))
            }
            Err(_) => false,
        }
    }

    /// An order that had no room among the mail is about to run.
    pub(super) fn release(&self) {
        self.holds.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn take_mail(&self) -> Option<Mail> {
        self.mail.pop()
    }

    pub(crate) fn take_errand(&self) -> Option<Errand> {
        self.errands.pop()
    }

    pub(crate) fn mail_len(&self) -> usize {
        self.mail.len()
    }

    pub(crate) fn has_post(&self) -> bool {
        !self.mail.is_empty() || !self.errands.is_empty() || !self.wakes.is_empty()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Its endpoints have all ended, or it has.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::SeqCst) || self.is_closed()
    }

    /// Its endpoints have all ended.
    pub(super) fn set_quiet(&self) {
        self.quiet.store(true, Ordering::SeqCst);
    }

    /// Takes no more, and turns away what is here.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.turn_away();
    }

    fn turn_away(&self) {
        while let Some(mail) = self.mail.pop() {
            mail.turn_away();
        }
        // Dropped, an errand tells whoever waits for it.
        while self.errands.pop().is_some() {}
        self.wake_all();
    }
}

impl fmt::Debug for HostHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostHandle({})", self.name)
    }
}

/// What a node needs of the thread that runs it.
pub(crate) trait Host {
    /// Time of the thread's turn, in ns of the monotonic clock.
    fn now_ns(&self) -> u64;

    /// Have the node's timers looked at no later than then; `None` never.
    fn arm(&self, at_ns: Option<u64>);

    /// The node has more to do.
    fn rouse(&self);
}
