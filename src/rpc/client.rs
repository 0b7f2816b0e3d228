//! [`Client`]: a ref with a timeout and interceptors, the base of the clients that `#[ringrail::interface]` writes.

use std::time::Duration;

use super::endpoint_ref::RpcEndpointRef;
use super::interceptor::{CallInfo, Interceptors};
use super::local_ref::{LocalAsk, LocalRef};
use super::message::Message;
use super::{Ask, RpcEnv, RpcError, RpcTimeout, handling};

/// Asks one endpoint, wherever it is, with one time to wait. Cheap to clone, for any thread.
///
/// Within a handler that returns its reply, an ask waits no longer than the handler's own caller does: the deadline is
/// inherited, through as many endpoints and processes as there are. See [`time_left`](super::time_left).
#[derive(Clone, Debug)]
pub struct Client {
    target: RpcEndpointRef,
    timeout: Option<RpcTimeout>,
    interceptors: Option<Interceptors>,
}

impl Client {
    /// Asks this endpoint, with the time of `ringrail.rpc.askTimeout`.
    pub fn new<E>(target: &RpcEndpointRef<E>) -> Self {
        Self {
            target: target.any(),
            timeout: None,
            interceptors: None,
        }
    }

    /// Asks the endpoint of this URI, `rail://name@host:port`, once it has been found there.
    ///
    /// # Errors
    /// There is no such endpoint, or no connection.
    ///
    /// # Cancel safety
    /// Dropping the future gives the search up.
    pub async fn connect(env: &RpcEnv, uri: &str) -> Result<Self, RpcError> {
        let target = env.setup_endpoint_ref_by_uri(uri).await?;
        Ok(Self::new(&target))
    }

    /// As [`connect`](Self::connect), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn connect_blocking(env: &RpcEnv, uri: &str) -> Result<Self, RpcError> {
        let target = env.setup_endpoint_ref_by_uri_blocking(uri)?;
        Ok(Self::new(&target))
    }

    /// The same endpoint, asked with this time to wait. `name` is what its errors call the setting that controls the time.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration, name: &'static str) -> Self {
        Self {
            timeout: Some(RpcTimeout::new(timeout, name)),
            ..self.clone()
        }
    }

    /// The same endpoint; what is asked or sent passes these first, in place of others. They do not stand before what
    /// [`as_local`](Self::as_local) gives.
    #[must_use]
    pub fn with_interceptors(&self, interceptors: Interceptors) -> Self {
        Self {
            interceptors: Some(interceptors),
            ..self.clone()
        }
    }

    /// # Errors
    /// An interceptor refuses the message.
    fn check<M: Message>(&self) -> Result<(), RpcError> {
        let Some(interceptors) = &self.interceptors else {
            return Ok(());
        };
        let info = CallInfo::new::<M>(self.target.address().cloned());
        Ok(interceptors.before(&info)?)
    }

    /// The endpoint.
    pub fn target(&self) -> &RpcEndpointRef {
        &self.target
    }

    /// Asks.
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask<M: Message>(&self, message: M) -> Ask<M::Reply> {
        if let Err(error) = self.check::<M>() {
            return Ask::new(Err(error));
        }
        let usual = &self.target.target().env().settings.ask_timeout;
        match handling::timeout(self.timeout.as_ref(), usual) {
            Some(timeout) => self.target.ask_timeout(message, timeout),
            None => self.target.ask(message),
        }
    }

    /// Sends a message that wants no reply, as [`RpcEndpointRef::send`].
    ///
    /// # Errors
    /// It was not taken.
    pub fn send<M: Message>(&self, message: M) -> Result<(), RpcError> {
        self.check::<M>()?;
        self.target.send(message)
    }

    /// The client as the thread that the endpoint (or the connection to it) lives on can use it, without an allocation per
    /// ask. `None` on every other thread.
    pub fn as_local(&self) -> Option<LocalClient> {
        Some(LocalClient {
            target: self.target.as_local()?,
            timeout: self.timeout.clone(),
            usual: self.target.target().env().settings.ask_timeout.clone(),
        })
    }
}

/// A [`Client`] on the thread that the endpoint, or the connection to it, lives on.
pub struct LocalClient {
    target: LocalRef<super::Any>,
    timeout: Option<RpcTimeout>,
    usual: RpcTimeout,
}

impl LocalClient {
    /// The endpoint.
    pub fn target(&self) -> &LocalRef<super::Any> {
        &self.target
    }

    /// Asks.
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask<M: Message>(&self, message: M) -> LocalAsk<M::Reply> {
        match handling::timeout(self.timeout.as_ref(), &self.usual) {
            Some(timeout) => self.target.ask_timeout(message, timeout),
            None => self.target.ask(message),
        }
    }

    /// Sends a message that wants no reply, as [`LocalRef::send`].
    ///
    /// # Errors
    /// It was not taken.
    pub fn send<M: Message>(&self, message: M) -> Result<(), RpcError> {
        self.target.send(message)
    }
}

debug_text!(LocalClient, |this| "LocalClient({:?})", this.timeout);
