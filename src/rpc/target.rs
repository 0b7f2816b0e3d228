//! The endpoint that a ref leads to, and where it is.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::error::{ENV_STOPPED, RpcError};
use super::id::EndpointId;
use super::lost::LostMessage;
use super::message::Message;
use super::peer::Peer;
use super::shared::EnvShared;
use super::thread::ThreadHandle;
use super::{RpcAddress, RpcEndpointAddress};

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
            return Err(ENV_STOPPED);
        }
        match &self.place {
            Place::Here(hosts) => {
                let known = hosts.get().map(|hosts| pick(hosts));
                // An isolated endpoint's thread ends with it; another may have its name by now.
                if let Some(known) = known.filter(|known| !known.is_closed()) {
                    return Ok(Arc::clone(known));
                }
                let found = self.env.registry.hosts_of(self.id);
                let found = found.ok_or_else(|| RpcError::no_endpoint(&self.name_arc()))?;
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

/// The target of this thread's asks: counted here, so that an ask does not touch a count of other threads.
pub(crate) struct LocalTarget(pub(crate) Arc<RefTarget>);

impl Deref for LocalTarget {
    type Target = Arc<RefTarget>;

    fn deref(&self) -> &Arc<RefTarget> {
        &self.0
    }
}

impl EnvShared {
    /// A message that wanted no reply cannot be delivered.
    #[cold]
    pub(crate) fn lost(&self, endpoint: &RefTarget, message: &'static str, cause: RpcError) {
        self.losses
            .note(&LostMessage::new(endpoint.to_string(), message, cause));
    }

    /// A ref to an endpoint of this env.
    pub(crate) fn own_ref(self: &Arc<Self>, name: Arc<str>) -> Arc<RefTarget> {
        let place = Place::Here(OnceLock::new());
        let address = self.address().cloned();
        RefTarget::new(Arc::clone(self), address, name, (self.id(), place))
    }

    /// A ref to an endpoint at an address.
    pub(crate) fn ref_at(
        self: &Arc<Self>,
        address: RpcAddress,
        name: Arc<str>,
    ) -> Result<Arc<RefTarget>, RpcError> {
        if self.address() == Some(&address) {
            return Ok(self.own_ref(name));
        }
        let shards = self.shards();
        let at = (address.key() >> 7) as usize % shards.len().max(1);
        let host = shards.get(at).cloned().ok_or(ENV_STOPPED)?;
        let place = Place::Remote {
            address: address.clone(),
            host,
        };
        let target = RefTarget::new(Arc::clone(self), Some(address), name, (0, place));
        Ok(target)
    }

    /// A ref that came in a message, over the connection to `peer`.
    pub(crate) fn read_ref(
        self: &Arc<Self>,
        address: Option<RpcAddress>,
        name: &str,
        owner: u64,
        peer: Option<Arc<Peer>>,
    ) -> Arc<RefTarget> {
        let name: Arc<str> = name.into();
        if owner == self.id() {
            return self.own_ref(name);
        }
        if let Some(address) = address {
            if let Ok(target) = self.ref_at(address.clone(), Arc::clone(&name)) {
                return target;
            }
            let owner = (owner, Place::Nowhere);
            return RefTarget::new(Arc::clone(self), Some(address), name, owner);
        }
        let place = match peer {
            Some(peer) if peer.env_id() == Some(owner) => Place::Connection(peer),
            _ => Place::Nowhere,
        };
        RefTarget::new(Arc::clone(self), None, name, (owner, place))
    }
}
