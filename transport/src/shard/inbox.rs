//! The bounded inbox of a shard: how other threads hand it work.
//!
//! Any thread [pushes](Inbox::push); the shard alone [drains](Inbox::drain). A
//! full inbox gives the message back, it never grows.
//!
//! A shard that has nothing to do sleeps in the kernel, and a pusher must then
//! wake it, which costs a system call. The protocol that makes this rare and
//! never loses a wake-up is *arm, recheck, sleep*:
//!
//! ```text
//!   shard                                pusher
//!   drain until empty                    push the message
//!   prepare_sleep: arm the flag          full fence
//!     full fence                         flag armed?  no: done
//!     inbox still empty?  no: go on      yes: one pusher disarms it ...
//!   sleep ...                       <--- ... and wakes the shard
//!   finish_sleep: disarm the flag
//! ```
//!
//! While the shard is busy the flag is never armed and a push costs no more
//! than the queue and one load. When it sleeps, exactly one of the pushers
//! wins the flag and learns it by [`Pushed::wake_needed`]; the others are done.

use std::fmt;

use crossbeam_utils::CachePadded;

use crate::sync::{ArrayQueue, AtomicU8, AtomicU64, Ordering, fence};

/// The shard runs (or has been woken): a push needs no wake-up.
const AWAKE: u8 = 0;
/// The shard sleeps or is about to: the next push must wake it.
const ASLEEP: u8 = 1;
/// The shard has ended: pushed messages are not handled.
const CLOSED: u8 = 2;

/// A bounded lock-free inbox: many threads push, one shard drains.
///
/// # Example
///
/// ```
/// use ringrail_transport::shard::inbox::{Inbox, PushError};
///
/// let inbox = Inbox::new(1);
/// assert!(!inbox.push("first").unwrap().wake_needed);
/// assert!(matches!(inbox.push("second"), Err(PushError::Full("second"))));
/// assert_eq!(inbox.pop(), Some("first"));
///
/// assert!(inbox.prepare_sleep());                    // nothing left: sleep
/// assert!(inbox.push("third").unwrap().wake_needed); // this caller must wake it
/// inbox.finish_sleep();
/// ```
pub struct Inbox<T> {
    queue: ArrayQueue<T>,
    /// Read by every push and written only around sleeps, so it stays shared in
    /// the caches of all pushers: it must not lie beside anything that changes.
    state: CachePadded<AtomicU8>,
    pushers: CachePadded<PusherCounters>,
    shard: CachePadded<ShardCounters>,
}

/// Counted by the pushers, and only where a push is slow anyway.
struct PusherCounters {
    full: AtomicU64,
    wakes: AtomicU64,
}

/// Counted by the shard alone, so a load and a store do without a locked
/// instruction.
struct ShardCounters {
    popped: AtomicU64,
    depth_max: AtomicU64,
}

/// A message was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a shard that sleeps is not woken unless the caller wakes it"]
pub struct Pushed {
    /// The shard sleeps and this caller, alone, has to wake it.
    pub wake_needed: bool,
}

/// A message was refused; it is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// The inbox is full because the shard is behind: retry later, or propagate the backpressure.
    Full(T),
    /// The shard has shut down. A retry cannot help.
    Closed(T),
}

impl<T> PushError<T> {
    /// The message that was not accepted.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the shard's inbox is full: it gets work faster than it handles it",
            Self::Closed(_) => "the shard has shut down and takes no more work",
        })
    }
}

impl<T> std::error::Error for PushError<T> {}

/// The counters of an inbox since its creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InboxStats {
    /// Messages accepted.
    pub pushed: u64,
    /// Messages rejected because the inbox was full.
    pub full: u64,
    /// Pushes that had to wake the shard.
    pub wakes: u64,
    /// The most messages found waiting when the shard came to drain them.
    pub depth_max: u64,
}

