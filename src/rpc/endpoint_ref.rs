//! [`RpcEndpointRef`]: a handle to an endpoint, wherever it is.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use super::accepts::{Accepts, Any};
use super::ask::{AbortHandle, Ask};
use super::error::RpcError;
use super::message::Message;
use super::pending_ask::{PendingAsk, SendOptions};
use super::replies::Asked;
use super::target::RefTarget;
use super::{RpcAddress, RpcEndpointAddress, RpcTimeout};

/// A handle to an endpoint, here or in another env (Spark: `RpcEndpointRef`).
///
/// Cheap to clone, for any thread. Equal where address and name are. It holds no connection: one that
/// was lost is made again by the next message.
///
/// `E` is the endpoint's type where the sender knows it, and then what may be asked is checked by the
/// compiler; else [`Any`].
pub struct RpcEndpointRef<E = Any> {
    target: Arc<RefTarget>,
    endpoint: PhantomData<fn(E)>,
}

impl<E> RpcEndpointRef<E> {
    pub(crate) fn new(target: Arc<RefTarget>) -> Self {
        Self {
            target,
            endpoint: PhantomData,
        }
    }

    pub(crate) fn target(&self) -> &Arc<RefTarget> {
        &self.target
    }

    /// The endpoint's name.
    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// The address that its env listens at; `None` where it does not.
    pub fn address(&self) -> Option<&RpcAddress> {
        self.target.address()
    }

    /// Its URI.
    pub fn uri(&self) -> RpcEndpointAddress {
        let address = self.target.address().cloned();
        RpcEndpointAddress::new(address, self.target.name_arc())
    }

    /// The same endpoint, of any type.
    pub fn any(&self) -> RpcEndpointRef {
        RpcEndpointRef::new(Arc::clone(&self.target))
    }

    /// Sends a message that wants no reply. It is handled at most once, and never lost in silence:
    /// - That the env is stopped, that there is no way to the endpoint, that too much waits already, is an error, as
    ///   far as it can be known at once. On the thread that the endpoint or its connection lives on, that is all.
    /// - That there is no such endpoint (any more), as in Spark, and what becomes of the message later, on
    ///   another thread or in the other env (there is no connection, an inbox is full), is [told](super::RpcEnvBuilder::on_lost) to this env's listener, counted
    ///   ([`RpcEnv::messages_lost`](super::RpcEnv::messages_lost)) and logged.
    /// - What was on its way over a connection that ends may be lost with it. Every endpoint is told that it ended
    ///   ([`on_disconnected`](super::RpcEndpoint::on_disconnected)); nobody is told which messages had arrived.
    ///
    /// A full inbox of another env holds up the connection instead of losing messages, until this side's queues
    /// are full as well and this refuses more. [`send_async`](Self::send_async) waits for room.
    ///
    /// # Errors
    /// It was not taken: the env is stopped, there is no way to the endpoint, or too much waits already.
    pub fn send<M: Message, How>(&self, message: M) -> Result<(), RpcError>
    where
        E: Accepts<M, How>,
    {
        let options = SendOptions {
            one_way: true,
            ..SendOptions::default()
        };
        let posted = PendingAsk::post(&self.target, message, options);
        self.target.taken::<M>(posted.map(drop))
    }

    /// Asks, with the time of `ringrail.rpc.askTimeout`. Sent once, never repeated.
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask<M: Message, How>(&self, message: M) -> Ask<M::Reply>
    where
        E: Accepts<M, How>,
    {
        self.ask_by(message, SendOptions::default())
    }

    /// Asks, with a time of the caller's own.
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask_timeout<M: Message, How>(&self, message: M, timeout: RpcTimeout) -> Ask<M::Reply>
    where
        E: Accepts<M, How>,
    {
        let options = SendOptions::within(timeout);
        self.ask_by(message, options)
    }

    /// Asks, and waits for the reply, blocking this thread (Spark: `askSync`). An
    /// [isolated](super::Placement::Isolated) endpoint may do so, but not to itself; of two that wait for each
    /// other, one is timed out.
    ///
    /// # Errors
    /// Why there is no reply. [`RpcError::WouldBlock`] on a thread whose endpoints must not block, and where the
    /// endpoint that is asked lives on this thread.
    pub fn ask_blocking<M: Message, How>(&self, message: M) -> Result<M::Reply, RpcError>
    where
        E: Accepts<M, How>,
    {
        self.may_wait("ask_blocking")?;
        self.ask(message).wait()
    }

    /// Asks; the handle aborts the ask from elsewhere (Spark: `askAbortable`).
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask_abortable<M: Message, How>(
        &self,
        message: M,
    ) -> (Ask<M::Reply>, AbortHandle<M::Reply>)
    where
        E: Accepts<M, How>,
    {
        let ask = self.ask(message);
        let handle = ask.abort_handle();
        (ask, handle)
    }

    /// # Errors
    /// This thread must not block, or is the endpoint's own.
    pub(crate) fn may_wait(&self, what: &'static str) -> Result<(), RpcError> {
        if !super::dispatcher::is_host_thread() {
            return Ok(());
        }
        super::dispatcher::may_wait_for(self.target.host().ok().as_ref(), what)
    }

    pub(crate) fn ask_by<M: Message>(&self, message: M, options: SendOptions) -> Ask<M::Reply> {
        let posted = PendingAsk::post(&self.target, message, options);
        Ask::new(posted.map(|pending| pending as Arc<dyn Asked<M::Reply>>))
    }
}

impl<E> Clone for RpcEndpointRef<E> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.target))
    }
}

impl<E, T> PartialEq<RpcEndpointRef<T>> for RpcEndpointRef<E> {
    fn eq(&self, other: &RpcEndpointRef<T>) -> bool {
        self.address() == other.address() && self.name() == other.name()
    }
}

impl<E> Eq for RpcEndpointRef<E> {}

impl<E> Hash for RpcEndpointRef<E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
        self.name().hash(state);
    }
}

impl<E> fmt::Display for RpcEndpointRef<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcEndpointRef({})", self.target)
    }
}

impl<E> fmt::Debug for RpcEndpointRef<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
