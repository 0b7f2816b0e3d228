//! The futures of asynchronous handlers, and the place that they lie in.
//!
//! ```text
//! message ─► begin ─► poll ─┬─ done ─────────────────────────► answered at once
//!                           └─ pending: the call is held ─► woken ─► poll ─► answered
//! ```
//!
//! An endpoint runs one handler at a time, so each route has one place, which the next future takes over: a handler
//! that has nothing to wait for costs no allocation. A pending one is polled when it is woken: from its own thread by
//! the inbox's place in the round, from others by the thread's mailbox.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::RpcError;
use super::call::HeldCall;
use super::message::Message;
use super::received::Owned;

/// A message for an asynchronous handler.
pub(crate) struct Begin<E, M: Message> {
    /// Nothing else borrows it until the future is done.
    pub(crate) endpoint: Rc<RefCell<Option<E>>>,
    pub(crate) message: Owned<M>,
    /// The call, where the handler answers it by itself.
    pub(crate) call: Option<HeldCall<M::Reply>>,
    pub(crate) deadline_ns: u64,
}

/// The handler of one message type, and its future while there is one.
pub(crate) trait HandlerFuture<E, M: Message> {
    /// Whether the handler answers the call by itself.
    fn holds_call(&self) -> bool;

    /// Makes the future of this message.
    fn begin(&mut self, begin: Begin<E, M>);

    /// Drives it; the reply, where the handler returns one.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<M::Reply>, RpcError>>;

    /// Drops it.
    fn clear(&mut self);
}

struct Slot<K, F> {
    make: K,
    holds_call: bool,
    future: Pin<Box<Option<F>>>,
}

impl<E, M, K, F> HandlerFuture<E, M> for Slot<K, F>
where
    M: Message,
    K: Fn(Begin<E, M>) -> F,
    F: Future<Output = Result<Option<M::Reply>, RpcError>>,
{
    fn holds_call(&self) -> bool {
        self.holds_call
    }

    fn begin(&mut self, begin: Begin<E, M>) {
        self.future.set(Some((self.make)(begin)));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<M::Reply>, RpcError>> {
        let Some(future) = self.future.as_mut().as_pin_mut() else {
            unreachable!("a future that is driven has begun");
        };
        let outcome = std::task::ready!(future.poll(cx));
        // Lets go of the endpoint before it hears of an error.
        self.clear();
        Poll::Ready(outcome)
    }

    fn clear(&mut self) {
        self.future.set(None);
    }
}

/// A handler and its future; see [`HandlerFuture`].
pub(crate) type BoxedHandler<E, M> = RefCell<Box<dyn HandlerFuture<E, M>>>;

/// A handler whose futures `make` makes; whether they answer the call by themselves, or return the reply.
pub(crate) fn boxed<E, M, K, F>(holds_call: bool, make: K) -> BoxedHandler<E, M>
where
    M: Message,
    K: Fn(Begin<E, M>) -> F + 'static,
    F: Future<Output = Result<Option<M::Reply>, RpcError>> + 'static,
{
    RefCell::new(Box::new(Slot {
        make,
        holds_call,
        future: Box::pin(None),
    }))
}
