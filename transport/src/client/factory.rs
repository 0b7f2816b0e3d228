//! Pools of connections: one per peer, shared by all callers.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::conf::TransportConf;
use crate::error::ConnectError;
use crate::shard::Engine;
use crate::shard::blocking::block_on;
use crate::shard::command::{Command, ConnectOrder};
use crate::shard::conn::Protocol;
use crate::shard::conn::user::HandlerFactory;
use crate::sys::socket::Addr;

use super::TransportClient;
use super::resolve::Resolver;

/// Fraction of the retry wait during which a failed peer is not tried again.
const FAST_FAIL_PART: f64 = 0.95;

/// Prepares every new connection before it is handed out, for example by authentication (Spark:
/// `TransportClientBootstrap`). Runs on the caller's thread or task; may send requests.
pub trait ClientBootstrap: Send + Sync {
    /// Prepares `client`.
    ///
    /// # Errors
    /// The reason why the connection must not be used, as text; the connection is closed then.
    fn bootstrap<'a>(
        &'a self,
        client: &'a TransportClient,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
}

/// One slot for a connection to a peer. Its lock is held while connecting, so that concurrent
/// callers make one attempt.
type Slot = AsyncMutex<Option<TransportClient>>;

struct PeerPool {
    slots: Vec<Slot>,
    last_failure: Mutex<Option<Failure>>,
}

/// Time and cause of a peer's last failure.
struct Failure {
    at: Instant,
    of: FailedOf,
}

impl Failure {
    /// A failure that has just happened; `None` if the peer is not its cause.
    fn now(error: &ConnectError) -> Option<Self> {
        let of = match error {
            ConnectError::Resolve { .. } => FailedOf::Name,
            error => FailedOf::Peer(Arc::clone(error.peer()?)),
        };
        let at = Instant::now();
        Some(Self { at, of })
    }
}

/// The cause of a failure, as far as the fast-fail window needs it.
enum FailedOf {
    /// The peer did not answer correctly.
    Peer(Arc<Addr>),
    /// The name has no address.
    Name,
}

struct Inner {
    engine: Engine,
    handlers: Arc<HandlerFactory>,
    bootstraps: Vec<Arc<dyn ClientBootstrap>>,
    speaks: Protocol,
    /// Keyed by the unresolved address, so that names are looked up again for each connection.
    peers: Mutex<HashMap<String, Arc<PeerPool>>>,
    turn: std::sync::atomic::AtomicUsize,
    resolver: Resolver,
}

/// Creates and keeps connections (Spark: `TransportClientFactory`).
///
/// `ringrail.transport.numConnectionsPerPeer` connections per peer, used round robin; an inactive
/// connection is replaced on its next use. Cheap to clone.
#[derive(Clone)]
pub struct TransportClientFactory {
    inner: Arc<Inner>,
}

impl TransportClientFactory {
    pub(crate) fn new(
        engine: Engine,
        handlers: Arc<HandlerFactory>,
        bootstraps: Vec<Arc<dyn ClientBootstrap>>,
        speaks: Protocol,
    ) -> Self {
        let turn = std::sync::atomic::AtomicUsize::new(0);
        let peers = Mutex::new(HashMap::new());
        let resolver = Resolver::new(engine.conf().resolve_queue);
        Self {
            inner: Arc::new(Inner {
                resolver,
                engine,
                handlers,
                bootstraps,
                speaks,
                peers,
                turn,
            }),
        }
    }

    /// A connection to `address` (`host:port`, `[v6]:port`, `unix:/path`), from the pool.
    ///
    /// # Errors
    /// If no connection can be made.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the pool unchanged.
    pub async fn create_client(&self, address: &str) -> Result<TransportClient, ConnectError> {
        self.pooled(address, false).await
    }

    /// As [`create_client`](Self::create_client), but fails at once if the peer failed a moment
    /// ago: a dead peer then costs one timeout, not one per request (Spark: `fastFail`).
    ///
    /// # Errors
    /// If no connection can be made; [`ConnectError::FastFail`] within the window.
    pub async fn create_client_fast_fail(
        &self,
        address: &str,
    ) -> Result<TransportClient, ConnectError> {
        self.pooled(address, true).await
    }

    /// A connection outside the pool, not shared with other callers (Spark:
    /// `createUnmanagedClient`).
    ///
    /// # Errors
    /// If no connection can be made.
    pub async fn create_unmanaged_client(
        &self,
        address: &str,
    ) -> Result<TransportClient, ConnectError> {
        self.connect(address).await
    }

