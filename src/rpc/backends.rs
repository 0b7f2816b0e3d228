//! Makers of envs, by name (Spark: `RpcEnvFactory`, `spark.rpc`).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

use super::RpcEnv;
use super::env::{DEFAULT_BACKEND, RpcEnvBuilder, RpcEnvFactory};
use super::error::RpcError;
use super::memory::LocalFactory;
use super::ring::RingFactory;
use super::sync::Unpoisoned;

type Factories = HashMap<String, Arc<dyn RpcEnvFactory>>;

fn factories() -> &'static RwLock<Factories> {
    static FACTORIES: OnceLock<RwLock<Factories>> = OnceLock::new();
    FACTORIES.get_or_init(|| {
        let mut factories: Factories = HashMap::new();
        factories.insert(DEFAULT_BACKEND.into(), Arc::new(RingFactory));
        factories.insert("local".into(), Arc::new(LocalFactory));
        RwLock::new(factories)
    })
}

/// Adds a backend under a name; the one that had the name before, if there was one.
pub fn register_factory(
    name: impl Into<String>,
    factory: Arc<dyn RpcEnvFactory>,
) -> Option<Arc<dyn RpcEnvFactory>> {
    let mut factories = factories().write().unpoisoned();
    factories.insert(name.into(), factory)
}

/// # Errors
/// There is none; says which there are.
fn find(name: &str) -> Result<Arc<dyn RpcEnvFactory>, RpcError> {
    let factories = factories().read().unpoisoned();
    if let Some(factory) = factories.get(name) {
        return Ok(Arc::clone(factory));
    }
    let mut known: Vec<_> = factories.keys().map(String::as_str).collect();
    known.sort_unstable();
    let known = known.join(", ");
    Err(RpcError::Start(
        format!("there is no backend called {name:?}; there are: {known}").into(),
    ))
}

impl RpcEnvBuilder {
    /// Makes the env.
    ///
    /// # Errors
    /// There is no such backend; a setting cannot be, or asks for authentication or encryption, which envs do
    /// not have ([`Conf::validate`](crate::Conf::validate)); or the env cannot be started.
    pub fn build(self) -> Result<RpcEnv, RpcError> {
        find(&self.backend)?.create(self.config)
    }
}
