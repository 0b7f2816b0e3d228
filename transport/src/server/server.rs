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

    /// The address it listens on, with the port that was chosen.
    pub fn local_addr(&self) -> &Addr {
        &self.addr
    }

    /// The port, for TCP (Spark: `getPort`).
    pub fn port(&self) -> Option<u16> {
        self.addr.port()
    }

    /// Stops accepting; connections stay.
    pub fn close(self) {}

    /// Stops accepting and drains the engine's connections: what is under way is answered, for at
    /// most `ringrail.transport.drainTimeout`. Blocks until that is done.
    ///
    /// # Errors
    /// Where a shard does not answer any more.
    ///
    /// # Panics
    /// On the thread of a shard and inside an asynchronous runtime, which it would block.
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
