//! The engine of a command, as configured: `serve`, `fetch` and `shuffle-service` start theirs here.

use ringrail::conf::Conf;
use ringrail::conf::keys::transport;
use ringrail::{Engine, ParkMode, TransportConf};

use super::failure::Failure;

/// Starts `shards` bare shards, pinned to processors where `ringrail.transport.pin` says so.
pub(crate) fn start(
    conf: &Conf,
    transport_conf: TransportConf,
    shards: usize,
) -> Result<Engine, Failure> {
    let builder = Engine::builder(transport_conf)
        .shards(shards)
        .park(ParkMode::Bare);
    let builder = match conf.get_entry(&transport::PIN)? {
        true => builder,
        false => builder.unpinned(),
    };
    Ok(builder.start()?)
}
