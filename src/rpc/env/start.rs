//! Starting envs.

use std::sync::Arc;

use crate::rpc::RpcAddress;
use crate::rpc::carrier::{Carrier, Door};
use crate::rpc::error::RpcError;
use crate::rpc::lost::Losses;
use crate::rpc::node::start_thread;
use crate::rpc::settings::RpcSettings;
use crate::rpc::{inspector, verifier};

use super::network::{Network, WayIn};
use super::ports::start_on_port;
use super::shared::EnvShared;
use super::{RpcEnv, RpcEnvConfig};

/// Threads of an env without an engine, where nothing else is said.
const DEFAULT_THREADS: usize = 2;

/// An env, stopped again where making it fails half way.
///
/// # Errors
/// A setting cannot be, or asks for protection that an env does not have.
pub(crate) fn shared(config: &RpcEnvConfig) -> Result<Arc<EnvShared>, RpcError> {
    let validated = config.conf.validate();
    let settings = validated
        .and_then(|()| RpcSettings::read(&config.conf))
        .map_err(|error| RpcError::Start(error.to_string().into()))?;
    let losses = Losses::new(config.on_lost.clone());
    let (name, conf) = (&config.name, config.conf.clone());
    Ok(EnvShared::new(name, conf, settings, losses))
}

/// The address that peers are told.
pub(crate) fn advertised(config: &RpcEnvConfig, port: u16) -> RpcAddress {
    let host = config.advertise_host.as_deref();
    RpcAddress::new(host.unwrap_or(&config.bind_host), port)
}

/// Sets up the endpoints that every env has.
pub(crate) fn built_in(env: &RpcEnv) -> Result<(), RpcError> {
    verifier::set_up(env)?;
    inspector::set_up(env)
}

/// An env over a carrier.
pub(super) fn carried(config: RpcEnvConfig, carrier: Arc<dyn Carrier>) -> Result<RpcEnv, RpcError> {
    if !config.server_bootstraps.is_empty() || !config.client_bootstraps.is_empty() {
        let text = "bootstraps prepare connections of the engine, and this backend has none";
        return Err(RpcError::Start(text.into()));
    }
    let env = shared(&config)?;
    let owned = RpcEnv::owning(Arc::clone(&env));
    let count = match config.thread_count(env.settings().shards)? {
        0 => DEFAULT_THREADS,
        count => count,
    };
    let mut threads = Vec::with_capacity(count);
    for at in 0..count {
        match start_thread(&env, format!("{}-{at}", config.name), false) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                for thread in &threads {
                    thread.run(|node| node.shut_down(true));
                }
                return Err(error);
            }
        }
    }
    env.started(threads, Network::Carried(Arc::clone(&carrier)));
    if !config.client_mode {
        let retries = env.settings().port_max_retries;
        let bound = start_on_port(&config.name, config.port, retries, |port| {
            let doors: Arc<dyn Door> = Arc::new(WayIn {
                env: Arc::clone(&env),
            });
            carrier.listen(&RpcAddress::new(&config.bind_host, port), doors)
        })?;
        env.listens(advertised(&config, bound.port()));
        built_in(&owned)?;
    }
    Ok(owned)
}
