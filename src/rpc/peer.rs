//! The other end of a connection, as every thread may see it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::RpcAddress;
use super::id::{EndpointId, MessageId};
use super::shared::EnvShared;
use super::sync::Unpoisoned;
use super::thread::ThreadHandle;

/// Names that one peer may tell this side, so that errors can use them; further ones stay numbers.
pub(crate) const MAX_PEER_NAMES: usize = 4096;

/// The longest of them, in bytes.
pub(crate) const MAX_PEER_NAME_LEN: usize = 255;

/// A peer's env, as the peer tells it.
#[derive(Clone, Debug)]
pub(crate) struct PeerEnv {
    /// Tells its env from all others.
    pub(crate) id: u64,
    /// The address that it listens at; `None` in client mode.
    pub(crate) address: Option<RpcAddress>,
}

/// The other end of a connection.
pub(crate) struct Peer {
    env: Arc<EnvShared>,
    /// The address of its socket.
    socket: RpcAddress,
    says: OnceLock<PeerEnv>,
    names: Mutex<HashMap<u64, Arc<str>>>,
    /// Messages of which it means something else than this program.
    mistrusted: Mutex<HashSet<u64>>,
    /// Whether there are any.
    is_mistrusted: AtomicBool,
    host: Arc<ThreadHandle>,
    link: u64,
}

impl Peer {
    /// The peer of link `link` on `host`.
    pub(crate) fn new(
        env: Arc<EnvShared>,
        socket: RpcAddress,
        host: Arc<ThreadHandle>,
        link: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            env,
            socket,
            says: OnceLock::new(),
            names: Mutex::default(),
            mistrusted: Mutex::default(),
            is_mistrusted: AtomicBool::new(false),
            host,
            link,
        })
    }

    /// The env of this side.
    pub(crate) fn env(&self) -> &Arc<EnvShared> {
        &self.env
    }

    /// The address that it listens at, if it said so; else its socket's.
    pub(crate) fn address(&self) -> &RpcAddress {
        self.advertised().unwrap_or(&self.socket)
    }

    pub(crate) fn socket(&self) -> &RpcAddress {
        &self.socket
    }

    pub(crate) fn advertised(&self) -> Option<&RpcAddress> {
        self.says.get()?.address.as_ref()
    }

    /// The id of its env, once it has said so.
    pub(crate) fn env_id(&self) -> Option<u64> {
        self.says.get().map(|says| says.id)
    }

    /// Stores what it said; false where it had said it before.
    pub(crate) fn introduce(&self, says: PeerEnv) -> bool {
        self.says.set(says).is_ok()
    }

    /// The thread that its connection lives on.
    pub(crate) fn host(&self) -> &Arc<ThreadHandle> {
        &self.host
    }

    /// The number of the connection on its thread.
    pub(crate) fn link(&self) -> u64 {
        self.link
    }

    /// It calls something so.
    pub(crate) fn learn(&self, id: u64, name: &str) {
        let mut names = self.names.lock().unpoisoned();
        if names.len() < MAX_PEER_NAMES && name.len() <= MAX_PEER_NAME_LEN {
            names.entry(id).or_insert_with(|| name.into());
        }
    }

    /// Its messages of this type are another type than this program's.
    pub(crate) fn mistrust(&self, id: u64) {
        let mut mistrusted = self.mistrusted.lock().unpoisoned();
        if mistrusted.len() < MAX_PEER_NAMES {
            mistrusted.insert(id);
        }
        self.is_mistrusted.store(true, Ordering::Release);
    }

    /// Whether a message of this type can be read.
    #[inline]
    pub(crate) fn is_trusted(&self, id: MessageId) -> bool {
        !self.is_mistrusted.load(Ordering::Acquire) || self.is_known_good(id)
    }

    #[cold]
    fn is_known_good(&self, id: MessageId) -> bool {
        let mistrusted = self.mistrusted.lock().unpoisoned();
        !mistrusted.contains(&id.to_wire())
    }

    /// The name of an endpoint, or its number.
    pub(crate) fn endpoint_name(&self, id: EndpointId) -> Arc<str> {
        self.name(id.to_wire())
            .unwrap_or_else(|| id.to_string().into())
    }

    /// The name of a message, or its number.
    pub(crate) fn message_name(&self, id: MessageId) -> Arc<str> {
        self.name(id.to_wire())
            .unwrap_or_else(|| id.to_string().into())
    }

    fn name(&self, id: u64) -> Option<Arc<str>> {
        let names = self.names.lock().unpoisoned();
        names.get(&id).cloned()
    }
}

debug_text!(Peer, |this| "Peer({})", this.address());
