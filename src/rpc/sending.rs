//! [`Sending`]: a message that wants no reply, whose sender waits until there is room for it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::accepts::Accepts;
use super::ask::block_on;
use super::clock;
use super::endpoint_ref::RpcEndpointRef;
use super::error::RpcError;
use super::message::Message;
use super::pending_ask::{PendingAsk, SendOptions};
use super::replies::Asked;
use super::shared::{Sleep, Timed};
use super::target::RefTarget;

/// The first wait for room, in ns; it doubles each time.
const FIRST_WAIT_NS: u64 = 1_000_000;

/// The longest, in ns.
const LONGEST_WAIT_NS: u64 = 32_000_000;

/// A message on its way to be taken; see [`RpcEndpointRef::send_async`](super::RpcEndpointRef::send_async).
///
/// # Cancel safety
/// Dropping it before it is done retracts the message, if it has not been taken.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the message"]
pub struct Sending<M: Message> {
    future: Pin<Box<dyn Future<Output = Result<(), RpcError>> + Send>>,
    message: std::marker::PhantomData<fn(M)>,
}

impl<M: Message> Sending<M> {
    pub(crate) fn new(target: &Arc<RefTarget>, message: M) -> Self {
        let options = SendOptions {
            one_way: true,
            confirms: true,
            ..SendOptions::default()
        };
        let pending = PendingAsk::new(target, message, options);
        Self {
            future: Box::pin(async { send(pending?).await }),
            message: std::marker::PhantomData,
        }
    }
}

/// Offers the message until it is taken, or waiting does not help.
async fn send<M: Message>(pending: Arc<PendingAsk<M>>) -> Result<(), RpcError> {
    let mut wait_ns = FIRST_WAIT_NS;
    loop {
        match offer(&pending).await {
            Err(error) if error.wants_room() => {}
            outcome => return outcome,
        }
        let at_ns = clock::now_ns().saturating_add(wait_ns);
        wait_ns = (2 * wait_ns).min(LONGEST_WAIT_NS);
        Sleep::until(&pending.asking().target.env().timers, at_ns).await;
    }
}

/// One try: posts the message, and waits until its host says whether it takes it.
async fn offer<M: Message>(pending: &Arc<PendingAsk<M>>) -> Result<(), RpcError> {
    if pending.is_at_home() {
        return pending.post_to_host();
    }
    // Left there before its host can look for it.
    let leave = |cx: &mut Context<'_>| Poll::Ready(pending.poll_taken(cx.waker()));
    let _ = poll_fn(leave).await;
    pending.post_to_host()?;
    let mut retract = RetractUnsent(Some(pending));
    // The end of the env is told also where the thread is blocked.
    let timed = Arc::clone(pending) as Arc<dyn Timed>;
    let _guard = pending.asking().target.env().timers.add(u64::MAX, timed);
    let taken = poll_fn(|cx| pending.poll_taken(cx.waker())).await;
    retract.0 = None;
    taken
}

/// Retracts a message whose sender has let go.
struct RetractUnsent<'a, M: Message>(Option<&'a Arc<PendingAsk<M>>>);

impl<M: Message> Drop for RetractUnsent<'_, M> {
    fn drop(&mut self) {
        if let Some(pending) = self.0 {
            pending.asking().gone.store(true, Ordering::SeqCst);
        }
    }
}

impl<M: Message> Future for Sending<M> {
    type Output = Result<(), RpcError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

debug_text!([M: Message] Sending<M>, |_this| "Sending({})", M::NAME);

impl<E> RpcEndpointRef<E> {
    /// As [`send`](Self::send), but waits for room, and until the message has been taken: by the endpoint's inbox
    /// in this env, by the connection's queue to another. So it tells more than `send` can, and is as slow as the
    /// way to the other thread and back.
    ///
    /// Messages that one task sends by this, one after the other, keep their order.
    ///
    /// # Errors
    /// By the future: it was not taken, and waiting does not help.
    pub fn send_async<M: Message, How>(&self, message: M) -> Sending<M>
    where
        E: Accepts<M, How>,
    {
        Sending::new(self.target(), message)
    }

    /// As [`send_async`](Self::send_async), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] where [`ask_blocking`](Self::ask_blocking) is refused.
    pub fn send_blocking<M: Message, How>(&self, message: M) -> Result<(), RpcError>
    where
        E: Accepts<M, How>,
    {
        self.may_wait("send_blocking")?;
        block_on(self.send_async(message))
    }
}
