//! Answers for callers on other threads: one cell per request, wake-ups in batches.
//!
//! To wake a task of another thread costs a system call in most runtimes, so one per answer would
//! cost more than the answer. Answers of one turn are therefore told in one go: the shard wakes one
//! caller of each thread, the *leader*, and leaves the wakers of the others in that thread's
//! [`WakeBatch`]. The leader, polled on its own thread, wakes them there, where that is cheap.
//!
//! ```text
//!  caller: pair ─ puts the question into a cell that an earlier request has used
//!    │                                                        inbox: the cell alone
//!    └────────────────────────────────────────────────────────────────────────────► shard
//!  shard: publish(outcome) ─ takes the caller's waker ─► deliveries ─► flush at the end of the turn
//!                                                                       │ first of a batch: wake
//!                                                                       │ others: WakeBatch::wakers
//!  caller: poll ─ registers its waker and its thread's batch                ▼
//!          poll again ◄── woken ─ takes the outcome, then wakes what is in the batch
//! ```
//!
//! The question lies in the cell and not in the inbox: the inbox is walked in a circle, so its places
//! are cold, while cells are used again at once ([`Spare`]).
//!
//! The batch does not depend on the leader alone. The shard makes the caller a leader by its state
//! ([`LED`]), and finds there if it has taken its outcome before; a leader that is dropped empties the
//! batch as well; where a leader does not run for [`LEADER_NS`], the shard wakes the others itself.

use std::cell::UnsafeCell;
use std::fmt;
use std::task::{Context, Poll, Waker};

use crate::sync::{Arc, ArrayQueue, AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

/// Wakers that may wait for their leader on one thread; further ones are woken by the shard.
#[cfg(not(loom))]
const BATCH: usize = 1024;
#[cfg(loom)]
const BATCH: usize = 2;

/// Cells that a thread keeps for its next requests, at most: as many as it usually has under way.
const SPARES: usize = 1024;

/// How long a leader may take to run before the shard wakes those that wait for it.
pub(crate) const LEADER_NS: u64 = 500_000;

/// Nobody is registered.
const IDLE: u8 = 0;
/// `waker` holds the caller's waker; whoever changes this state may touch it.
const REGISTERED: u8 = 1;
/// `outcome` is set.
const DONE: u8 = 2;
/// The caller has taken the outcome, or has gone.
const CONSUMED: u8 = 3;
/// As DONE, and the caller is to wake those that wait in its batch.
const LED: u8 = 4;

/// The request is on its way to the shard.
const QUEUED: u64 = 0;
/// The caller has let go of it.
const RETRACTED: u64 = u64::MAX;

/// The wakers of one thread's callers that wait for their leader.
pub(crate) struct WakeBatch {
    wakers: ArrayQueue<Waker>,
    /// A leader has been chosen that has not emptied the batch yet.
    led: AtomicBool,
}

impl WakeBatch {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            wakers: ArrayQueue::new(BATCH),
            led: AtomicBool::new(false),
        })
    }

    fn is_led(&self) -> bool {
        self.led.load(Ordering::Relaxed)
    }

    /// Wakes everybody who waits here.
    fn drain(&self) {
        self.led.store(false, Ordering::Relaxed);
        // Pairs with the fence in `Deliveries::flush`: a waker that is missed below was pushed by a
        // shard that then finds the batch without a leader, and empties it itself.
        fence(Ordering::SeqCst);
        while let Some(waker) = self.wakers.pop() {
            waker.wake();
        }
    }
}

/// One request of another thread: what is asked, where its answer is put, and whether it is still
/// wanted.
struct Call<Q, T> {
    /// [`QUEUED`], [`RETRACTED`], or the request's id on its connection.
    ticket: AtomicU64,
    state: AtomicU8,
    /// Taken by the shard.
    question: UnsafeCell<Option<Q>>,
    waker: UnsafeCell<Option<Waker>>,
    /// The batch of the thread that polled last; not changed once the state is DONE.
    batch: UnsafeCell<Option<Arc<WakeBatch>>>,
    outcome: UnsafeCell<Option<T>>,
}

// SAFETY: the cells hold `Send` values. `question` is written before the two ends part and is then the
// shard's. `waker` and `batch` are written by the caller while the state is IDLE, which only the caller
// changes to REGISTERED; `waker` is taken by whoever changes REGISTERED to something else, `batch` is
// only read after DONE. `outcome` is written before DONE is set and taken by the caller after it has
// seen that.
unsafe impl<Q: Send, T: Send> Send for Call<Q, T> {}
// SAFETY: as above; each of the two ends has one holder ([`Caller`], [`Answerer`]).
unsafe impl<Q: Send, T: Send> Sync for Call<Q, T> {}

/// Cells of requests that are over, for the next ones of the same thread: without them, every request
/// allocates on one thread what may be freed on another.
pub(crate) struct Spare<Q, T>(Vec<Arc<Call<Q, T>>>);

