//! [`RpcEnv`]: endpoints by name, here and in other envs.

mod config;
mod setup;
pub(crate) mod start;

use std::fmt;
use std::sync::Arc;

use super::call::RpcCallContext;
use super::decode_context::DecodeContext;
use super::dispatcher::is_host_thread;
use super::endpoint::EndpointContext;
use super::endpoint_ref::RpcEndpointRef;
use super::error::RpcError;
use super::message::Payload;
use super::metrics::EndpointMetrics;
use super::shared::EnvShared;
use super::{RpcAddress, RpcEndpointAddress};

pub(crate) use config::DEFAULT_BACKEND;
pub use config::{RpcEnvBuilder, RpcEnvConfig, RpcEnvFactory};
pub use setup::{EndpointOptions, Placement};

/// Endpoints by name, and the way to those of other envs (Spark: `RpcEnv`). Cheap to clone.
///
/// The last clone's drop shuts the env down and, unless that happens on one of its own threads, waits
/// for the end. Envs that endpoints and calls give out do not keep it alive.
///
/// ```
/// # use ringrail::rpc::{Handle, Message, Received, RpcCallContext, RpcEndpoint, RpcEnv, RpcError};
/// use rkyv::{Archive, Deserialize, Serialize};
///
/// #[derive(Archive, Serialize, Deserialize)]
/// struct Add(u64);
/// impl Message for Add {
///     type Reply = u64;
///     const NAME: &'static str = "counter.Add";
/// }
///
/// struct Counter(u64);
/// impl RpcEndpoint for Counter {
///     type Messages = (Add,);
/// }
/// impl Handle<Add> for Counter {
///     fn handle(
///         &mut self,
///         add: Received<'_, Add>,
///         call: RpcCallContext<'_, u64>,
///     ) -> Result<(), RpcError> {
///         self.0 += add.take()?.0;
///         call.reply(self.0);
///         Ok(())
///     }
/// }
///
/// let env = RpcEnv::builder("demo").backend("local").build()?;
/// let counter = env.setup_endpoint("counter", Counter(0))?;
/// counter.ask_blocking(Add(40))?;
/// assert_eq!(counter.ask_blocking(Add(2))?, 42);
/// # Ok::<(), RpcError>(())
/// ```
#[derive(Clone)]
pub struct RpcEnv {
    shared: Arc<EnvShared>,
    /// Held for its drop.
    _owner: Option<Arc<Owner>>,
}

/// Shuts an env down when nobody has it any more.
struct Owner {
    shared: Arc<EnvShared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.shut_down();
        if !is_host_thread() {
            self.shared.termination.wait();
        }
    }
}

impl RpcEnv {
    /// Makes an env of this name; the name is for logs and errors.
    pub fn builder(name: &str) -> RpcEnvBuilder {
        RpcEnvBuilder::new(name)
    }

    pub(crate) fn of_shared(shared: Arc<EnvShared>) -> Self {
        Self {
            shared,
            _owner: None,
        }
    }

    pub(crate) fn owning(shared: Arc<EnvShared>) -> Self {
        let owner = Owner {
            shared: Arc::clone(&shared),
        };
        Self {
            shared,
            _owner: Some(Arc::new(owner)),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<EnvShared> {
        &self.shared
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// The address that it listens at; `None` in client mode.
    pub fn address(&self) -> Option<&RpcAddress> {
        self.shared.address()
    }

    /// How many threads connections and endpoints live on, isolated ones aside.
    pub fn shards(&self) -> usize {
        self.shared.shards().len()
    }

    /// A ref to an endpoint of this env (Spark: `endpointRef`).
    ///
    /// # Errors
    /// There is none of this name.
    pub fn endpoint_ref(&self, name: &str) -> Result<RpcEndpointRef, RpcError> {
        if !self.shared.registry.has(name) {
            return Err(RpcError::CouldNotFind { name: name.into() });
        }
        Ok(RpcEndpointRef::new(self.shared.own_ref(name.into())))
    }

    /// A ref to an endpoint at an address, without asking whether it exists.
    ///
    /// # Errors
    /// The env is stopped.
    pub fn ref_at(&self, address: &RpcAddress, name: &str) -> Result<RpcEndpointRef, RpcError> {
        let target = self.shared.ref_at(address.clone(), name.into())?;
        Ok(RpcEndpointRef::new(target))
    }

    /// The URI of an endpoint (Spark: `uriOf`).
    pub fn uri_of(&self, address: &RpcAddress, name: &str) -> String {
        RpcEndpointAddress::new(Some(address.clone()), name).to_string()
    }

    /// Runs `read`; refs that it reads from bytes belong to this env (Spark: `deserialize`). For bytes
    /// that did not come in a message.
    pub fn deserialize<T>(&self, read: impl FnOnce() -> T) -> T {
        let _scope = DecodeContext::of_env(&self.shared);
        read()
    }

    /// Metrics of every endpoint of this env, one entry per instance.
    pub fn metrics(&self) -> Vec<EndpointMetrics> {
        self.shared.registry.metrics()
    }

    /// Messages that were sent without a reply wanted, taken, and not handled, as far as this env knows; see
    /// [`RpcEnvBuilder::on_lost`].
    pub fn messages_lost(&self) -> u64 {
        self.shared.losses.count()
    }

    /// Begins the end: what endpoints have is handled, then they are stopped. Does not wait for it.
    pub fn shutdown(&self) {
        self.shared.shut_down();
    }

    /// Whether it was shut down.
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }

    /// Waits until the env has been shut down and has come to its end.
    ///
    /// # Errors
    /// [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn await_termination(&self) -> Result<(), RpcError> {
        if is_host_thread() {
            // Also one of an isolated endpoint: the end waits for it.
            let what = "await_termination";
            return Err(RpcError::WouldBlock { what });
        }
        self.shared.termination.wait();
        Ok(())
    }

    /// After the end: the threads whose endpoints held on to them for longer than
    /// `ringrail.transport.drainTimeout` allows. Such an endpoint's `on_stop` is called, and its thread ends, as
    /// soon as its handler returns; here it is no longer named then.
    pub fn blocked_threads(&self) -> Vec<String> {
        let hosts = self.shared.hosts();
        let cut_off = hosts.iter().filter(|host| host.is_cut_off());
        cut_off.map(|host| host.name().to_owned()).collect()
    }

    /// Whether it has come to its end.
    pub fn is_terminated(&self) -> bool {
        self.shared.termination.is_over()
    }
}

impl fmt::Debug for RpcEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "RpcEnv({} at {address})", self.name()),
            None => write!(f, "RpcEnv({})", self.name()),
        }
    }
}

impl<R: Payload> RpcCallContext<'_, R> {
    /// The endpoint's env.
    pub fn env(&self) -> RpcEnv {
        RpcEnv::of_shared(Arc::clone(self.shared_env()))
    }
}

impl<E> EndpointContext<E> {
    /// Its env. Does not keep it alive.
    pub fn env(&self) -> RpcEnv {
        RpcEnv::of_shared(Arc::clone(self.me.target().env()))
    }
}