impl<T> Inbox<T> {
    /// An inbox that holds at most `capacity` messages.
    ///
    /// # Panics
    ///
    /// If `capacity` is zero.
    pub fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity),
            state: CachePadded::new(AtomicU8::new(AWAKE)),
            pushers: CachePadded::new(PusherCounters {
                full: AtomicU64::new(0),
                wakes: AtomicU64::new(0),
            }),
            shard: CachePadded::new(ShardCounters {
                popped: AtomicU64::new(0),
                depth_max: AtomicU64::new(0),
            }),
        }
    }

    /// Posts a message, from any thread, without blocking.
    ///
    /// A message that is accepted while the inbox is being [closed](Self::close)
    /// is dropped: its `Drop` must resolve every waiter.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] and [`PushError::Closed`] give the message back.
    pub fn push(&self, message: T) -> Result<Pushed, PushError<T>> {
        // Relaxed: a stale view only takes the longer way; the load after the
        // fence below is the one that decides.
        if self.state.load(Ordering::Relaxed) == CLOSED {
            return Err(PushError::Closed(message));
        }
        if let Err(message) = self.queue.push(message) {
            self.pushers.full.fetch_add(1, Ordering::Relaxed);
            return Err(PushError::Full(message));
        }
        // Pairs with the fences in `prepare_sleep` and `close`. Each side writes
        // one location and then reads the other's (store buffering), which
        // acquire and release do not order: without both fences the pusher could
        // read the old state while the shard reads the old, empty queue.
        fence(Ordering::SeqCst);
        let wake_needed = match self.state.load(Ordering::Relaxed) {
            AWAKE => false,
            ASLEEP => self.claim_wake(),
            _ => {
                self.discard_all();
                false
            }
        };
        Ok(Pushed { wake_needed })
    }

    /// Announces work outside the queue to the shard. True: it sleeps, or is about to, and
    /// this caller has to wake it. For code on the shard's own thread, between its turns.
    pub fn rouse(&self) -> bool {
        self.claim_wake()
    }

    /// As [`rouse`](Self::rouse), from any thread. Store the work first, where the shard checks for it
    /// after it has [announced](Self::prepare_sleep) its sleep.
    pub fn notify(&self) -> bool {
        // Pairs with the fence in `prepare_sleep`, as in `push`.
        fence(Ordering::SeqCst);
        self.state.load(Ordering::Relaxed) == ASLEEP && self.claim_wake()
    }

    /// Disarms the flag; true for the one pusher that did.
    fn claim_wake(&self) -> bool {
        // Relaxed: a read-modify-write sees the latest value, so one pusher wins,
        // and the state publishes nothing; messages are published by the queue.
        let won = self.disarm();
        if won {
            self.pushers.wakes.fetch_add(1, Ordering::Relaxed);
        }
        won
    }

    /// `ASLEEP` to `AWAKE`, and never out of `CLOSED`.
    fn disarm(&self) -> bool {
        self.state
            .compare_exchange(ASLEEP, AWAKE, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes the oldest message. For the shard's thread alone.
    pub fn pop(&self) -> Option<T> {
        let message = self.queue.pop()?;
        count(&self.shard.popped, 1);
        Some(message)
    }

    /// Hands at most `limit` messages to `handle`, oldest first, and returns how
    /// many it was. For the shard's thread alone.
    ///
    /// The limit keeps a flood of messages from starving the sockets.
    pub fn drain(&self, limit: usize, mut handle: impl FnMut(T)) -> usize {
        self.note_depth();
        let mut drained = 0;
        while drained < limit {
            let Some(message) = self.pop() else { break };
            drained += 1;
            handle(message);
        }
        drained
    }

    /// Records the number of waiting messages for [`InboxStats::depth_max`]. For the shard's thread
    /// only.
    pub fn note_depth(&self) {
        let depth = self.queue.len() as u64;
        if depth > self.shard.depth_max.load(Ordering::Relaxed) {
            self.shard.depth_max.store(depth, Ordering::Relaxed);
        }
    }

    /// Whether the inbox is empty.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Number of waiting messages.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Limit of waiting messages.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Announces that the shard is about to sleep. True: it may sleep, and the next push
    /// will wake it. False: a message has arrived (or the inbox is closed), do not sleep.
    /// For the shard's thread only.
    ///
    /// After a sleep call [`finish_sleep`](Self::finish_sleep).
    pub fn prepare_sleep(&self) -> bool {
        // Relaxed: ordered by the fence.
        let armed =
            self.state
                .compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
        if armed == Err(CLOSED) {
            return false;
        }
        // Pairs with the fence in `push`: either this thread sees the message in
        // the queue, or the pusher sees the armed flag (or both, which costs one
        // needless wake-up).
        fence(Ordering::SeqCst);
        if self.queue.is_empty() {
            return true;
        }
        self.finish_sleep();
        false
    }

    /// Announces that the shard is awake again, for any reason.
    pub fn finish_sleep(&self) {
        // A push that reads the armed flag just before this sends a wake-up that
        // finds the shard awake; one that reads it just after sends none, and the
        // shard looks into the queue before it sleeps again.
        self.disarm();
    }

    /// Closes the inbox permanently: pushes fail, and waiting messages are dropped. Callable from
    /// any thread; a shard calls it as it ends.
    pub fn close(&self) {
        self.state.store(CLOSED, Ordering::Relaxed);
        // Pairs with the fence in `push`: a message that this thread does not
        // see is dropped by the thread that pushed it, which sees the close.
        fence(Ordering::SeqCst);
        self.discard_all();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) == CLOSED
    }

    fn discard_all(&self) {
        while self.queue.pop().is_some() {}
    }

    /// The counters so far. Callable from any thread; figures read during concurrent pushes may
    /// differ by a message.
    pub fn stats(&self) -> InboxStats {
        InboxStats {
            pushed: self.shard.popped.load(Ordering::Relaxed) + self.queue.len() as u64,
            full: self.pushers.full.load(Ordering::Relaxed),
            wakes: self.pushers.wakes.load(Ordering::Relaxed),
            depth_max: self.shard.depth_max.load(Ordering::Relaxed),
        }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Adds to a counter that only this thread writes.
fn count(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
}

#[cfg(all(test, not(loom)))]
#[path = "inbox_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "inbox_loom.rs"]
mod loom_tests;