impl<Q: Send, T: Send> Spare<Q, T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The two ends of a request.
    pub(crate) fn pair(&mut self, question: Option<Q>) -> (Caller<Q, T>, Answerer<Q, T>) {
        let mut call = self.0.pop().unwrap_or_else(new_call);
        let fresh = Arc::get_mut(&mut call);
        assert!(fresh.is_some(), "a cell is in use by two requests");
        if let Some(fresh) = fresh {
            *fresh.question.get_mut() = question;
        }
        (Caller(Some(Arc::clone(&call))), Answerer(call))
    }

    /// Keeps a cell.
    pub(crate) fn keep(&mut self, used: Used<Q, T>) {
        if self.0.len() < SPARES {
            self.0.push(used.0);
        }
    }
}

/// The cell of a request that is over, empty again.
pub(crate) struct Used<Q, T>(Arc<Call<Q, T>>);

fn new_call<Q, T>() -> Arc<Call<Q, T>> {
    Arc::new(Call {
        ticket: AtomicU64::new(QUEUED),
        state: AtomicU8::new(IDLE),
        question: UnsafeCell::new(None),
        waker: UnsafeCell::new(None),
        batch: UnsafeCell::new(None),
        outcome: UnsafeCell::new(None),
    })
}

/// The caller's end of a request; empty once the request is over and its cell given back.
pub(crate) struct Caller<Q, T>(Option<Arc<Call<Q, T>>>);

impl<Q: Send, T: Send> Caller<Q, T> {
    /// The outcome, once it is there; until then the task of `cx` is woken when it comes. `batch` is
    /// that of this thread. `None`: the outcome has been taken before.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, batch: &Arc<WakeBatch>) -> Poll<Option<T>> {
        let Some(call) = &self.0 else {
            return Poll::Ready(None);
        };
        loop {
            let state = &call.state;
            match state.load(Ordering::Acquire) {
                DONE | LED => return Poll::Ready(call.consume()),
                CONSUMED => return Poll::Ready(None),
                REGISTERED => {
                    // Taken back, to change the waker; where that fails, the outcome has come.
                    let back = state.compare_exchange(
                        REGISTERED,
                        IDLE,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    );
                    if back.is_err() {
                        continue;
                    }
                }
                _ => {}
            }
            call.register(cx.waker(), batch);
            let registered =
                state.compare_exchange(IDLE, REGISTERED, Ordering::AcqRel, Ordering::Relaxed);
            if registered.is_ok() {
                return Poll::Pending;
            }
        }
    }

    /// The cell of a request that is over, where the shard has let go of it too.
    pub(crate) fn used(&mut self) -> Option<Used<Q, T>> {
        let mut cell = self.0.take()?;
        let call = Arc::get_mut(&mut cell)?;
        call.ticket = AtomicU64::new(QUEUED);
        call.state = AtomicU8::new(IDLE);
        *call.question.get_mut() = None;
        *call.waker.get_mut() = None;
        *call.outcome.get_mut() = None;
        Some(Used(cell))
    }

    /// Lets go; the id to cancel, where the request has been sent.
    pub(crate) fn retract(&mut self) -> Option<u64> {
        let call = self.0.as_ref()?;
        let sent = match call.ticket.swap(RETRACTED, Ordering::AcqRel) {
            QUEUED | RETRACTED => None,
            id => Some(id),
        };
        call.let_go();
        sent
    }
}

impl<Q, T> Call<Q, T> {
    /// For the caller alone, while the state is IDLE.
    fn register(&self, waker: &Waker, batch: &Arc<WakeBatch>) {
        // SAFETY: the state is IDLE, in which both cells are the caller's, and there is one caller.
        let (kept, kept_batch) = unsafe { (&mut *self.waker.get(), &mut *self.batch.get()) };
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
        if !kept_batch
            .as_ref()
            .is_some_and(|kept| Arc::ptr_eq(kept, batch))
        {
            *kept_batch = Some(Arc::clone(batch));
        }
    }

    /// For the caller alone, once the state is DONE or LED.
    fn consume(&self) -> Option<T> {
        // SAFETY: the outcome was written before the state said so, and only the caller takes it.
        let outcome = unsafe { (*self.outcome.get()).take() };
        self.let_go();
        outcome
    }

    /// The caller is done. If it leads its batch, those that wait there are woken.
    fn let_go(&self) {
        // AcqRel: a leader sees what the shard has put into the batch before.
        if self.state.swap(CONSUMED, Ordering::AcqRel) == LED
            && let Some(batch) = self.batch()
        {
            batch.drain();
        }
    }

    /// The batch of a call whose state is, or was, DONE.
    fn batch(&self) -> Option<&Arc<WakeBatch>> {
        // SAFETY: the caller changes the cell while the state is IDLE alone, and does not call this
        // then; the shard calls it after it has set DONE.
        unsafe { (*self.batch.get()).as_ref() }
    }
}

/// The shard's end of a request.
pub(crate) struct Answerer<Q, T>(Arc<Call<Q, T>>);