    /// As [`create_client`](Self::create_client), for plain threads.
    ///
    /// # Errors
    /// If no connection can be made.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn create_client_blocking(&self, address: &str) -> Result<TransportClient, ConnectError> {
        block_on("create_client_blocking", self.pooled(address, false))
    }

    /// As [`create_unmanaged_client`](Self::create_unmanaged_client), for plain threads.
    ///
    /// # Errors
    /// If no connection can be made.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn create_unmanaged_client_blocking(
        &self,
        address: &str,
    ) -> Result<TransportClient, ConnectError> {
        block_on("create_unmanaged_client_blocking", self.connect(address))
    }

    /// As [`create_unmanaged_client`](Self::create_unmanaged_client), on the shard with this number
    /// (modulo their count): for callers that keep a connection's state on its shard.
    ///
    /// # Errors
    /// If no connection can be made.
    pub async fn create_unmanaged_client_on(
        &self,
        shard: usize,
        address: &str,
    ) -> Result<TransportClient, ConnectError> {
        self.connect_on(Some(shard), address).await
    }

    /// As [`create_unmanaged_client_on`](Self::create_unmanaged_client_on), for plain threads.
    ///
    /// # Errors
    /// If no connection can be made.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn create_unmanaged_client_on_blocking(
        &self,
        shard: usize,
        address: &str,
    ) -> Result<TransportClient, ConnectError> {
        block_on(
            "create_unmanaged_client_on_blocking",
            self.connect_on(Some(shard), address),
        )
    }

    fn conf(&self) -> &TransportConf {
        self.inner.engine.conf()
    }

    fn pool(&self, address: &str) -> Arc<PeerPool> {
        let mut peers = self
            .inner
            .peers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let pool = peers.entry(address.to_owned()).or_insert_with(|| {
            let slots = (0..self.conf().connections_per_peer)
                .map(|_| Slot::default())
                .collect();
            Arc::new(PeerPool {
                slots,
                last_failure: Mutex::new(None),
            })
        });
        Arc::clone(pool)
    }

    async fn pooled(
        &self,
        address: &str,
        fast_fail: bool,
    ) -> Result<TransportClient, ConnectError> {
        let pool = self.pool(address);
        let turn = self
            .inner
            .turn
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut slot = pool.slots[turn % pool.slots.len()].lock().await;
        if let Some(client) = slot.as_ref().filter(|client| client.is_active()) {
            return Ok(client.clone());
        }
        if slot.is_some() {
            tracing::info!(
                target: "ringrail::client",
                "Found inactive connection to {address}, creating a new one."
            );
        }
        if fast_fail {
            self.check_window(&pool, address)?;
        }
        let connected = self.connect(address).await;
        let failed = connected.as_ref().err().and_then(Failure::now);
        *pool
            .last_failure
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = failed;
        *slot = Some(connected?);
        slot.clone().ok_or(ConnectError::Stopped)
    }

    fn check_window(&self, pool: &PeerPool, address: &str) -> Result<(), ConnectError> {
        let last = pool
            .last_failure
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let window = self.conf().retry_wait.mul_f64(FAST_FAIL_PART);
        let Some(Failure { at, of }) = &*last else {
            return Ok(());
        };
        let ago = at.elapsed();
        if ago >= window {
            return Ok(());
        }
        Err(match of {
            FailedOf::Peer(peer) => ConnectError::FastFail {
                peer: Arc::clone(peer),
                ago,
            },
            FailedOf::Name => ConnectError::Resolve {
                address: address.to_owned(),
                detail: format!(
                    "it was not found {ago:?} ago; not tried again before ringrail.transport.retryWait"
                ),
            },
        })
    }

    async fn connect(&self, address: &str) -> Result<TransportClient, ConnectError> {
        self.connect_on(None, address).await
    }

    /// Connects, trying every address of the name in turn.
    async fn connect_on(
        &self,
        shard: Option<usize>,
        address: &str,
    ) -> Result<TransportClient, ConnectError> {
        let started = Instant::now();
        let addresses = self.inner.resolver.resolve(address).await?;
        if started.elapsed() > Duration::from_secs(2) {
            tracing::warn!(target: "ringrail::client", address, "the name took over 2 s to resolve");
        }
        let mut last = ConnectError::Resolve {
            address: address.to_owned(),
            detail: String::from("the name has no address"),
        };
        for addr in addresses {
            match self.connect_to(shard, addr).await {
                Ok(client) => return Ok(client),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(
        &self,
        shard: Option<usize>,
        addr: Addr,
    ) -> Result<TransportClient, ConnectError> {
        let (opened, wait) = oneshot::channel();
        let shards = self.inner.engine.shards();
        let shard = match shard {
            Some(at) => shards[at % shards.len()].clone(),
            None => self.inner.engine.next_shard().clone(),
        };
        let handlers = Arc::clone(&self.inner.handlers);
        let order = ConnectOrder {
            addr: addr.clone(),
            handlers,
            speaks: self.inner.speaks.clone(),
            opened,
        };
        shard.post_surely(Command::Connect(Box::new(order)));
        let live = wait.await.map_err(|_| ConnectError::Stopped)??;
        let client = TransportClient::new(shard, live, Arc::new(addr));
        for bootstrap in &self.inner.bootstraps {
            if let Err(detail) = bootstrap.bootstrap(&client).await {
                client.close();
                return Err(ConnectError::Bootstrap {
                    peer: Arc::new(client.peer().clone()),
                    detail,
                });
            }
        }
        Ok(client)
    }
}

impl fmt::Debug for TransportClientFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportClientFactory({:?})", self.inner.engine)
    }
}
