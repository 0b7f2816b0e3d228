//! The traits that users implement: endpoints, and their handlers of messages.

use std::future::Future;
use std::sync::Arc;

use super::accepts::{Accepts, ViaHandle, ViaHandleAsync};
use super::any::{AnyCallContext, AnyMessage};
use super::call::{HeldCall, RpcCallContext};
use super::handler_future::{self, Begin};
use super::interceptor::Interceptors;
use super::message::Message;
use super::received::{Owned, Received};
use super::route::{MessageSet, RouteTable, Run};
use super::{RpcAddress, RpcEndpointRef, RpcError};

/// An endpoint: something with a name that handles messages (Spark: `RpcEndpoint`).
///
/// Life cycle: `on_start`, then messages, then `on_stop`.
/// - `on_start` comes before every message, also those that were sent before setting it up returned.
/// - Messages of one sender come in the order in which they were sent, whether by a ref or by what
///   [`as_local`](RpcEndpointRef::as_local) gives, but for those of the [liveness lane](super::Lane::Liveness). No two
///   handlers of one endpoint run at the same time, and none is entered again before it has returned.
/// - `on_connected` comes before the first message of the peer, `on_disconnected` after the last, on whichever
///   thread the endpoint lives.
/// - `on_stop` comes once and last, after what was queued when the endpoint was stopped. What is sent
///   later is lost, which is told; what is asked later fails. Where a handler blocks its thread beyond the end of
///   the env, `on_stop` comes when it returns, and what was queued is not handled.
/// - An error that a handler or hook returns goes to `on_error`, and to the caller; so does a panic.
///
/// Handlers run on the thread that the endpoint lives on and must not block it, unless the endpoint is
/// [isolated](super::Placement::Isolated).
#[allow(unused_variables)]
pub trait RpcEndpoint: Sized + 'static {
    /// The messages it handles: a tuple of up to 16 types, each with a [`Handle`]; `Async<M>` for those
    /// with a [`HandleAsync`].
    type Messages: MessageSet<Self>;

    /// Before everything else. `me` is valid already.
    ///
    /// # Errors
    /// Go to `on_error`; the endpoint stays.
    fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    /// A message outside of [`Messages`](Self::Messages) that wants no reply. Refused as Spark refuses
    /// it, unless overridden.
    ///
    /// # Errors
    /// Go to `on_error`.
    fn receive(&mut self, message: AnyMessage<'_>) -> Result<(), RpcError> {
        Err(message.unmatched())
    }

    /// A message outside of [`Messages`](Self::Messages) that wants a reply. Refused as Spark refuses
    /// it, unless overridden.
    ///
    /// # Errors
    /// Go to `on_error`, and to the caller, unless it was answered.
    fn receive_and_reply(
        &mut self,
        message: AnyMessage<'_>,
        call: AnyCallContext<'_>,
    ) -> Result<(), RpcError> {
        Err(message.unanswered())
    }

    /// A handler or a hook has failed. An error returned from here is logged, nothing more.
    ///
    /// # Errors
    /// The error that is to be logged; by default, every one.
    fn on_error(&mut self, error: RpcError) -> Result<(), RpcError> {
        Err(error)
    }

    /// A peer has connected, or was connected to; once for its socket's address, and once for the
    /// address that it listens at, if it does.
    ///
    /// # Errors
    /// Go to `on_error`.
    fn on_connected(&mut self, address: &RpcAddress) -> Result<(), RpcError> {
        Ok(())
    }

    /// A peer's connection has ended; once for each address that `on_connected` told.
    ///
    /// # Errors
    /// Go to `on_error`.
    fn on_disconnected(&mut self, address: &RpcAddress) -> Result<(), RpcError> {
        Ok(())
    }

    /// A peer's connection has failed.
    ///
    /// # Errors
    /// Go to `on_error`.
    fn on_network_error(&mut self, cause: &RpcError, address: &RpcAddress) -> Result<(), RpcError> {
        Ok(())
    }

    /// After everything else. The endpoint cannot be found any more.
    ///
    /// # Errors
    /// Go to `on_error`.
    fn on_stop(&mut self) -> Result<(), RpcError> {
        Ok(())
    }

    /// The interceptors around the handlers that return their reply ([`Handler`](super::Handler),
    /// [`HandlerAsync`](super::HandlerAsync), interfaces). Looked at for every message.
    fn interceptors(&self) -> Option<&Interceptors> {
        None
    }

    /// The routes of this endpoint; those of [`Messages`](Self::Messages), and of functions.
    #[doc(hidden)]
    fn routes(&self) -> RouteTable<Self> {
        let mut table = RouteTable::new();
        Self::Messages::add_to(&mut table);
        table
    }
}

