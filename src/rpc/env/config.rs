//! How an env is made: its configuration, and the builder that fills one in.

use std::sync::Arc;

use ringrail_transport::client::ClientBootstrap;
use ringrail_transport::server::ServerBootstrap;
use ringrail_transport::{Engine, ParkMode};

use crate::rpc::error::RpcError;
use crate::rpc::lost::{LossListener, LostMessage};
use crate::rpc::settings::{Defaults, SettingsSource};

use super::RpcEnv;

/// The backend that is used where none is named.
pub(crate) const DEFAULT_BACKEND: &str = "ring";

/// Makes envs over one kind of network (Spark: `RpcEnvFactory`).
pub trait RpcEnvFactory: Send + Sync {
    /// Makes an env.
    ///
    /// # Errors
    /// Why it cannot be made.
    fn create(&self, config: RpcEnvConfig) -> Result<RpcEnv, RpcError>;
}

/// The configuration of an env (Spark: `RpcEnvConfig`).
#[derive(Clone)]
pub struct RpcEnvConfig {
    /// Its name, in logs and errors.
    pub name: String,
    /// Its settings.
    pub(crate) source: Arc<dyn SettingsSource>,
    /// The host to listen at.
    pub bind_host: String,
    /// The host that peers are told; the one to listen at where `None`.
    pub advertise_host: Option<String>,
    /// The port to listen on: 0 for any free one, or 1024 and up, and then further ones where it is in
    /// use (`ringrail.port.maxRetries`).
    pub port: u16,
    /// Listens nowhere: its endpoints are reached over the connections that it makes.
    pub client_mode: bool,
    /// Threads for endpoints; `ringrail.rpc.shards` where `None`.
    pub shards: Option<usize>,
    /// The role of the program (`driver`, `executor`): keys of its own, such as
    /// `spark.driver.rpc.io.serverThreads`, go before those that all programs share.
    pub role: Option<String>,
    /// An engine to share; the env starts one of its own where `None`.
    pub engine: Option<Engine>,
    /// How shards of the env's own engine wait; as the configuration says where `None`.
    pub park: Option<ParkMode>,
    /// See [`RpcEnvBuilder::on_lost`].
    pub(crate) on_lost: Option<LossListener>,
    /// Prepare every connection that comes in, in order; see [`RpcEnvBuilder::server_bootstrap`].
    pub server_bootstraps: Vec<Arc<dyn ServerBootstrap>>,
    /// Prepare every connection that the env makes, in order; see [`RpcEnvBuilder::client_bootstrap`].
    pub client_bootstraps: Vec<Arc<dyn ClientBootstrap>>,
}

impl RpcEnvConfig {
    /// An env of this name, with defaults: at 127.0.0.1, any free port.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            source: Arc::new(Defaults),
            bind_host: String::from("127.0.0.1"),
            advertise_host: None,
            port: 0,
            client_mode: false,
            shards: None,
            role: None,
            engine: None,
            park: None,
            on_lost: None,
            server_bootstraps: Vec::new(),
            client_bootstraps: Vec::new(),
        }
    }

    /// How many threads for endpoints; `common` is what all programs are set to.
    ///
    /// # Errors
    /// The role's key has another value than a number.
    pub(crate) fn thread_count(&self, common: usize) -> Result<usize, RpcError> {
        if let Some(shards) = self.shards {
            return Ok(shards);
        }
        let Some(role) = &self.role else {
            return Ok(common);
        };
        Ok(self.source.threads_of(role)?.unwrap_or(common))
    }
}

debug_text!(RpcEnvConfig, |this| "RpcEnvConfig({})", this.name);

/// Makes an env; see [`RpcEnv::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until build"]
pub struct RpcEnvBuilder {
    pub(crate) config: RpcEnvConfig,
    pub(crate) backend: String,
}

impl RpcEnvBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            config: RpcEnvConfig::new(name),
            backend: String::from(DEFAULT_BACKEND),
        }
    }

    /// The host to listen at, and the one that peers are told unless
    /// [`advertise`](Self::advertise) names another.
    pub fn bind(mut self, host: impl Into<String>) -> Self {
        self.config.bind_host = host.into();
        self
    }

    /// The host that peers are told.
    pub fn advertise(mut self, host: impl Into<String>) -> Self {
        self.config.advertise_host = Some(host.into());
        self
    }

    /// The port to listen on; see [`RpcEnvConfig::port`].
    pub fn port(mut self, port: u16) -> Self {
        self.config.port = port;
        self
    }

    /// Listens nowhere; see [`RpcEnvConfig::client_mode`].
    pub fn client_mode(mut self) -> Self {
        self.config.client_mode = true;
        self
    }

    /// Threads for endpoints.
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = Some(shards);
        self
    }

    /// The role of the program; see [`RpcEnvConfig::role`].
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.config.role = Some(role.into());
        self
    }

    /// An engine to share. It keeps the settings that it was started with: where the [configuration](Self::conf)
    /// sets keys of the transport to other values, or this builder sets [shards](Self::shards) or
    /// [park mode](Self::park), a warning names them.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.config.engine = Some(engine);
        self
    }

    /// How the shards of the env's own engine wait when they have nothing to do; goes before the
    /// [configuration](Self::conf). [`ParkMode::Hosted`] is for endpoints that await timers or files of a
    /// runtime on their shard; [`ParkMode::Bare`] costs fewer system calls.
    ///
    /// The shards of an engine that an env starts by itself are pinned to processors where they spin
    /// (`ringrail.transport.spinUs`), or `ringrail.transport.pin` says so: several envs of one process would share the first processors otherwise.
    /// Start an [`Engine`] and [share it](Self::engine) to choose.
    pub fn park(mut self, park: ParkMode) -> Self {
        self.config.park = Some(park);
        self
    }

    /// Has every connection that comes in go through this first, after those that were added before (Spark:
    /// `TransportServerBootstrap`): it wraps the env's handler, and so sees every message before the env does,
    /// the greeting included. Authentication that the env does not have goes here; it must refuse, or
    /// hold back, everything of a peer that is not known yet.
    ///
    /// Keys that ask for authentication (`spark.authenticate` and others) are refused also where there are
    /// bootstraps: they name a protocol that the env does not speak.
    pub fn server_bootstrap(mut self, bootstrap: Arc<dyn ServerBootstrap>) -> Self {
        self.config.server_bootstraps.push(bootstrap);
        self
    }

    /// Prepares every connection that the env makes before a message goes out over it, after those that were
    /// added before (Spark: `TransportClientBootstrap`); downloads of files included. Where it fails, so does
    /// the connection, and with it what waited for it.
    pub fn client_bootstrap(mut self, bootstrap: Arc<dyn ClientBootstrap>) -> Self {
        self.config.client_bootstraps.push(bootstrap);
        self
    }

    /// Has `listener` told of every message that [`send`](crate::rpc::RpcEndpointRef::send) took and that was
    /// not handled. It is called on whichever thread finds the message lost, also on shards, and must not block.
    ///
    /// Not told: what was on its way over a connection that ended. That it ended is told to every endpoint
    /// ([`on_disconnected`](crate::rpc::RpcEndpoint::on_disconnected)).
    pub fn on_lost(mut self, listener: impl Fn(&LostMessage) + Send + Sync + 'static) -> Self {
        self.config.on_lost = Some(Arc::new(listener));
        self
    }

    /// The backend: `"ring"` (the engine; the default), `"local"` (within the process), or
    /// one that was [registered](crate::rpc::register_factory).
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backend = name.into();
        self
    }
}
