//! Answers for other threads: a future for any executor, and a blocking wait.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::conn::Outcome;
use crate::error::RequestError;
use crate::shard::blocking::block_on;
use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::shard::local::ConnKey;
use crate::shard::remote::{Caller, Spare, WakeBatch};
use crate::shard::remote_sink::{Question, RemoteSink};

thread_local! {
    /// The callers of this thread, which wake each other.
    static BATCH: Arc<WakeBatch> = WakeBatch::new();

    /// Cells of this thread's requests that are over.
    static SPARE: RefCell<Spare<Question, Outcome>> = const { RefCell::new(Spare::new()) };
}

/// An answer to come, on any thread and any executor.
///
/// Answers that arrive together wake one caller of a thread, which wakes the others when it is
/// polled;
/// a caller that is woken and not polled delays them by half a millisecond at most.
///
/// # Cancel safety
/// Dropping it before it is ready retracts the request: one still queued is not sent, one that was
/// sent is cancelled at the peer.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the request"]
pub struct RequestFuture {
    caller: Caller<Question, Outcome>,
    shard: ShardHandle,
    key: ConnKey,
    over: bool,
}

impl RequestFuture {
    /// A request to come, with the shard's end of it, which holds the question.
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
    /// Why there is none.
    ///
    /// # Panics
    /// On the thread of a shard and inside an asynchronous runtime, which it would block.
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
            // Emptied first: what is dropped with it may be code of the embedder, which may ask on.
            if let Some(used) = self.caller.used() {
                // While a thread ends, its cells have gone before.
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
