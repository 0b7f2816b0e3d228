//! Answers for other threads: a future for any executor, and a blocking wait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::conn::Outcome;
use crate::conn::sink::Ticket;
use crate::error::RequestError;
use crate::shard::blocking::refuse_on_shard;
use crate::shard::command::{Command, Waiter};
use crate::shard::handle::ShardHandle;
use crate::shard::local::ConnKey;

/// An answer to come, on any thread and any executor.
///
/// # Cancel safety
/// Dropping it before it is ready retracts the request: one still queued is not sent, one that was
/// sent is cancelled at the peer.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the request"]
pub struct RequestFuture {
    answer: oneshot::Receiver<Outcome>,
    ticket: Arc<Ticket>,
    shard: ShardHandle,
    key: ConnKey,
    over: bool,
}

impl RequestFuture {
    pub(super) fn pair(shard: ShardHandle, key: ConnKey) -> (Self, Waiter) {
        let (done, answer) = oneshot::channel();
        let ticket = Ticket::new();
        let waiter = Waiter {
            ticket: Arc::clone(&ticket),
            done,
        };
        (
            Self {
                answer,
                ticket,
                shard,
                key,
                over: false,
            },
            waiter,
        )
    }

    /// Waits for the answer, blocking this thread.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Panics
    /// On the thread of a shard and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        refuse_on_shard("RequestFuture::wait");
        self.over = true;
        let (_, stub) = oneshot::channel();
        let answer = std::mem::replace(&mut self.answer, stub);
        answer
            .blocking_recv()
            .unwrap_or(Err(RequestError::ShardStopped))
    }
}

impl Future for RequestFuture {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let answer = std::task::ready!(Pin::new(&mut self.answer).poll(cx));
        self.over = true;
        Poll::Ready(answer.unwrap_or(Err(RequestError::ShardStopped)))
    }
}

impl Drop for RequestFuture {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Some(id) = self.ticket.retract() {
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
