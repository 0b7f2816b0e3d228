//! The engine of a command, as configured: `serve`, `fetch` and `shuffle-service` start theirs here.

use ringrail::{Engine, TransportConf};

use super::failure::Failure;

/// Starts `shards` shards.
pub(crate) fn start(conf: TransportConf, shards: usize) -> Result<Engine, Failure> {
    Ok(Engine::builder(conf).shards(shards).start()?)
}
