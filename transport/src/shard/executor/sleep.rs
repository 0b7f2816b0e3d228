//! Time for futures on a shard: sleep, and time limits on other futures.
//!
//! Both use the shard's timer wheel, so they work on every shard and are at most a millisecond late.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

use crate::shard::handle::ShardHandle;
use crate::shard::local::{ShardLocal, TimerFor};
use crate::shard::timer::TimerKey;

use super::Wakeup;

/// The sleeping futures of a shard; `None` once their time has passed.
pub(crate) type Sleepers = Slab<Option<Wakeup>>;

/// A pending sleep, on a shard. See [`ShardHandle::sleep`].
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    after: Duration,
    set: Option<Set>,
}

struct Set {
    local: Rc<ShardLocal>,
    slot: usize,
    timer: TimerKey,
}

impl Sleep {
    /// Sets the timer at the first poll.
    fn start(&mut self, waker: &Waker) -> Poll<()> {
        let Some(local) = crate::shard::handle::current() else {
            panic!("a shard's timer was polled on another thread than the shard's");
        };
        let wakeup = local.executor.wakeup(waker);
        let slot = local.sleepers.borrow_mut().insert(Some(wakeup));
        let what = TimerFor::Sleep { slot: slot as u32 };
        match local.set_timer(self.after, what) {
            Some((timer, _)) => {
                local.wake_between_turns();
                self.set = Some(Set { local, slot, timer });
                Poll::Pending
            }
            // The wheel is full: ending the sleep early is better than never.
            None => {
                local.sleepers.borrow_mut().remove(slot);
                Poll::Ready(())
            }
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(set) = &self.set else {
            return self.start(cx.waker());
        };
        let mut sleepers = set.local.sleepers.borrow_mut();
        match sleepers.get_mut(set.slot) {
            Some(Some(wakeup)) => {
                if !set.local.executor.is_kept(wakeup, cx.waker()) {
                    *wakeup = set.local.executor.wakeup(cx.waker());
                }
                Poll::Pending
            }
            Some(None) | None => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(set) = self.set.take() else { return };
        let sleeper = set.local.sleepers.borrow_mut().try_remove(set.slot);
        if let Some(Some(_)) = sleeper {
            set.local.cancel_timer(set.timer);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sleep({:?}, set: {})", self.after, self.set.is_some())
    }
}

/// A future did not complete within its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not done within {0:?}")]
pub struct Elapsed(pub Duration);

/// A future with a time limit. See [`ShardHandle::timeout`].
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let after = self.sleep.after;
        Pin::new(&mut self.sleep)
            .poll(cx)
            .map(|()| Err(Elapsed(after)))
    }
}

impl ShardHandle {
    /// A future that is ready after a time, up to a millisecond late. Await it on this shard.
    ///
    /// # Panics
    /// If polled on a thread that is no shard's.
    ///
    /// # Cancel safety
    /// Dropping it cancels the timer.
    pub fn sleep(&self, after: Duration) -> Sleep {
        Sleep { after, set: None }
    }

    /// Limits the time of a future; it is dropped with the returned one.
    ///
    /// # Panics
    /// If polled on a thread that is no shard's.
    pub fn timeout<F: Future>(&self, after: Duration, future: F) -> Timeout<F> {
        Timeout {
            future: Box::pin(future),
            sleep: self.sleep(after),
        }
    }
}

impl ShardLocal {
    /// The time of a sleeping future has passed.
    pub(in crate::shard) fn end_sleep(&self, slot: u32) {
        let sleeper = self
            .sleepers
            .borrow_mut()
            .get_mut(slot as usize)
            .and_then(Option::take);
        if let Some(wakeup) = sleeper {
            self.wake(wakeup);
        }
    }
}
