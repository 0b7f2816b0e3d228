//! Makers of envs, by name (Spark: `RpcEnvFactory`, `spark.rpc`).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

use crate::rpc::error::RpcError;
use crate::rpc::memory::LocalFactory;
use crate::rpc::ring::RingFactory;
use crate::rpc::sync::Unpoisoned;

use super::{RpcEnv, RpcEnvConfig};

/// The backend that is used where none is named.
pub(super) const DEFAULT: &str = "ring";

/// Makes envs over one kind of network (Spark: `RpcEnvFactory`).
pub trait RpcEnvFactory: Send + Sync {
    /// Makes an env.
    ///
    /// # Errors
    /// Why it cannot be made.
    fn create(&self, config: RpcEnvConfig) -> Result<RpcEnv, RpcError>;
}

type Factories = HashMap<String, Arc<dyn RpcEnvFactory>>;

fn factories() -> &'static RwLock<Factories> {
    static FACTORIES: OnceLock<RwLock<Factories>> = OnceLock::new();
    FACTORIES.get_or_init(|| {
        let mut factories: Factories = HashMap::new();
        factories.insert(DEFAULT.into(), Arc::new(RingFactory));
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
pub(super) fn find(name: &str) -> Result<Arc<dyn RpcEnvFactory>, RpcError> {
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
