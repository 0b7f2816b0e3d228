//! A listening server over all shards of an engine.

use crate::error::EngineError;
use crate::shard::Engine;
use crate::shard::command::ListenerId;
use crate::sys::socket::Addr;

/// A server that listens on every shard of its engine (Spark: `TransportServer`).
///
/// Each shard accepts for itself (`SO_REUSEPORT`; a Unix-domain socket is shared). Dropping the
/// handle closes the listeners; connections that are open stay until the engine shuts down.
#[derive(Debug)]
pub struct TransportServer {
    engine: Engine,
    id: ListenerId,
    addr: Addr,
}

impl TransportServer {
    pub(crate) fn new(engine: Engine, id: ListenerId, addr: Addr) -> Self {
        Self { engine, id, addr }
    }

    /// The address it listens on, with the actual port.
    pub fn local_addr(&self) -> &Addr {
        &self.addr
    }

    /// The port, for TCP (Spark: `getPort`).
    pub fn port(&self) -> Option<u16> {
        self.addr.port()
    }

    /// Stops accepting; open connections stay.
    pub fn close(self) {}

    /// Stops accepting and drains the engine's connections: requests under way are answered, for at
    /// most `ringrail.transport.drainTimeout`. Blocks until the drain completes.
    ///
    /// # Errors
    /// If a shard no longer responds.
    ///
    /// # Panics
    /// If called on a shard's thread or inside an asynchronous runtime, which it would block.
    pub fn drain(self) -> Result<(), EngineError> {
        let engine = self.engine.clone();
        drop(self);
        engine.drain()
    }
}

impl Drop for TransportServer {
    fn drop(&mut self) {
        self.engine.unlisten(self.id);
    }
}
