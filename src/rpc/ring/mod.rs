//! The backend over the engine, `"ring"`: every shard of an engine runs a dispatcher.
//!
//! ```text
//! shard 0: pump ─► RingHandler ─► Dispatcher ◄─ DispatcherTask (mailbox, inboxes, timers)
//! shard 1: …
//! ```
//!
//! Connections come in by `SO_REUSEPORT` on whichever shard the kernel picks, and are made on the shard
//! that the outbox of their address lives on. An endpoint on another shard than its message's
//! connection gets the message through its thread's mailbox, in the receive buffer that it lies in.

mod handler;
mod task;

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use ringrail_transport::sys::socket::SocketError;
use ringrail_transport::{Addr, Engine, TransportClientFactory, TransportContext, TransportServer};

use super::env::{RpcEnv, RpcEnvConfig, RpcEnvFactory, start};
use super::error::{ENV_STOPPED, RpcError};
use super::shared::{EnvShared, FileSource, ListenError, Network, start_on_port};
use super::sync::Unpoisoned;
use super::thread::ThreadHandle;
use super::{RpcAddress, inspector, verifier};

/// Makes envs over the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RingFactory;

impl RpcEnvFactory for RingFactory {
    fn create(&self, config: RpcEnvConfig) -> Result<RpcEnv, RpcError> {
        // Starting waits for the shards, which a runtime's thread must not do.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(format!("{}-start", config.name));
            let thread = thread
                .spawn_scoped(scope, || create(&config))
                .map_err(|error| failed(&format!("no thread to start it: {error}")))?;
            thread
                .join()
                .unwrap_or_else(|_| Err(failed("starting it panicked")))
        })
    }
}

/// Shards of an env's own engine where nothing else is said and there are more processors (Spark:
/// `MAX_DEFAULT_NETTY_THREADS`).
const MOST_SHARDS: usize = 8;

fn failed(text: &str) -> RpcError {
    RpcError::Start(text.into())
}

/// The network of an env over the engine.
struct Ring {
    clients: TransportClientFactory,
    /// For files: bulk does not queue before messages.
    downloads: TransportClientFactory,
    server: Mutex<Option<TransportServer>>,
    /// The last of it joins the shards.
    _engine: Engine,
}

impl Ring {
    fn server(&self) -> MutexGuard<'_, Option<TransportServer>> {
        self.server.lock().unpoisoned()
    }
}

impl Network for Ring {
    fn connect(
        &self,
        env: &Arc<EnvShared>,
        host: &Arc<ThreadHandle>,
        to: &RpcAddress,
    ) -> Result<(), RpcError> {
        let shard = env.shard_of(host);
        let client = self
            .clients
            .create_unmanaged_client_on_blocking(shard, &to.to_string())
            .map_err(|error| RpcError::not_connected(to, &error))?;
        let (id, to) = (client.id(), to.clone());
        let ordered = host.run(move |dispatcher| {
            let link = dispatcher
                .link(id)
                .ok_or_else(|| RpcError::disconnected(&to));
            dispatcher.connected(&to, link);
        });
        if !ordered {
            client.close();
            return Err(ENV_STOPPED);
        }
        Ok(())
    }

    fn file_source(&self, _: &RpcAddress, _: &str) -> Result<FileSource, RpcError> {
        Ok(FileSource::Stream(self.downloads.clone()))
    }

    fn close(&self) {
        let server = self.server().take();
        drop(server);
    }
}

fn create(config: &RpcEnvConfig) -> Result<RpcEnv, RpcError> {
    let env = start::shared(config)?;
    let owned = RpcEnv::owning(Arc::clone(&env));
    let engine = match &config.engine {
        Some(engine) => {
            warn_of_ignored(config, engine)?;
            engine.clone()
        }
        None => start_engine(config, &env)?,
    };
    let hosts = task::start_dispatchers(&env, &engine)?;
    let context = handler::context(&env, engine.clone(), true);
    let prepared = &config.client_bootstraps;
    // Requests of a bootstrap go before the greeting.
    let clients = handler::context(&env, engine.clone(), prepared.is_empty());
    let clients = clients.create_client_factory(prepared.clone());
    let downloads = TransportContext::client_only(engine.clone());
    let downloads = downloads.create_client_factory(prepared.clone());
    let ring = Arc::new(Ring {
        clients,
        downloads,
        server: Mutex::new(None),
        _engine: engine,
    });
    env.started(hosts, Arc::clone(&ring) as Arc<dyn Network>);
    if !config.client_mode {
        let server = listen(config, &env, &context)?;
        *ring.server() = Some(server);
        verifier::set_up(&owned)?;
        inspector::set_up(&owned)?;
    }
    Ok(owned)
}

/// An engine that is shared has been started with settings of its own.
fn warn_of_ignored(config: &RpcEnvConfig, engine: &Engine) -> Result<(), RpcError> {
    let mut ignored = config.source.ignored_by(engine.conf())?;
    let has = engine.shards().len();
    if config.shards.is_some_and(|shards| shards != has) {
        ignored.push("RpcEnvBuilder::shards");
    }
    if config.park.is_some_and(|park| park != engine.park_mode()) {
        ignored.push("RpcEnvBuilder::park");
    }
    if !ignored.is_empty() {
        let (env, keys) = (&config.name, ignored.join(", "));
        tracing::warn!(
            target: "ringrail::rpc",
            env,
            "these do nothing for an env that shares an engine, which was started with other settings: {keys}"
        );
    }
    Ok(())
}

fn start_engine(config: &RpcEnvConfig, env: &EnvShared) -> Result<Engine, RpcError> {
    let conf = config.source.transport()?;
    let shards = match config.thread_count(env.settings.shards)? {
        0 => thread::available_parallelism().map_or(1, |count| count.get().min(MOST_SHARDS)),
        count => count,
    };
    let builder = Engine::builder(conf).shards(shards);
    let builder = match config.park {
        Some(park) => builder.park(park),
        None => builder,
    };
    builder.start().map_err(|error| failed(&error.to_string()))
}

fn listen(
    config: &RpcEnvConfig,
    env: &EnvShared,
    context: &TransportContext,
) -> Result<TransportServer, RpcError> {
    let retries = env.settings.port_max_retries;
    let server = start_on_port(&config.name, config.port, retries, |port| {
        let at = RpcAddress::new(&config.bind_host, port);
        let addr = Addr::resolve(&at.to_string()).map_err(|error| ListenError {
            in_use: false,
            text: error.to_string(),
        })?;
        let addr = addr.into_iter().next().ok_or_else(|| ListenError {
            in_use: false,
            text: format!("{at} has no address"),
        })?;
        let server = context.create_server_with(addr, config.server_bootstraps.clone());
        server.map_err(|error| ListenError {
            in_use: matches!(error, SocketError::InUse { .. }),
            text: error.to_string(),
        })
    })?;
    env.listens(start::advertised(config, server.port().unwrap_or(0)));
    Ok(server)
}
