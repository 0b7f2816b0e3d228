//! The network of an env: connections of the engine, or in memory.

use std::sync::Arc;

use crate::rpc::RpcAddress;
use crate::rpc::error::{ENV_STOPPED, RpcError};
use crate::rpc::memory::{self, Memory};
use crate::rpc::node::HostHandle;
use crate::rpc::ring::{self, Ring};

use super::shared::EnvShared;

/// What connects an env with others.
pub(crate) enum Network {
    Memory(Memory),
    Ring(Ring),
}

impl Network {
    pub(super) fn close(self) {
        match self {
            Network::Memory(memory) => memory.close(),
            Network::Ring(ring) => ring.close(),
        }
    }
}

impl EnvShared {
    /// Has a connection to `address` made, for the outbox on `host`.
    pub(crate) fn connect(self: &Arc<Self>, host: &Arc<HostHandle>, address: &RpcAddress) {
        let (env, of_job, to) = (Arc::clone(self), Arc::clone(host), address.clone());
        let job = move || {
            let failed = env.connect_now(&of_job, &to).err();
            if let Some(error) = failed {
                of_job.run(move |node| node.connected(&to, Err(error)));
            }
        };
        if !self.connector().run(Box::new(job)) {
            let to = address.clone();
            host.run(move |node| node.connected(&to, Err(ENV_STOPPED)));
        }
    }

    /// Connects; blocks. The outbox is told where that succeeds.
    fn connect_now(
        self: &Arc<Self>,
        host: &Arc<HostHandle>,
        to: &RpcAddress,
    ) -> Result<(), RpcError> {
        let clients = match &*self.network() {
            None => return Err(ENV_STOPPED),
            Some(Network::Memory(_)) => None,
            Some(Network::Ring(ring)) => Some(ring.clients()),
        };
        match clients {
            None => memory::connect(self, host, to),
            Some(clients) => ring::connect(&clients, self.shard_of(host), host, to),
        }
    }
}
