//! Answers for callers on other threads: one cell per request, wake-ups in batches.
//!
//! To wake a task of another thread costs a system call in most runtimes, so one per answer would
//! cost more than the answer. Answers of one turn are therefore told in one go: the shard wakes one
//! caller of each thread, the *leader*, and leaves the wakers of the others in that thread's
//! [`WakeBatch`]. The leader, polled on its own thread, wakes them there, where that is cheap.
//!
//! ```text
//!  shard: publish(outcome) ─ takes the caller's waker ─► deliveries ─► flush at the end of the turn
//!                                                                       │ first of a batch: wake
//!                                                                       │ others: WakeBatch::wakers
//!  caller: poll ─ registers its waker and its thread's batch                ▼
//!          poll again ◄── woken ─ takes the outcome, then wakes what is in the batch
//! ```
//!
//! Nobody depends on the leader alone. A leader that took its outcome before it was woken is seen by
//! its state ([`CONSUMED`]) and one that is dropped empties the batch as well; where a leader does
//! not run for [`LEADER_NS`], the shard wakes the others itself.

use std::cell::UnsafeCell;
use std::fmt;
use std::task::{Context, Poll, Waker};

use crate::sync::{Arc, ArrayQueue, AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

/// Wakers that may wait for their leader on one thread; further ones are woken by the shard.
#[cfg(not(loom))]
const BATCH: usize = 1024;
#[cfg(loom)]
const BATCH: usize = 2;

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

/// One request of another thread: where its answer is put, and whether somebody still wants it.
struct Call<T> {
    /// [`QUEUED`], [`RETRACTED`], or the request's id on its connection.
    ticket: AtomicU64,
    state: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
    /// The batch of the thread that polled last; not changed once the state is DONE.
    batch: UnsafeCell<Option<Arc<WakeBatch>>>,
    outcome: UnsafeCell<Option<T>>,
}

// SAFETY: the cells hold `Send` values. `waker` and `batch` are written by the caller while the state
// is IDLE, which only the caller changes to REGISTERED; `waker` is taken by whoever changes REGISTERED
// to something else, `batch` is only read after DONE. `outcome` is written before DONE is set and
// taken by the caller after it has seen that.
unsafe impl<T: Send> Send for Call<T> {}
// SAFETY: as above; each of the two ends has one holder ([`Caller`], [`Answerer`]).
unsafe impl<T: Send> Sync for Call<T> {}

/// The two ends of a request.
pub(crate) fn pair<T: Send>() -> (Caller<T>, Answerer<T>) {
    let call = Arc::new(Call {
        ticket: AtomicU64::new(QUEUED),
        state: AtomicU8::new(IDLE),
        waker: UnsafeCell::new(None),
        batch: UnsafeCell::new(None),
        outcome: UnsafeCell::new(None),
    });
    (Caller(Arc::clone(&call)), Answerer(call))
}

/// The caller's end of a request.
pub(crate) struct Caller<T>(Arc<Call<T>>);

impl<T: Send> Caller<T> {
    /// The outcome, once it is there; until then the task of `cx` is woken when it comes. `batch` is
    /// that of this thread. `None`: the outcome has been taken before.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, batch: &Arc<WakeBatch>) -> Poll<Option<T>> {
        loop {
            let state = &self.0.state;
            match state.load(Ordering::Acquire) {
                DONE => return Poll::Ready(self.consume()),
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
            self.register(cx.waker(), batch);
            let registered =
                state.compare_exchange(IDLE, REGISTERED, Ordering::AcqRel, Ordering::Relaxed);
            if registered.is_ok() {
                return Poll::Pending;
            }
        }
    }

    fn register(&self, waker: &Waker, batch: &Arc<WakeBatch>) {
        // SAFETY: the state is IDLE, in which both cells are the caller's, and there is one caller.
        let (kept, kept_batch) = unsafe { (&mut *self.0.waker.get(), &mut *self.0.batch.get()) };
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

    fn consume(&self) -> Option<T> {
        // SAFETY: the state is DONE: the outcome was written before, and only this end takes it.
        let outcome = unsafe { (*self.0.outcome.get()).take() };
        self.0.state.store(CONSUMED, Ordering::Relaxed);
        self.wake_others();
        outcome
    }

    /// This caller may be the leader of its batch, and is done.
    fn wake_others(&self) {
        // Pairs with the fence in `Deliveries::flush`: the shard finds this caller done, or this
        // thread finds the batch led.
        fence(Ordering::SeqCst);
        if let Some(batch) = self.0.batch()
            && batch.is_led()
        {
            batch.drain();
        }
    }

    /// Lets go; the id to cancel, where the request has been sent.
    pub(crate) fn retract(&mut self) -> Option<u64> {
        let sent = match self.0.ticket.swap(RETRACTED, Ordering::AcqRel) {
            QUEUED | RETRACTED => None,
            id => Some(id),
        };
        if self.0.state.swap(CONSUMED, Ordering::AcqRel) == DONE {
            self.wake_others();
        }
        sent
    }
}

impl<T> Call<T> {
    /// The batch of a call whose state is, or was, DONE; or that its caller asks for.
    fn batch(&self) -> Option<&Arc<WakeBatch>> {
        // SAFETY: the caller changes the cell while the state is IDLE, and does not call this then;
        // the shard calls it after it has set DONE.
        unsafe { (*self.batch.get()).as_ref() }
    }
}

/// The shard's end of a request.
pub(crate) struct Answerer<T>(Arc<Call<T>>);

impl<T: Send> Answerer<T> {
    /// Ties the request that is being sent to its caller.
    pub(crate) fn ticket(&self) -> Ticket<T> {
        Ticket(Arc::clone(&self.0))
    }

    /// Whether the caller has let go already.
    pub(crate) fn is_retracted(&self) -> bool {
        self.0.ticket.load(Ordering::Acquire) == RETRACTED
    }

    /// Puts the outcome where the caller finds it; gives out whom to wake, if anybody.
    pub(crate) fn publish(self, outcome: T) -> Option<Delivery<T>> {
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

/// See [`Answerer::ticket`].
pub(crate) struct Ticket<T>(Arc<Call<T>>);

impl<T> Ticket<T> {
    /// The request has got its id; false where the caller has retracted it.
    pub(crate) fn sent_as(&self, id: u64) -> bool {
        let ticket = &self.0.ticket;
        // AcqRel: what the caller did before retracting is seen, and the id is published.
        ticket
            .compare_exchange(QUEUED, id, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// A caller that is to be woken.
#[must_use = "nobody else wakes it"]
pub(crate) struct Delivery<T> {
    call: Arc<Call<T>>,
    waker: Waker,
}

impl<T> Delivery<T> {
    /// Wakes it now.
    pub(crate) fn wake(self) {
        self.waker.wake();
    }

    fn is_consumed(&self) -> bool {
        self.call.state.load(Ordering::Relaxed) == CONSUMED
    }
}

/// The callers that a shard's turn has answers for.
pub(crate) struct Deliveries<T> {
    waiting: Vec<Delivery<T>>,
    leaders: Vec<Delivery<T>>,
    /// Batches that wait for their leader, and since when.
    led: Vec<(Arc<WakeBatch>, u64)>,
}

impl<T> Default for Deliveries<T> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            leaders: Vec::new(),
            led: Vec::new(),
        }
    }
}

impl<T> Deliveries<T> {
    pub(crate) fn push(&mut self, delivery: Delivery<T>) {
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
        // Pairs with the fences in `WakeBatch::drain` and `Caller::wake_others`.
        fence(Ordering::SeqCst);
        for leader in self.leaders.drain(..) {
            let batch = leader.call.batch().filter(|_| leader.is_consumed());
            match batch {
                Some(batch) => batch.drain(),
                None => leader.wake(),
            }
        }
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

impl<T> fmt::Debug for Caller<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_done = self.0.state.load(Ordering::Relaxed) == DONE;
        write!(f, "Caller(done: {is_done})")
    }
}

impl<T> fmt::Debug for Answerer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answerer")
    }
}

#[cfg(all(test, loom))]
#[path = "remote_loom.rs"]
mod loom_tests;
