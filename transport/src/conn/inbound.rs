//! Requests of the peer that this side has not answered yet.
//!
//! Plain requests answered inside their handler only pass through the count. What outlives its
//! frame has an entry: bodies that come in slices, uploads, calls whose handler replies later.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringrail_codec::native::{Assembly, GrantWindow};

use crate::buf::LeaseMut;
use crate::server::UploadSink;

use super::gate::Waiting;
use super::ids::IdState;

/// A large request or one-way message on its way in.
#[derive(Debug)]
pub(crate) struct SlicedIn {
    /// Where it goes; out while a receive is writing to it.
    pub(crate) buf: Option<LeaseMut>,
    pub(crate) assembly: Assembly,
    pub(crate) deadline_ns: u64,
}

/// An upload on its way in.
pub(crate) struct UploadIn {
    /// Out while the handler works on a slice.
    pub(crate) sink: Option<Box<dyn UploadSink>>,
    pub(crate) assembly: Assembly,
    pub(crate) window: GrantWindow,
    pub(crate) deadline_ns: u64,
}

/// Tells a handler that replies later, on another thread, whether anybody still waits.
pub(crate) type Retracted = Arc<AtomicBool>;

/// The peer's requests.
#[derive(Default)]
pub(crate) struct Inbound {
    /// Requests that have not been answered.
    pub(crate) active: usize,
    pub(crate) requests: HashMap<u64, SlicedIn>,
    pub(crate) one_ways: HashMap<u64, SlicedIn>,
    pub(crate) uploads: HashMap<u64, UploadIn>,
    /// Those whose handlers reply later; a flag where that may be on another thread.
    pub(crate) deferred: HashMap<u64, Option<Retracted>, IdState>,
    /// Those that have not been given to the handler yet.
    pub(crate) waiting: Waiting,
}

impl Inbound {
    /// Forgets a request that the peer retracted; true where there was one.
    pub(crate) fn retract(&mut self, id: u64) -> bool {
        if let Some(flag) = self.deferred.remove(&id) {
            if let Some(flag) = flag {
                flag.store(true, Ordering::Release);
            }
            return true;
        }
        self.requests.remove(&id).is_some() || self.waiting.retract(id)
    }

    /// Forgets requests in slices whose deadline is over: how many there were; and which uploads are
    /// overdue.
    pub(crate) fn overdue(&mut self, now_ns: u64) -> (usize, Vec<u64>) {
        let before = self.requests.len();
        self.requests.retain(|_, it| it.deadline_ns > now_ns);
        let uploads = self.uploads.iter();
        let overdue = uploads.filter(|(_, it)| it.deadline_ns <= now_ns);
        let ids = overdue.map(|(id, _)| *id).collect();
        (before - self.requests.len(), ids)
    }

    /// Tells everybody that nobody waits any more; gives back the uploads to be failed.
    pub(crate) fn abandon(&mut self) -> Vec<UploadIn> {
        for flag in self.deferred.drain().filter_map(|(_, flag)| flag) {
            flag.store(true, Ordering::Release);
        }
        self.requests.clear();
        self.waiting.clear();
        self.one_ways.clear();
        self.uploads.drain().map(|(_, upload)| upload).collect()
    }
}
