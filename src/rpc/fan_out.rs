//! Asking many at once: no thread per ask, and a bound on how many are under way.

use std::fmt;
use std::future::Future;
use std::iter::Fuse;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crossbeam_queue::ArrayQueue;

use super::ask::{Ask, block_on};
use super::dispatcher::may_block;
use super::error::RpcError;
use super::message::Payload;
use super::sync::Unpoisoned;

/// Makes many asks, at most `at_a_time` of them outstanding, and gives their outcomes in order.
///
/// The iterator is advanced when there is room for another ask, so that asks which it makes lazily are
/// made no earlier.
///
/// ```
/// # use ringrail::rpc::{FnEndpoint, Message, RpcEnv, RpcError, ask_all};
/// # use rkyv::{Archive, Deserialize, Serialize};
/// # #[derive(Archive, Serialize, Deserialize)]
/// # struct Echo(u64);
/// # impl Message for Echo { type Reply = u64; const NAME: &'static str = "Echo"; }
/// # let env = RpcEnv::builder("demo").backend("local").build()?;
/// # let endpoint = |_| FnEndpoint::new().on::<Echo>(|m, call| { call.reply(m.take()?.0); Ok(()) });
/// # let workers: Vec<_> = (0..100)
/// #     .map(|n| env.setup_endpoint(&format!("worker{n}"), endpoint(n)))
/// #     .collect::<Result<_, _>>()?;
/// let asks = workers.iter().zip(0..).map(|(worker, n)| worker.ask(Echo(n)));
/// let replies = ask_all(asks, 32).wait()?;
/// assert_eq!(replies[7].as_ref().ok(), Some(&7));
/// # Ok::<(), RpcError>(())
/// ```
pub fn ask_all<R, I>(asks: I, at_a_time: usize) -> AskAll<R, I::IntoIter>
where
    R: Payload,
    I: IntoIterator<Item = Ask<R>>,
{
    let places = at_a_time.max(1);
    AskAll {
        asks: asks.into_iter().fuse(),
        started: 0,
        slots: Vec::new(),
        limit: places,
        free: Vec::new(),
        outcomes: Vec::new(),
        ready: Arc::new(Ready {
            slots: ArrayQueue::new(2 * places),
            parent: Mutex::new(None),
        }),
    }
}

/// Slots whose asks may have come to an end.
struct Ready {
    slots: ArrayQueue<usize>,
    parent: Mutex<Option<Waker>>,
}

/// Wakes one slot. Made once, used by every ask that has the slot.
struct SlotWaker {
    slot: usize,
    ready: Arc<Ready>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A slot is woken once per ask; one that is woken too often has a place in the queue already.
        let _ = self.ready.slots.push(self.slot);
        let parent = self.ready.parent.lock();
        let waker = parent.unpoisoned().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Slot<R: Payload> {
    /// The ask, and which of all it is.
    ask: Option<(Ask<R>, usize)>,
    waker: Waker,
}

/// The outcomes of many asks, to come; see [`ask_all`].
///
/// # Cancel safety
/// Dropping it retracts what is under way.
#[must_use = "futures do nothing unless polled"]
pub struct AskAll<R: Payload, I: Iterator<Item = Ask<R>>> {
    asks: Fuse<I>,
    started: usize,
    slots: Vec<Slot<R>>,
    limit: usize,
    free: Vec<usize>,
    outcomes: Vec<Option<Result<R, RpcError>>>,
    ready: Arc<Ready>,
}

impl<R: Payload, I: Iterator<Item = Ask<R>>> AskAll<R, I> {
    /// Waits for all outcomes, blocking this thread.
    ///
    /// # Errors
    /// [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn wait(self) -> Result<Vec<Result<R, RpcError>>, RpcError>
    where
        I: Unpin,
    {
        may_block("waiting for replies")?;
        Ok(block_on(self))
    }

    /// A slot for another ask, if one is free.
    fn place(&mut self) -> Option<usize> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = self.slots.len();
        if slot == self.limit {
            return None;
        }
        let ready = Arc::clone(&self.ready);
        let waker = Waker::from(Arc::new(SlotWaker { slot, ready }));
        self.slots.push(Slot { ask: None, waker });
        Some(slot)
    }

    /// Looks at one ask; true where it is over.
    fn look(&mut self, slot: usize) -> bool {
        let place = &mut self.slots[slot];
        let Some((ask, index)) = &mut place.ask else {
            return false;
        };
        let mut context = Context::from_waker(&place.waker);
        let Poll::Ready(outcome) = Pin::new(ask).poll(&mut context) else {
            return false;
        };
        let before = self.outcomes[*index].replace(outcome);
        assert!(before.is_none(), "an ask ends once");
        place.ask = None;
        self.free.push(slot);
        true
    }

    /// Starts asks while there is room.
    fn start(&mut self) {
        while let Some(slot) = self.place() {
            let Some(ask) = self.asks.next() else {
                self.free.push(slot);
                return;
            };
            let before = self.slots[slot].ask.replace((ask, self.started));
            assert!(before.is_none(), "a free slot has no ask");
            self.started += 1;
            self.outcomes.push(None);
            self.look(slot);
        }
    }
}

impl<R: Payload, I: Iterator<Item = Ask<R>> + Unpin> Future for AskAll<R, I> {
    type Output = Vec<Result<R, RpcError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        {
            let parent = this.ready.parent.lock();
            let mut parent = parent.unpoisoned();
            if !parent
                .as_ref()
                .is_some_and(|known| known.will_wake(cx.waker()))
            {
                *parent = Some(cx.waker().clone());
            }
        }
        this.start();
        while let Some(slot) = this.ready.slots.pop() {
            if this.look(slot) {
                this.start();
            }
        }
        if this.free.len() < this.slots.len() {
            return Poll::Pending;
        }
        let outcomes = std::mem::take(&mut this.outcomes);
        assert!(outcomes.iter().all(Option::is_some), "every ask has ended");
        Poll::Ready(outcomes.into_iter().flatten().collect())
    }
}

// Nothing in it is pinned but, perhaps, the iterator.
impl<R: Payload, I: Iterator<Item = Ask<R>> + Unpin> Unpin for AskAll<R, I> {}

impl<R: Payload, I: Iterator<Item = Ask<R>>> fmt::Debug for AskAll<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let under_way = self.slots.len() - self.free.len();
        write!(f, "AskAll({} started, {under_way} under way)", self.started)
    }
}