impl<Q: Send, T: Send> Answerer<Q, T> {
    /// The question; `None` where it has been taken before.
    pub(crate) fn question(&mut self) -> Option<Q> {
        // SAFETY: the cell was written before the two ends parted; since then only this end, which is
        // borrowed exclusively, touches it.
        unsafe { (*self.0.question.get()).take() }
    }

    /// Whether the caller has let go already.
    pub(crate) fn is_retracted(&self) -> bool {
        self.0.ticket.load(Ordering::Acquire) == RETRACTED
    }

    /// The request has got its id; false where the caller has retracted it.
    pub(crate) fn sent_as(&self, id: u64) -> bool {
        // AcqRel: what the caller did before retracting is seen, and the id is published.
        self.0
            .ticket
            .compare_exchange(QUEUED, id, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Puts the outcome where the caller finds it; gives out whom to wake, if anybody.
    pub(crate) fn publish(self, outcome: T) -> Option<Delivery<Q, T>> {
        let call = self.0;
        // SAFETY: there is one answerer, which this consumes, and the caller does not look before the
        // state says DONE.
        unsafe { *call.outcome.get() = Some(outcome) };
        match call.state.swap(DONE, Ordering::AcqRel) {
            REGISTERED => {
                // SAFETY: the swap took REGISTERED away, so the cell is this thread's.
                let waker = unsafe { (*call.waker.get()).take() }?;
                Some(Delivery { call, waker })
            }
            CONSUMED => {
                call.state.store(CONSUMED, Ordering::Relaxed);
                None
            }
            _ => None,
        }
    }
}

/// A caller that is to be woken.
#[must_use = "the caller waits until it is woken"]
pub(crate) struct Delivery<Q, T> {
    call: Arc<Call<Q, T>>,
    waker: Waker,
}

impl<Q, T> Delivery<Q, T> {
    /// Wakes it now.
    pub(crate) fn wake(self) {
        let Self { call, waker } = self;
        // First, so that the caller can use the cell again.
        drop(call);
        waker.wake();
    }

    /// Makes the caller the leader of its batch, and wakes it; or does what it would, if it is done.
    fn lead(self) {
        // Release: what has been put into the batch is seen by the leader.
        let leads =
            self.call
                .state
                .compare_exchange(DONE, LED, Ordering::Release, Ordering::Relaxed);
        if leads.is_err()
            && let Some(batch) = self.call.batch()
        {
            batch.drain();
            return;
        }
        self.wake();
    }
}

/// The callers that a shard's turn has answers for.
pub(crate) struct Deliveries<Q, T> {
    waiting: Vec<Delivery<Q, T>>,
    leaders: Vec<Delivery<Q, T>>,
    /// Batches that wait for their leader, and since when.
    led: Vec<(Arc<WakeBatch>, u64)>,
}

impl<Q, T> Default for Deliveries<Q, T> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            leaders: Vec::new(),
            led: Vec::new(),
        }
    }
}

impl<Q, T> Deliveries<Q, T> {
    pub(crate) fn push(&mut self, delivery: Delivery<Q, T>) {
        self.waiting.push(delivery);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds what came while `self` was out.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.waiting.append(&mut other.waiting);
        self.led.append(&mut other.led);
        debug_assert!(other.leaders.is_empty(), "leaders are woken at once");
    }

    /// Until when the leader may take that is waited for longest.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        self.led.iter().map(|(_, since)| since + LEADER_NS).min()
    }

    /// Wakes one caller of each thread, which wakes the others there.
    pub(crate) fn flush(&mut self, now_ns: u64) {
        for delivery in self.waiting.drain(..) {
            let Some(batch) = delivery.call.batch() else {
                delivery.waker.wake();
                continue;
            };
            if !batch.led.swap(true, Ordering::Relaxed) {
                self.leaders.push(delivery);
                continue;
            }
            if !self.led.iter().any(|(led, _)| Arc::ptr_eq(led, batch)) {
                self.led.push((Arc::clone(batch), now_ns));
            }
            if let Err(waker) = batch.wakers.push(delivery.waker) {
                waker.wake();
            }
        }
        for leader in self.leaders.drain(..) {
            leader.lead();
        }
        // Pairs with the fence in `WakeBatch::drain`.
        fence(Ordering::SeqCst);
        self.led.retain(|(batch, _)| {
            let is_led = batch.is_led();
            if !is_led {
                // Its leader may have emptied it before the last waker came.
                batch.drain();
            }
            is_led
        });
    }

    /// Wakes those whose leader has not run in its time.
    pub(crate) fn wake_overdue(&mut self, now_ns: u64) {
        self.led.retain(|(batch, since)| {
            let is_overdue = now_ns >= since + LEADER_NS;
            if is_overdue {
                batch.drain();
            }
            !is_overdue && batch.is_led()
        });
    }
}

impl<Q, T> fmt::Debug for Caller<Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self
            .0
            .as_ref()
            .map(|call| call.state.load(Ordering::Relaxed));
        write!(f, "Caller(state: {state:?})")
    }
}

impl<Q, T> fmt::Debug for Answerer<Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answerer")
    }
}

#[cfg(all(test, loom))]
#[path = "remote_loom.rs"]
mod loom_tests;
