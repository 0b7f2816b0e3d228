//! Which endpoints an env has, and which threads they live on (Spark: the `Dispatcher`'s tables).
//!
//! Written where endpoints are set up and stopped. A ref reads it once; messages do not.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::rpc::error::RpcError;
use crate::rpc::id::EndpointId;
use crate::rpc::inbox::{EndpointMetrics, InboxMetrics};
use crate::rpc::node::HostHandle;

/// An endpoint of the env.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) name: Arc<str>,
    /// Tells it from others of the same name.
    pub(crate) serial: u64,
    pub(crate) hosts: Arc<[Arc<HostHandle>]>,
    /// One per host.
    pub(crate) metrics: Vec<Arc<InboxMetrics>>,
    /// Its thread is its own.
    pub(crate) isolated: bool,
}

/// The endpoints of an env.
#[derive(Default)]
pub(crate) struct Registry {
    endpoints: RwLock<HashMap<EndpointId, Registration>>,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<EndpointId, Registration>> {
        self.endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// The name is taken, or another has the same id.
    pub(crate) fn check_free(&self, name: &str) -> Result<(), RpcError> {
        match self.read().get(&EndpointId::of(name)) {
            None => Ok(()),
            Some(there) => Err(taken(name, &there.name)),
        }
    }

    /// Adds an endpoint.
    ///
    /// # Errors
    /// The name is taken, or another has the same id.
    pub(crate) fn add(&self, registration: Registration) -> Result<(), RpcError> {
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let id = EndpointId::of(&registration.name);
        if let Some(there) = endpoints.get(&id) {
            return Err(taken(&registration.name, &there.name));
        }
        endpoints.insert(id, registration);
        Ok(())
    }

    pub(crate) fn remove(&self, id: EndpointId) -> Option<Registration> {
        self.endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id)
    }

    pub(crate) fn remove_all(&self) -> Vec<Registration> {
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        endpoints
            .drain()
            .map(|(_, registration)| registration)
            .collect()
    }

    /// Whether there is an endpoint of this name (Spark: `verify`).
    pub(crate) fn has(&self, name: &str) -> bool {
        self.read().contains_key(&EndpointId::of(name))
    }

    pub(crate) fn hosts_of(&self, id: EndpointId) -> Option<Arc<[Arc<HostHandle>]>> {
        let endpoints = self.read();
        Some(Arc::clone(&endpoints.get(&id)?.hosts))
    }

    pub(crate) fn host_of(&self, id: EndpointId) -> Option<Arc<HostHandle>> {
        self.hosts_of(id)?.first().cloned()
    }

    /// What is known of every endpoint, by name.
    pub(crate) fn metrics(&self) -> Vec<EndpointMetrics> {
        let mut all: Vec<_> = self
            .read()
            .values()
            .flat_map(|endpoint| {
                let hosts = endpoint.hosts.iter().zip(&endpoint.metrics);
                hosts.map(|(host, metrics)| {
                    let mut known = metrics.snapshot(&endpoint.name, host.name());
                    if endpoint.isolated {
                        // All of its thread's mail is its own.
                        known.depth += host.mail_len() as u64;
                    }
                    known
                })
            })
            .collect();
        all.sort_by(|a, b| (&a.name, &a.host).cmp(&(&b.name, &b.host)));
        all
    }
}

fn taken(name: &str, there: &Arc<str>) -> RpcError {
    if **there == *name {
        return RpcError::AlreadyRegistered {
            name: Arc::clone(there),
        };
    }
    RpcError::NameClash {
        name: name.into(),
        other: Arc::clone(there),
    }
}
