//! [`Ask`]: a reply to come, for any thread and any executor.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::dispatcher::may_wait_for;
use super::error::{ENV_STOPPED, RpcError};
use super::message::Payload;
use super::received::Owned;
use super::replies::Asked;
use super::shared::{Timed, TimerGuard};
use super::sync::thread::{self, Thread};
use super::sync::thread_local;

/// A reply to come. The message has been posted already; awaiting only waits.
///
/// # Cancel safety
/// Dropping it retracts the ask: one that still waits for a connection is not sent, one that was sent
/// is cancelled at the peer, one in an inbox is not handled.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the ask"]
pub struct Ask<R: Payload> {
    inner: AskArchived<R>,
}

/// As [`Ask`], with the reply as it came: an archive that is not deserialised, where it is a peer's.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the ask"]
pub struct AskArchived<R: Payload> {
    state: State<R>,
    timer: Option<TimerGuard>,
}

enum State<R: Payload> {
    Asked(Arc<dyn Asked<R>>),
    Failed(RpcError),
    Over,
}

impl<R: Payload> AskArchived<R> {
    pub(crate) fn new(posted: Result<Arc<dyn Asked<R>>, RpcError>) -> Self {
        let state = match posted {
            Ok(asked) => State::Asked(asked),
            Err(error) => State::Failed(error),
        };
        Self { state, timer: None }
    }

    /// The asking end, where it was posted.
    pub(crate) fn asked(&self) -> Option<&Arc<dyn Asked<R>>> {
        match &self.state {
            State::Asked(asked) => Some(asked),
            State::Failed(_) | State::Over => None,
        }
    }

    fn poll_outcome(&mut self, waker: &Waker) -> Poll<Result<Owned<R>, RpcError>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Failed(error) => Poll::Ready(Err(error)),
            // Polled again after the end.
            State::Over => Poll::Ready(Err(ENV_STOPPED)),
            State::Asked(asked) => {
                if let Poll::Ready(outcome) = asked.poll(waker) {
                    self.timer = None;
                    return Poll::Ready(outcome);
                }
                self.state = State::Asked(asked);
                Poll::Pending
            }
        }
    }

    /// Sees to it that the time is kept also where the target's thread is blocked, and that the end of the env
    /// is told.
    fn watch(&mut self) {
        if let State::Asked(asked) = &self.state
            && self.timer.is_none()
        {
            let grace_ns = match asked.asking().host.may_block() {
                true => 0,
                false => GRACE_NS,
            };
            let at_ns = asked.asking().deadline_ns.saturating_add(grace_ns);
            let timers = &asked.asking().target.env().timers;
            self.timer = timers.add(at_ns, Arc::clone(asked) as Arc<dyn Timed>);
        }
    }

    /// Waits for the reply, blocking this thread.
    ///
    /// # Errors
    /// Why there is none. [`RpcError::WouldBlock`] on a thread whose endpoints must not block, and where the
    /// endpoint that is asked lives on this thread.
    pub fn wait(mut self) -> Result<Owned<R>, RpcError> {
        may_wait_for(
            self.asked().map(|asked| &asked.asking().host),
            "waiting for a reply",
        )?;
        PARKER.with(|parker| {
            loop {
                if let Poll::Ready(outcome) = self.poll_outcome(parker) {
                    return outcome;
                }
                self.watch();
                thread::park();
            }
        })
    }
}

/// How much later than by its own thread an ask is timed out from outside, in ns: that thread knows how far the
/// ask has come, and does so unless it is blocked.
const GRACE_NS: u64 = 20_000_000;

thread_local! {
    /// Unparks this thread; made once, so that waiting allocates nothing.
    static PARKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on a thread that may block.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    PARKER.with(|parker| {
        let mut context = Context::from_waker(parker);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
            thread::park();
        }
    })
}

impl<R: Payload> Future for AskArchived<R> {
    type Output = Result<Owned<R>, RpcError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = self.poll_outcome(cx.waker());
        if outcome.is_pending() {
            self.watch();
        }
        outcome
    }
}

impl<R: Payload> Drop for AskArchived<R> {
    fn drop(&mut self) {
        if let State::Asked(asked) = &self.state {
            asked.abandon();
        }
    }
}

// Nothing in it is pinned.
impl<R: Payload> Unpin for AskArchived<R> {}

impl<R: Payload> Ask<R> {
    pub(crate) fn new(posted: Result<Arc<dyn Asked<R>>, RpcError>) -> Self {
        Self {
            inner: AskArchived::new(posted),
        }
    }

    /// The reply as it comes, not deserialised.
    pub fn archived(self) -> AskArchived<R> {
        self.inner
    }

    /// Waits for the reply, blocking this thread.
    ///
    /// # Errors
    /// Why there is none. [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn wait(self) -> Result<R, RpcError> {
        self.inner.wait()?.take()
    }

    /// A handle that aborts it; see [`AbortHandle::abort`].
    pub(crate) fn abort_handle(&self) -> AbortHandle<R> {
        AbortHandle {
            asked: self.inner.asked().map(Arc::downgrade),
        }
    }
}

impl<R: Payload> Future for Ask<R> {
    type Output = Result<R, RpcError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
        Poll::Ready(outcome.and_then(Owned::take))
    }
}

impl<R: Payload> fmt::Debug for Ask<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<R: Payload> fmt::Debug for AskArchived<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asked() {
            Some(asked) => write!(f, "Ask(of {})", asked.asking().target),
            None => f.write_str("Ask(over)"),
        }
    }
}

/// Aborts one ask from elsewhere (Spark: `AbortableRpcFuture`).
#[derive(Clone)]
pub struct AbortHandle<R: Payload> {
    asked: Option<std::sync::Weak<dyn Asked<R>>>,
}

impl<R: Payload> AbortHandle<R> {
    /// Fails the ask with this cause and retracts the message, wherever it is; does nothing where it
    /// is over.
    pub fn abort(&self, cause: &str) {
        let asked = self.asked.as_ref().and_then(std::sync::Weak::upgrade);
        if let Some(asked) = asked {
            asked.abort(RpcError::Aborted {
                cause: cause.into(),
            });
        }
    }
}

debug_text!([R: Payload] AbortHandle<R>, |_this| "AbortHandle");
