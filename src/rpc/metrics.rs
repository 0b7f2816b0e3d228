//! Counters of an endpoint's inbox; read from any thread, written by its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock;

/// Counters of one instance of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct InboxMetrics {
    pub(crate) handled: Count,
    pub(crate) failed: Count,
    pub(crate) refused: Count,
    pub(crate) depth: Count,
    depth_max: Count,
    /// When the first message in the queue came; 0 where there is none.
    waiting_since_ns: Count,
    wait_max_ns: Count,
}

/// A number that one thread writes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }
}

impl InboxMetrics {
    pub(crate) fn queued(&self, depth: u64) {
        self.depth.set(depth);
        if depth > self.depth_max.get() {
            self.depth_max.set(depth);
        }
    }

    /// The first of those that wait came then.
    pub(crate) fn first_since(&self, at_ns: u64) {
        self.waiting_since_ns.set(at_ns);
    }

    pub(crate) fn waited(&self, ns: u64) {
        if ns > self.wait_max_ns.get() {
            self.wait_max_ns.set(ns);
        }
    }
}

/// Metrics of an endpoint, as of the moment they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointMetrics {
    /// Its name.
    pub name: Arc<str>,
    /// The thread that this instance lives on.
    pub host: Box<str>,
    /// Messages that were handled.
    pub handled: u64,
    /// Handlers and hooks that failed.
    pub failed: u64,
    /// Messages that were refused: the inbox was full.
    pub refused: u64,
    /// Messages that wait.
    pub depth: u64,
    /// Messages that waited at most.
    pub depth_max: u64,
    /// How long the first of those that wait has waited.
    pub age: Duration,
    /// How long any message has waited at most.
    pub age_max: Duration,
}

impl InboxMetrics {
    pub(crate) fn snapshot(&self, name: &Arc<str>, host: &str) -> EndpointMetrics {
        let age = match self.waiting_since_ns.get() {
            0 => 0,
            since => clock::now_ns().saturating_sub(since),
        };
        EndpointMetrics {
            name: Arc::clone(name),
            host: host.into(),
            handled: self.handled.get(),
            failed: self.failed.get(),
            refused: self.refused.get(),
            depth: self.depth.get(),
            depth_max: self.depth_max.get(),
            age: Duration::from_nanos(age),
            age_max: Duration::from_nanos(self.wait_max_ns.get().max(age)),
        }
    }
}
