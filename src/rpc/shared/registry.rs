//! The endpoints of an env, with the threads that they live on (Spark: the `Dispatcher`'s tables).
//!
//! Written where endpoints are set up and stopped. A ref reads it once, and a thread once per endpoint that its
//! peers send to and after every change; other messages do not.
//!
//! Orders to set up and to stop are put into their queues while the lock is held: whoever finds an endpoint here posts to its
//! thread behind its set-up, and one that has another's name is set up behind that one's stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::rpc::error::RpcError;
use crate::rpc::id::EndpointId;
use crate::rpc::metrics::{EndpointMetrics, InboxMetrics};
use crate::rpc::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, Unpoisoned};
use crate::rpc::thread::ThreadHandle;

/// An endpoint of the env.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) name: Arc<str>,
    /// Tells it from others of the same name.
    pub(crate) serial: u64,
    pub(crate) hosts: Arc<[Arc<ThreadHandle>]>,
    /// One per host.
    pub(crate) metrics: Vec<Arc<InboxMetrics>>,
    /// Its thread is its own.
    pub(crate) isolated: bool,
}

/// The endpoints of an env.
#[derive(Default)]
pub(crate) struct Registry {
    endpoints: RwLock<HashMap<EndpointId, Registration>>,
    /// Grows with every change.
    version: AtomicU64,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<EndpointId, Registration>> {
        self.endpoints.read().unpoisoned()
    }

    fn change(&self) -> RwLockWriteGuard<'_, HashMap<EndpointId, Registration>> {
        let endpoints = self.endpoints.write();
        let endpoints = endpoints.unpoisoned();
        self.version.fetch_add(1, Ordering::Release);
        endpoints
    }

    /// A number that is another one after every change. What is read after it is at least as new.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// # Errors
    /// The name is taken, or another has the same id.
    pub(crate) fn check_free(&self, name: &str) -> Result<(), RpcError> {
        match self.read().get(&EndpointId::of(name)) {
            None => Ok(()),
            Some(there) => Err(taken(name, &there.name)),
        }
    }

    /// Adds an endpoint; `set_up` puts its set-up into the queues of its threads, whose threads are woken later.
    ///
    /// # Errors
    /// The name is taken, or another has the same id.
    pub(crate) fn add(
        &self,
        registration: Registration,
        set_up: impl FnOnce(),
    ) -> Result<(), RpcError> {
        assert_eq!(
            registration.hosts.len(),
            registration.metrics.len(),
            "every instance is counted"
        );
        let mut endpoints = self.change();
        let id = EndpointId::of(&registration.name);
        if let Some(there) = endpoints.get(&id) {
            return Err(taken(&registration.name, &there.name));
        }
        endpoints.insert(id, registration);
        set_up();
        drop(endpoints);
        Ok(())
    }

    /// Removes an endpoint; `stop` puts its stop into the queues of its threads, whose threads are woken later.
    pub(crate) fn remove(
        &self,
        id: EndpointId,
        stop: impl FnOnce(&Registration),
    ) -> Option<Registration> {
        let mut endpoints = self.change();
        let removed = endpoints.remove(&id)?;
        stop(&removed);
        drop(endpoints);
        Some(removed)
    }

    /// Removes the endpoint of this registration, and no other of its name.
    pub(crate) fn forget(&self, id: EndpointId, serial: u64) {
        let mut endpoints = self.change();
        let its = endpoints.get(&id).is_some_and(|it| it.serial == serial);
        let gone = its.then(|| endpoints.remove(&id));
        drop(endpoints);
        drop(gone);
    }

    pub(crate) fn remove_all(&self) {
        let gone = std::mem::take(&mut *self.change());
        drop(gone);
    }

    /// Whether there is an endpoint of this name (Spark: `verify`).
    pub(crate) fn has(&self, name: &str) -> bool {
        self.read().contains_key(&EndpointId::of(name))
    }

    pub(crate) fn hosts_of(&self, id: EndpointId) -> Option<Arc<[Arc<ThreadHandle>]>> {
        let endpoints = self.read();
        Some(Arc::clone(&endpoints.get(&id)?.hosts))
    }

    /// The serial of the endpoint that is registered now.
    pub(crate) fn serial_of(&self, id: EndpointId) -> Option<u64> {
        Some(self.read().get(&id)?.serial)
    }

    pub(crate) fn host_of(&self, id: EndpointId) -> Option<Arc<ThreadHandle>> {
        self.hosts_of(id)?.first().cloned()
    }

    /// Metrics of every endpoint, by name.
    pub(crate) fn metrics(&self) -> Vec<EndpointMetrics> {
        let mut all: Vec<_> = self
            .read()
            .values()
            .flat_map(|endpoint| {
                let hosts = endpoint.hosts.iter().zip(&endpoint.metrics);
                hosts.map(|(host, metrics)| {
                    let mut known = metrics.snapshot(&endpoint.name, host.name());
                    if endpoint.isolated {
                        // All of its thread's messages are its own.
                        known.depth += host.messages_len() as u64;
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
