//! Answers for other threads: a future for any executor, and a blocking wait.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::RequestError;
use crate::shard::blocking::block_on;
use crate::shard::command::Command;
use crate::shard::conn::Outcome;
use crate::shard::handle::ShardHandle;
use crate::shard::local::ConnKey;
use crate::shard::remote::{Caller, Spare, WakeBatch};
use crate::shard::remote_sink::{Question, RemoteSink};

thread_local! {
    /// The waiting callers of this thread, which wake each other.
    static BATCH: Arc<WakeBatch> = WakeBatch::new();

    /// Free cells of this thread's completed requests.
    static SPARE: RefCell<Spare<Question, Outcome>> = const { RefCell::new(Spare::new()) };
}

/// A pending answer, for any thread and any executor.
///
/// Answers that arrive together wake one caller of a thread, which wakes the others when it is
/// polled;
/// a caller that is woken and not polled delays them by half a millisecond at most.
///
/// # Cancel safety
/// Dropping it before it is ready cancels the request: a request still queued is not sent, a sent
/// one is cancelled at the peer.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the request"]
pub struct RequestFuture {
    caller: Caller<Question, Outcome>,
    shard: ShardHandle,
    key: ConnKey,
    over: bool,
}

impl RequestFuture {
    /// A pending request, with the shard's end of it, which holds the request.
    pub(super) fn pair(
        shard: ShardHandle,
        key: ConnKey,
        question: Option<Question>,
    ) -> (Self, RemoteSink) {
        let (caller, answerer) = SPARE.with_borrow_mut(|spare| spare.pair(question));
        let future = Self {
            caller,
            shard,
            key,
            over: false,
        };
        (future, RemoteSink::new(answerer))
    }

    /// Waits for the answer, blocking this thread.
    ///
    /// # Errors
    /// If there is no answer.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn wait(self) -> Outcome {
        block_on("RequestFuture::wait", self)
    }
}

impl Future for RequestFuture {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = BATCH.with(|batch| self.caller.poll(cx, batch));
        let outcome = std::task::ready!(outcome);
        self.over = true;
        Poll::Ready(outcome.unwrap_or(Err(RequestError::ShardStopped)))
    }
}

impl Drop for RequestFuture {
    fn drop(&mut self) {
        if self.over {
            // Emptied first: dropping the entries may run an embedder's code, which may send
            // requests.
            if let Some(used) = self.caller.used() {
                // The cells of a thread that is ending may be gone already.
                let _ = SPARE.try_with(|spare| spare.borrow_mut().keep(used));
            }
            return;
        }
        if let Some(id) = self.caller.retract() {
            self.shard
                .post_surely(Command::Cancel { key: self.key, id });
        }
    }
}

impl fmt::Debug for RequestFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestFuture(over: {})", self.over)
    }
}
