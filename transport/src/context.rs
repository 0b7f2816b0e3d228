//! The way in: an engine, a handler, and what is made of the two.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::client::{ClientBootstrap, TransportClientFactory};
use crate::server::{HandlerFactory, NoRpcHandler, RpcHandler, ServerBootstrap, TransportServer};
use crate::shard::Engine;
use crate::sys::socket::{Addr, SocketError};

/// Makes servers and client factories that share an engine and a handler (Spark:
/// `TransportContext`).
///
/// ```no_run
/// use std::rc::Rc;
/// use ringrail_transport::{
///     Connection, Engine, Received, Responder, RpcHandler, TransportConf, TransportContext,
/// };
///
/// struct Echo;
/// impl RpcHandler for Echo {
///     fn receive(&self, _from: &Connection, body: Received<'_>, reply: Responder<'_>) {
///         reply.reply(body.bytes());
///     }
/// }
///
/// let engine = Engine::builder(TransportConf::default()).shards(1).start()?;
/// let context = TransportContext::new(engine, || Rc::new(Echo));
/// let server = context.create_server("127.0.0.1:0".parse()?)?;
/// let clients = context.create_client_factory(Vec::new());
/// let client = clients.create_client_blocking(&server.local_addr().to_string())?;
/// let reply = client.send_rpc("hello").wait()?;
/// assert_eq!(&reply[..], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TransportContext {
    engine: Engine,
    handlers: Arc<HandlerFactory>,
}

impl TransportContext {
    /// A context whose connections, whoever opens them, are served by handlers of this kind: one
    /// per shard, made there.
    pub fn new<H: RpcHandler + 'static>(
        engine: Engine,
        handler: impl Fn() -> Rc<H> + Send + Sync + 'static,
    ) -> Self {
        Self {
            engine,
            handlers: Arc::new(move || handler() as Rc<dyn RpcHandler>),
        }
    }

    /// A context for a side that only asks.
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
    /// The address cannot be listened on; says why and what to do.
    ///
    /// # Panics
    /// On the thread of a shard and inside an asynchronous runtime, which it would block.
    pub fn create_server(&self, addr: Addr) -> Result<TransportServer, SocketError> {
        self.create_server_with(addr, Vec::new())
    }

    /// A server whose connections go through bootstraps first, in order.
    ///
    /// # Errors
    /// The address cannot be listened on; says why and what to do.
    ///
    /// # Panics
    /// On the thread of a shard and inside an asynchronous runtime, which it would block.
    pub fn create_server_with(
        &self,
        addr: Addr,
        bootstraps: Vec<Arc<dyn ServerBootstrap>>,
    ) -> Result<TransportServer, SocketError> {
        let (id, addr) = self
            .engine
            .listen(addr, &self.handlers, &bootstraps.into())?;
        Ok(TransportServer::new(self.engine.clone(), id, addr))
    }

    /// A pool of connections, each prepared by the bootstraps, in order.
    pub fn create_client_factory(
        &self,
        bootstraps: Vec<Arc<dyn ClientBootstrap>>,
    ) -> TransportClientFactory {
        TransportClientFactory::new(self.engine.clone(), Arc::clone(&self.handlers), bootstraps)
    }
}

impl fmt::Debug for TransportContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportContext({:?})", self.engine)
    }
}
