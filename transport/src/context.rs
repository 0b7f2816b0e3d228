//! The entry point: combines an engine and a handler into servers and clients.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::client::{ClientBootstrap, TransportClient, TransportClientFactory};
use crate::error::ConnectError;
use crate::server::{HandlerFactory, NoRpcHandler, RpcHandler, ServerBootstrap, TransportServer};
use crate::shard::Engine;
use crate::shard::conn::Protocol;
use crate::spark::{ClientAuthentication, Protocols, ServerAuthentication};
use crate::sys::socket::{Addr, SocketError};

/// Makes servers and client factories that share an engine and a handler (Spark:
/// `TransportContext`).
///
/// ```no_run
/// use std::rc::Rc;
/// use ringrail_transport::{
///     Connection, Engine, ReceivedBytes, Responder, RpcHandler, TransportConf, TransportContext,
/// };
///
/// struct Echo;
/// impl RpcHandler for Echo {
///     fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
///         reply.reply(body.bytes());
///     }
/// }
///
/// let engine = Engine::builder(TransportConf::default()).shards(1).start()?;
/// let context = TransportContext::new(engine, || Rc::new(Echo));
/// let server = context.create_server("127.0.0.1:0".parse()?)?;
/// let client = context.connect(&server.local_addr().to_string())?;
/// let reply = client.send_rpc("hello").wait()?;
/// assert_eq!(&reply[..], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TransportContext {
    engine: Engine,
    handlers: Arc<HandlerFactory>,
    protocols: Protocols,
    authentication: Option<Arc<ServerAuthentication>>,
}

impl TransportContext {
    /// A context whose connections, outgoing and incoming, are served by handlers of this kind: one
    /// per shard, created on the shard.
    pub fn new<H: RpcHandler + 'static>(
        engine: Engine,
        handler: impl Fn() -> Rc<H> + Send + Sync + 'static,
    ) -> Self {
        Self {
            engine,
            handlers: Arc::new(move || handler() as Rc<dyn RpcHandler>),
            protocols: Protocols::Native,
            authentication: None,
        }
    }

    /// Sets the protocols that the servers of this context accept.
    ///
    /// ```no_run
    /// # use std::rc::Rc;
    /// # use ringrail_transport::server::NoRpcHandler;
    /// use ringrail_transport::spark::Protocols;
    /// use ringrail_transport::{Engine, TransportConf, TransportContext};
    ///
    /// let engine = Engine::builder(TransportConf::default()).start()?;
    /// let context = TransportContext::new(engine, || Rc::new(NoRpcHandler))
    ///     .with_protocols(Protocols::Either);
    /// let server = context.create_server("0.0.0.0:7337".parse()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// Makes the servers of this context accept only Spark's clients, and only those that authenticate.
    /// (The native protocol has no such handshake, and would bypass it.)
    #[must_use]
    pub fn with_spark_authentication(mut self, authentication: ServerAuthentication) -> Self {
        self.protocols = Protocols::Spark;
        self.authentication = Some(Arc::new(authentication));
        self
    }

    /// A context without a handler, for a side that only sends requests.
    pub fn client_only(engine: Engine) -> Self {
        Self::new(engine, || Rc::new(NoRpcHandler))
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A server without bootstraps.
    ///
    /// # Errors
    /// If the address cannot be listened on; names the reason and the remedy.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    pub fn create_server(&self, addr: Addr) -> Result<TransportServer, SocketError> {
        self.create_server_with(addr, Vec::new())
    }

    /// A server whose connections pass through bootstraps first, in order.
    ///
    /// # Errors
    /// If the address cannot be listened on; names the reason and the remedy.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    pub fn create_server_with(
        &self,
        addr: Addr,
        bootstraps: Vec<Arc<dyn ServerBootstrap>>,
    ) -> Result<TransportServer, SocketError> {
        let speaks = match (&self.authentication, self.protocols) {
            (None, Protocols::Native) => Protocol::Native,
            (None, Protocols::Either) => Protocol::Either,
            (authentication, _) => Protocol::SparkServer(authentication.clone()),
        };
        let (id, addr) = self
            .engine
            .listen(addr, &self.handlers, &bootstraps.into(), &speaks)?;
        Ok(TransportServer::new(self.engine.clone(), id, addr))
    }

    /// Opens a connection to `address` (`host:port`, `[v6]:port`, `unix:/path`), on the next shard in turn,
    /// that is not shared. [`create_client_factory`](Self::create_client_factory) offers a pool, bootstraps
    /// and the choice of a shard (Spark: `createUnmanagedClient`).
    ///
    /// # Errors
    /// If the connection cannot be opened.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn connect(&self, address: &str) -> Result<TransportClient, ConnectError> {
        self.create_client_factory(Vec::new())
            .create_unmanaged_client_blocking(address)
    }

    /// As [`connect`](Self::connect), for any runtime.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropping the future abandons the connection.
    pub async fn connect_async(&self, address: &str) -> Result<TransportClient, ConnectError> {
        let factory = self.create_client_factory(Vec::new());
        factory.create_unmanaged_client(address).await
    }

    /// A pool of connections, each prepared by the bootstraps, in order; the list may be empty. For a
    /// single connection use [`connect`](Self::connect).
    pub fn create_client_factory(
        &self,
        bootstraps: Vec<Arc<dyn ClientBootstrap>>,
    ) -> TransportClientFactory {
        self.client_factory(bootstraps, Protocol::Native)
    }

    /// As [`create_client_factory`](Self::create_client_factory), for connections that speak
    /// Spark's protocol, authenticated as `authentication` says.
    ///
    /// Operations that Spark's protocol lacks fail with [`RequestError::NotInProtocol`]: parts of chunks,
    /// and streams from an offset. Deadlines and cancellations are not sent to the peer.
    ///
    /// [`RequestError::NotInProtocol`]: crate::RequestError::NotInProtocol
    pub fn create_spark_client_factory(
        &self,
        authentication: Option<ClientAuthentication>,
        bootstraps: Vec<Arc<dyn ClientBootstrap>>,
    ) -> TransportClientFactory {
        let speaks = Protocol::SparkClient(authentication.map(Arc::new));
        self.client_factory(bootstraps, speaks)
    }

    fn client_factory(
        &self,
        bootstraps: Vec<Arc<dyn ClientBootstrap>>,
        speaks: Protocol,
    ) -> TransportClientFactory {
        let handlers = Arc::clone(&self.handlers);
        TransportClientFactory::new(self.engine.clone(), handlers, bootstraps, speaks)
    }
}

impl fmt::Debug for TransportContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportContext({:?})", self.engine)
    }
}
