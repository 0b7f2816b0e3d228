//! Answers for other threads: a future for any executor, and a blocking wait.

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
use crate::shard::remote::{Caller, WakeBatch, pair};
use crate::shard::remote_sink::RemoteSink;

thread_local! {
    /// The callers of this thread, which wake each other.
    static BATCH: Arc<WakeBatch> = WakeBatch::new();
}

/// An answer to come, on any thread and any executor.
///
/// Answers that come together wake one caller of a thread, which wakes the others when it is polled;
/// one that is woken and not polled delays them by half a millisecond at most.
///
/// # Cancel safety
/// Dropping it before it is ready retracts the request: one still queued is not sent, one that was
/// sent is cancelled at the peer.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the request"]
pub struct RequestFuture {
    caller: Caller<Outcome>,
    shard: ShardHandle,
    key: ConnKey,
    over: bool,
}

impl RequestFuture {
    pub(super) fn pair(shard: ShardHandle, key: ConnKey) -> (Self, RemoteSink) {
        let (caller, answerer) = pair();
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
