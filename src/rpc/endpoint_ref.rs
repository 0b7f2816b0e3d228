//! [`RpcEndpointRef`]: a handle to an endpoint, wherever it is.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::ask::{AbortHandle, Ask};
use super::dispatcher::ThreadHandle;
use super::endpoint::{Handle, HandleAsync, RpcEndpoint};
use super::error::RpcError;
use super::function::FnEndpoint;
use super::id::EndpointId;
use super::local_ref::LocalRef;
use super::message::Message;
use super::peer::Peer;
use super::pending_ask::{Asked, PendingAsk, SendOptions};
use super::sending::Sending;
use super::shared::EnvShared;
use super::{RpcAddress, RpcEndpointAddress, RpcTimeout};

/// In place of an endpoint's type: any. A ref to it may be asked everything, and the endpoint decides
/// at run time.
#[derive(Clone, Copy, Debug)]
pub enum Any {}

/// An endpoint that takes messages of type `M`; `How` tells the ways apart and is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{M}`",
    label = "not one of the messages of `{Self}`",
    note = "write `impl Handler<{M}> for {Self}`, and name `{M}` in its `Messages`"
)]
pub trait Accepts<M: Message, How> {}

/// By [`Handle`].
#[derive(Clone, Copy, Debug)]
pub enum ViaHandle {}

/// By [`HandleAsync`].
#[derive(Clone, Copy, Debug)]
pub enum ViaHandleAsync {}

/// At run time.
#[derive(Clone, Copy, Debug)]
pub enum Dynamic {}

impl<E: RpcEndpoint + Handle<M>, M: Message> Accepts<M, ViaHandle> for E {}
impl<E: RpcEndpoint + HandleAsync<M>, M: Message> Accepts<M, ViaHandleAsync> for E {}
impl<M: Message> Accepts<M, Dynamic> for Any {}
impl<M: Message> Accepts<M, Dynamic> for FnEndpoint {}

/// The place that a ref leads to.
#[derive(Debug)]
pub(crate) enum Place {
    /// To this env; the threads that the endpoint lives on, once that is known.
    Here(OnceLock<Arc<[Arc<ThreadHandle>]>>),
    /// To an env that listens; the thread that the connection to it lives on.
    Remote {
        address: RpcAddress,
        host: Arc<ThreadHandle>,
    },
    /// To an env that does not, over the connection that it made.
    Connection(Arc<Peer>),
    /// To an env that does not, and that is not connected to this one.
    Nowhere,
}

/// The parts of a ref.
pub(crate) struct RefTarget {
    env: Arc<EnvShared>,
    /// The address that the endpoint's env listens at.
    address: Option<RpcAddress>,
    name: Arc<str>,
    id: EndpointId,
    /// The id of the endpoint's env, where that is known.
    owner: u64,
    place: Place,
}

impl RefTarget {
    pub(crate) fn new(
        env: Arc<EnvShared>,
        address: Option<RpcAddress>,
        name: Arc<str>,
        (owner, place): (u64, Place),
    ) -> Arc<Self> {
        let id = EndpointId::of(&name);
        Arc::new(Self {
            env,
            address,
            name,
            id,
            owner,
            place,
        })
    }

    pub(crate) fn env(&self) -> &Arc<EnvShared> {
        &self.env
    }

    pub(crate) fn id(&self) -> EndpointId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn name_arc(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(crate) fn address(&self) -> Option<&RpcAddress> {
        self.address.as_ref()
    }

    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The peer that replies are expected from, in words.
    pub(crate) fn place_text(&self) -> String {
        match (&self.address, &self.place) {
            (Some(address), _) => address.to_string(),
            (None, Place::Connection(peer)) => peer.address().to_string(),
            (None, _) => self.to_string(),
        }
    }

    /// The result of `send`: that there is no such endpoint is a loss, not an error.
    pub(crate) fn taken<M: Message>(&self, taken: Result<(), RpcError>) -> Result<(), RpcError> {
        match taken {
            Err(error @ RpcError::CouldNotFind { .. }) => {
                self.env.lost(self, M::NAME, error);
                Ok(())
            }
            taken => taken,
        }
    }

    /// The thread that takes messages for it.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn host(&self) -> Result<Arc<ThreadHandle>, RpcError> {
        if self.env.is_stopped() {
            return Err(super::error::ENV_STOPPED);
        }
        match &self.place {
            Place::Here(hosts) => {
                let known = hosts.get().map(|hosts| pick(hosts));
                // An isolated endpoint's thread ends with it; another may have its name by now.
                if let Some(known) = known.filter(|known| !known.is_closed()) {
                    return Ok(Arc::clone(known));
                }
                let found = self.env.registry().hosts_of(self.id);
                let found = found.ok_or_else(|| RpcError::CouldNotFind {
                    name: self.name_arc(),
                })?;
                let host = Arc::clone(pick(&found));
                let _ = hosts.set(found);
                Ok(host)
            }
            Place::Remote { host, .. } => Ok(Arc::clone(host)),
            Place::Connection(peer) => Ok(Arc::clone(peer.host())),
            Place::Nowhere => Err(RpcError::NoListenAddress),
        }
    }
}

