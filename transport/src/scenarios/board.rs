//! Observations of a shard's handlers, and the objects that they retain.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::buf::{Lease, ManagedBuffer};
use crate::client::TransportClient;
use crate::server::DeferredResponder;

/// A request whose reply is due later.
pub(super) struct Debt {
    pub(super) reply: DeferredResponder,
    pub(super) body: Bytes,
}

/// Shared by a handler and its scenario.
#[derive(Default)]
pub(super) struct Board {
    /// How often each request was handled, by tag.
    handled: Mutex<BTreeMap<u64, u32>>,
    one_ways: Mutex<Vec<u64>>,
    debts: Mutex<VecDeque<Debt>>,
    peers: Mutex<Vec<TransportClient>>,
    kept: Mutex<Vec<Lease>>,
    faults: Mutex<Vec<String>>,
    shared: Mutex<Option<ManagedBuffer>>,
    /// Connections that became active, and that ended.
    pub(super) opened: AtomicU64,
    pub(super) closed: AtomicU64,
    /// Chunks on their way out now.
    pub(super) sending: AtomicU64,
    pub(super) uploads_whole: AtomicU64,
    pub(super) uploads_failed: AtomicU64,
    pub(super) uploads_begun: AtomicU64,
    /// Upload data is kept until the scenario drops it.
    pub(super) keeps_uploads: AtomicU64,
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn count(place: &AtomicU64) {
    place.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn read(place: &AtomicU64) -> u64 {
    place.load(Ordering::Relaxed)
}

impl Board {
    pub(super) fn note_handled(&self, tag: u64) {
        *lock(&self.handled).entry(tag).or_default() += 1;
    }

    pub(super) fn times_handled(&self, tag: u64) -> u32 {
        lock(&self.handled).get(&tag).copied().unwrap_or(0)
    }

    pub(super) fn note_one_way(&self, tag: u64) {
        lock(&self.one_ways).push(tag);
    }

    /// The one-way messages that came, in their order.
    pub(super) fn one_ways(&self) -> Vec<u64> {
        lock(&self.one_ways).clone()
    }

    /// Serves this file as the stream `shared`.
    pub(super) fn serve_file(&self, file: File) {
        let whole = ManagedBuffer::whole_file(Arc::new(file)).expect("a file");
        *lock(&self.shared) = Some(whole);
    }

    pub(super) fn shared(&self) -> Option<ManagedBuffer> {
        lock(&self.shared).clone()
    }

    /// Something that must not be; the scenario fails for it at its end.
    pub(super) fn wrong(&self, what: String) {
        lock(&self.faults).push(what);
    }

    pub(super) fn faults(&self) -> Vec<String> {
        lock(&self.faults).clone()
    }

    pub(super) fn owe(&self, debt: Debt) {
        lock(&self.debts).push_back(debt);
    }

    pub(super) fn debts(&self) -> usize {
        lock(&self.debts).len()
    }

    /// Takes a debt out: the `at`-th, counted round.
    pub(super) fn take_debt(&self, at: u64) -> Option<Debt> {
        let mut debts = lock(&self.debts);
        let len = debts.len() as u64;
        (len > 0).then(|| debts.remove((at % len) as usize))?
    }

    /// Answers everything that is owed.
    pub(super) fn settle(&self) {
        while let Some(debt) = self.take_debt(0) {
            debt.reply.reply(debt.body);
        }
    }

    pub(super) fn note_peer(&self, peer: TransportClient) {
        lock(&self.peers).push(peer);
    }

    /// The connections that became active, as handles.
    pub(super) fn peers(&self) -> Vec<TransportClient> {
        lock(&self.peers).clone()
    }

    pub(super) fn keep(&self, data: Lease) {
        lock(&self.kept).push(data);
    }

    pub(super) fn drop_kept(&self) {
        lock(&self.kept).clear();
    }

    /// Lets everything go that is kept for later.
    pub(super) fn clear(&self) {
        lock(&self.debts).clear();
        lock(&self.peers).clear();
        self.drop_kept();
    }
}
