//! Starting envs.

use std::sync::Arc;

use crate::rpc::RpcAddress;
use crate::rpc::error::RpcError;
use crate::rpc::lost::Losses;
use crate::rpc::shared::EnvShared;

use super::RpcEnvConfig;

/// An env, stopped again where making it fails half way.
///
/// # Errors
/// A setting cannot be, or asks for protection that an env does not have.
pub(crate) fn shared(config: &RpcEnvConfig) -> Result<Arc<EnvShared>, RpcError> {
    let settings = config.source.settings()?;
    let losses = Losses::new(config.on_lost.clone());
    let (name, source) = (&config.name, Arc::clone(&config.source));
    Ok(EnvShared::new(name, source, settings, losses))
}

/// The address that peers are told.
pub(crate) fn advertised(config: &RpcEnvConfig, port: u16) -> RpcAddress {
    let host = config.advertise_host.as_deref();
    RpcAddress::new(host.unwrap_or(&config.bind_host), port)
}