/// One of the threads of a replicated endpoint: always the same for the same sender.
fn pick(hosts: &[Arc<ThreadHandle>]) -> &Arc<ThreadHandle> {
    if hosts.len() == 1 {
        return &hosts[0];
    }
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static TURN: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    let turn = TURN.with(|turn| *turn);
    &hosts[turn % hosts.len()]
}

impl fmt::Display for RefTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = RpcEndpointAddress::new(self.address.clone(), Arc::clone(&self.name));
        uri.fmt(f)
    }
}

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

    /// The same endpoint, by the type that the sender believes it has. What it is asked is checked by
    /// the compiler against that, and again by the endpoint.
    pub fn typed<T: RpcEndpoint>(&self) -> RpcEndpointRef<T> {
        RpcEndpointRef::new(Arc::clone(&self.target))
    }

    /// Sends a message that wants no reply. It is handled at most once, and never lost in silence:
    /// - That the env is stopped, that there is no way to the endpoint, that too much waits already, is an error, as
    ///   far as it can be known at once. On the thread that the endpoint or its connection lives on, that is all.
    /// - That there is no such endpoint (any more), as in Spark, and what becomes of the message later, on
    ///   another thread or in the other env (there is no connection, an inbox is full), is [told](super::RpcEnvBuilder::on_lost) to this env's listener, counted
    ///   ([`RpcEnv::messages_lost`](super::RpcEnv::messages_lost)) and logged.
    /// - What was on its way over a connection that ends may be lost with it. Every endpoint is told that it ended
    ///   ([`on_disconnected`](RpcEndpoint::on_disconnected)); nobody is told which messages had arrived.
    ///
    /// A full inbox of another env holds up the connection instead of losing messages, until this side's queues
    /// are full as well and this refuses more. [`send_async`](Self::send_async) waits for room.
    ///
    /// # Errors
    /// It was not taken: the env is stopped, there is no way to the endpoint, or too much waits already.
    pub fn send<M, How>(&self, message: M) -> Result<(), RpcError>
    where
        M: Message,
        E: Accepts<M, How>,
    {
        let options = SendOptions {
            one_way: true,
            ..SendOptions::default()
        };
        let posted = PendingAsk::post(&self.target, message, options);
        self.target.taken::<M>(posted.map(drop))
    }

    /// As [`send`](Self::send), but waits for room, and until the message has been taken: by the endpoint's inbox
    /// in this env, by the connection's queue to another. So it tells more than `send` can, and is as slow as the
    /// way to the other thread and back.
    ///
    /// Messages that one task sends by this, one after the other, keep their order.
    ///
    /// # Errors
    /// By the future: it was not taken, and waiting does not help.
    pub fn send_async<M, How>(&self, message: M) -> Sending<M>
    where
        M: Message,
        E: Accepts<M, How>,
    {
        Sending::new(&self.target, message)
    }

    /// As [`send_async`](Self::send_async), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] where [`ask_blocking`](Self::ask_blocking) is refused.
    pub fn send_blocking<M, How>(&self, message: M) -> Result<(), RpcError>
    where
        M: Message,
        E: Accepts<M, How>,
    {
        self.may_wait("send_blocking")?;
        super::ask::block_on(self.send_async(message))
    }

    /// Asks, with the time of `ringrail.rpc.askTimeout`. Sent once, never repeated.
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask<M, How>(&self, message: M) -> Ask<M::Reply>
    where
        M: Message,
        E: Accepts<M, How>,
    {
        self.ask_by(message, SendOptions::default())
    }

    /// Asks, with a time of the caller's own.
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask_timeout<M, How>(&self, message: M, timeout: RpcTimeout) -> Ask<M::Reply>
    where
        M: Message,
        E: Accepts<M, How>,
    {
        let options = SendOptions {
            timeout: Some(timeout),
            ..SendOptions::default()
        };
        self.ask_by(message, options)
    }

    /// Asks, and waits for the reply, blocking this thread (Spark: `askSync`). An
    /// [isolated](super::Placement::Isolated) endpoint may do so, but not to itself; of two that wait for each
    /// other, one is timed out.
    ///
    /// # Errors
    /// Why there is no reply. [`RpcError::WouldBlock`] on a thread whose endpoints must not block, and where the
    /// endpoint that is asked lives on this thread.
    pub fn ask_blocking<M, How>(&self, message: M) -> Result<M::Reply, RpcError>
    where
        M: Message,
        E: Accepts<M, How>,
    {
        self.may_wait("ask_blocking")?;
        self.ask(message).wait()
    }

    /// Asks; the handle aborts the ask from elsewhere (Spark: `askAbortable`).
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask_abortable<M, How>(&self, message: M) -> (Ask<M::Reply>, AbortHandle<M::Reply>)
    where
        M: Message,
        E: Accepts<M, How>,
    {
        let ask = self.ask(message);
        let handle = ask.abort_handle();
        (ask, handle)
    }

    /// Asks, and asks again where that fails, up to `ringrail.rpc.numRetries` times in all, with
    /// `ringrail.rpc.retry.wait` between (Spark: `askWithRetry`).
    ///
    /// All attempts carry the same token, and the receiver remembers what it has replied to it: a
    /// message whose *reply* was lost is not handled twice, as long as the receiver remembers
    /// (`ringrail.rpc.retry.remembered`). What failed is handled anew.
    ///
    /// # Errors
    /// [`RpcError::Retried`] with the last cause; at once what no attempt can mend.
    ///
    /// # Cancel safety
    /// Dropping the future retracts the attempt that is under way.
    pub async fn ask_with_retry<M, How>(&self, message: M) -> Result<M::Reply, RpcError>
    where
        M: Message + Clone,
        E: Accepts<M, How>,
    {
        super::retry::ask(self, message).await
    }

    /// As [`ask_with_retry`](Self::ask_with_retry), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn ask_with_retry_blocking<M, How>(&self, message: M) -> Result<M::Reply, RpcError>
    where
        M: Message + Clone,
        E: Accepts<M, How>,
    {
        self.may_wait("ask_with_retry_blocking")?;
        super::ask::block_on(super::retry::ask(self, message))
    }

    /// # Errors
    /// This thread must not block, or is the endpoint's own.
    fn may_wait(&self, what: &'static str) -> Result<(), RpcError> {
        if !super::dispatcher::is_host_thread() {
            return Ok(());
        }
        super::dispatcher::may_wait_for(self.target.host().ok().as_ref(), what)
    }

    pub(crate) fn ask_by<M: Message>(&self, message: M, options: SendOptions) -> Ask<M::Reply> {
        let posted = PendingAsk::post(&self.target, message, options);
        Ask::new(posted.map(|pending| pending as Arc<dyn Asked<M::Reply>>))
    }

    /// The ref as the thread that the endpoint (or the connection to it) lives on can use it: without
    /// an allocation per ask. `None` on every other thread.
    pub fn as_local(&self) -> Option<LocalRef<E>> {
        LocalRef::of(&self.target)
    }
}

impl<E> Clone for RpcEndpointRef<E> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.target))
    }
}

impl<E, T> PartialEq<RpcEndpointRef<T>> for RpcEndpointRef<E> {
    fn eq(&self, other: &RpcEndpointRef<T>) -> bool {
        self.target.address == other.target.address && self.target.name == other.target.name
    }
}

impl<E> Eq for RpcEndpointRef<E> {}

impl<E> Hash for RpcEndpointRef<E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.target.address.hash(state);
        self.target.name.hash(state);
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
