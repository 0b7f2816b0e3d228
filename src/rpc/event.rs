//! The events of connections that endpoints are told of.

use super::{RpcAddress, RpcError};

/// Something that happened to a connection; every endpoint is told.
#[derive(Clone, Debug)]
pub(crate) enum NetworkEvent {
    Connected(RpcAddress),
    Disconnected(RpcAddress),
    Failed(RpcError, RpcAddress),
}