/// Handles messages of one type at once.
pub trait Handle<M: Message>: RpcEndpoint {
    /// Handles one. `call` answers it, if it wants an answer; see [`RpcCallContext`].
    ///
    /// # Errors
    /// Go to [`on_error`](RpcEndpoint::on_error), and to the caller, unless it was answered.
    fn handle(
        &mut self,
        message: Received<'_, M>,
        call: RpcCallContext<'_, M::Reply>,
    ) -> Result<(), RpcError>;
}

/// Handles messages of one type by a future; `Async<M>` in [`Messages`](RpcEndpoint::Messages).
///
/// The next message waits until the future is done. It runs on the endpoint's thread: on a hosted
/// shard it may use that shard's timers and files, and anywhere await asks. An ask of its own endpoint waits in the
/// inbox for this very future: awaited, it ends by its timeout.
pub trait HandleAsync<M: Message>: RpcEndpoint {
    /// Handles one.
    ///
    /// # Errors
    /// Go to [`on_error`](RpcEndpoint::on_error), and to the caller, unless it was answered.
    ///
    /// # Cancel safety
    /// Dropped in the middle where the env is shut down and does not end in time.
    fn handle(
        &mut self,
        message: Owned<M>,
        call: HeldCall<M::Reply>,
    ) -> impl Future<Output = Result<(), RpcError>>;

    #[doc(hidden)]
    fn add_to(table: &mut RouteTable<Self>) {
        table.add::<M>(Run::Future(handler_future::boxed(
            true,
            answering::<Self, M>,
        )));
    }
}

/// An endpoint's view of itself (Spark: `self`, `rpcEnv`).
pub struct EndpointContext<E> {
    pub(crate) me: RpcEndpointRef<E>,
}

impl<E> EndpointContext<E> {
    pub(crate) fn new(me: RpcEndpointRef<E>) -> Self {
        Self { me }
    }

    /// A ref to the endpoint itself.
    pub fn self_ref(&self) -> RpcEndpointRef<E> {
        self.me.clone()
    }
}

debug_text!([E] EndpointContext<E>, |this| "EndpointContext({})", this.me);

#[expect(
    clippy::await_holding_refcell_ref,
    reason = "the inbox runs nothing else of this endpoint until the future is done"
)]
async fn answering<E: HandleAsync<M>, M: Message>(
    begin: Begin<E, M>,
) -> Result<Option<M::Reply>, RpcError> {
    let Some(call) = begin.call else {
        return Ok(None);
    };
    let spare = call.share();
    let outcome = match begin.endpoint.borrow_mut().as_mut() {
        Some(endpoint) => endpoint.handle(begin.message, call).await,
        None => Ok(()),
    };
    if let Err(error) = &outcome {
        spare.send_failure(error.clone());
    }
    outcome.map(|()| None)
}

impl<E: RpcEndpoint + Handle<M>, M: Message> Accepts<M, ViaHandle> for E {}
impl<E: RpcEndpoint + HandleAsync<M>, M: Message> Accepts<M, ViaHandleAsync> for E {}

impl<E> RpcEndpointRef<E> {
    /// The same endpoint, by the type that the sender believes it has. What it is asked is checked by
    /// the compiler against that, and again by the endpoint.
    pub fn typed<T: RpcEndpoint>(&self) -> RpcEndpointRef<T> {
        RpcEndpointRef::new(Arc::clone(self.target()))
    }
}
