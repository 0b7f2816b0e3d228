//! The state that all threads of an env share: its endpoints by name, its threads, timers and network, its end.

mod connector;
mod network;
mod ports;
mod registry;
mod shutdown;
mod timers;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use connector::Connector;
use registry::Registry;
use shutdown::Shutdown;
use timers::Timers;

use super::error::{ENV_STOPPED, RpcError};
use super::file_table::FileTable;
use super::lost::Losses;
use super::settings::{RpcSettings, SettingsSource};
use super::sync::Unpoisoned;
use super::thread::ThreadHandle;
use super::{RpcAddress, clock};

pub(crate) use network::{FileSource, Network};
pub(crate) use ports::{ListenError, start_on_port};
pub(crate) use registry::Registration;
pub(crate) use timers::{Sleep, Timed, TimerGuard};

/// A number that no other thing of this process has.
pub(crate) fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A number that no other env has, in whatever process; never 0.
fn fresh_id() -> u64 {
    // The keys of a RandomState are the standard library's source of randomness.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(clock::now_ns());
    hasher.write_u64(next_serial());
    hasher.write_u32(std::process::id());
    hasher.finish().max(1)
}

/// State that all threads of an env share.
pub(crate) struct EnvShared {
    id: u64,
    name: Box<str>,
    source: Arc<dyn SettingsSource>,
    pub(crate) settings: RpcSettings,
    address: OnceLock<RpcAddress>,
    pub(crate) registry: Registry,
    /// Every thread with endpoints; those of the network first.
    hosts: RwLock<Vec<Arc<ThreadHandle>>>,
    /// The threads that connections live on.
    shards: OnceLock<Vec<Arc<ThreadHandle>>>,
    turn: AtomicUsize,
    stopped: AtomicBool,
    pub(crate) timers: Arc<Timers>,
    pub(crate) connector: Arc<Connector>,
    network: Mutex<Option<Arc<dyn Network>>>,
    pub(crate) files: FileTable,
    pub(crate) termination: Shutdown,
    pub(crate) losses: Losses,
}

impl EnvShared {
    pub(crate) fn new(
        name: &str,
        source: Arc<dyn SettingsSource>,
        settings: RpcSettings,
        losses: Losses,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: fresh_id(),
            name: name.into(),
            connector: Connector::new(settings.connect_concurrency),
            source,
            settings,
            address: OnceLock::new(),
            registry: Registry::default(),
            hosts: RwLock::default(),
            shards: OnceLock::new(),
            turn: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            timers: Arc::default(),
            network: Mutex::new(None),
            files: FileTable::default(),
            termination: Shutdown::default(),
            losses,
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The source of its settings.
    pub(crate) fn source(&self) -> &dyn SettingsSource {
        &*self.source
    }

    /// The address that the env listens at.
    pub(crate) fn address(&self) -> Option<&RpcAddress> {
        self.address.get()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Takes no more; false where it was stopped before.
    fn mark_stopped(&self) -> bool {
        !self.stopped.swap(true, Ordering::AcqRel)
    }

    /// The env's threads and its network are there.
    pub(crate) fn started(&self, shards: Vec<Arc<ThreadHandle>>, network: Arc<dyn Network>) {
        self.hosts
            .write()
            .unpoisoned()
            .extend(shards.iter().cloned());
        assert!(self.shards.set(shards).is_ok(), "an env is started once");
        let before = self.lock_network().replace(network);
        assert!(before.is_none(), "an env has one network");
    }

    /// It listens.
    pub(crate) fn listens(&self, address: RpcAddress) {
        assert!(
            self.address.set(address).is_ok(),
            "an env listens at one address"
        );
    }

    fn lock_network(&self) -> std::sync::MutexGuard<'_, Option<Arc<dyn Network>>> {
        self.network.lock().unpoisoned()
    }

    /// # Errors
    /// The env has ended.
    pub(crate) fn network(&self) -> Result<Arc<dyn Network>, RpcError> {
        self.lock_network().clone().ok_or(ENV_STOPPED)
    }

    fn end_network(&self) {
        let network = self.lock_network().take();
        if let Some(network) = network {
            network.close();
        }
    }

    /// The threads that connections live on.
    pub(crate) fn shards(&self) -> &[Arc<ThreadHandle>] {
        self.shards.get().map_or(&[], Vec::as_slice)
    }

    /// The index of this one.
    pub(crate) fn shard_of(&self, host: &Arc<ThreadHandle>) -> usize {
        let mut shards = self.shards().iter();
        shards
            .position(|shard| Arc::ptr_eq(shard, host))
            .unwrap_or_default()
    }

    /// One of them, each in turn.
    pub(crate) fn next_shard(&self) -> Result<Arc<ThreadHandle>, RpcError> {
        let shards = self.shards();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        shards
            .get(turn % shards.len().max(1))
            .cloned()
            .ok_or(ENV_STOPPED)
    }

    /// Every thread with endpoints.
    pub(crate) fn hosts(&self) -> Vec<Arc<ThreadHandle>> {
        self.hosts.read().unpoisoned().clone()
    }

    pub(crate) fn add_host(&self, host: &Arc<ThreadHandle>) {
        self.hosts.write().unpoisoned().push(Arc::clone(host));
    }

    /// A thread runs no endpoints any more.
    pub(crate) fn host_ended(&self, host: &Arc<ThreadHandle>) {
        self.hosts
            .write()
            .unpoisoned()
            .retain(|other| !Arc::ptr_eq(other, host));
        self.termination.changed();
    }
}

debug_text!(
    EnvShared,
    |this| "EnvShared({}, {:?})",
    this.name,
    this.address.get()
);
