//! Requests of the peer that this side has not answered yet.
//!
//! Plain requests answered inside their handler only pass through the count. Requests that outlive
//! their frame have an entry: bodies in slices, uploads, calls whose handler replies later.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringrail_codec::native::{Assembly, GrantWindow};

use super::ids::IdState;
use super::reassembly::SlicedTable;
use super::request_queue::RequestQueue;
/// Ids of bodies without growth for too long.
#[derive(Debug, Default)]
pub(crate) struct StalledIn {
    pub(crate) requests: Vec<u64>,
    pub(crate) one_ways: Vec<u64>,
    pub(crate) uploads: Vec<u64>,
}

/// An incoming upload.
pub(crate) struct UploadIn<U> {
    /// `None` while the handler processes a slice.
    pub(crate) sink: Option<U>,
    pub(crate) assembly: Assembly,
    pub(crate) window: GrantWindow,
    pub(crate) deadline_ns: u64,
    /// Time of the last slice.
    pub(crate) grew_ns: u64,
}

/// Tells a handler that replies later, on another thread, whether its request is still pending.
pub(crate) type Retracted = Arc<AtomicBool>;

/// The pending requests of the peer.
pub(crate) struct Inbound<U> {
    /// Number of unanswered requests.
    pub(crate) active: usize,
    /// Id of the request that came last.
    pub(crate) last_id: u64,
    pub(crate) requests: SlicedTable,
    pub(crate) one_ways: SlicedTable,
    pub(crate) uploads: HashMap<u64, UploadIn<U>>,
    /// Requests whose handlers reply later; with a flag if that may be on another thread.
    pub(crate) deferred: HashMap<u64, Option<Retracted>, IdState>,
    /// Number of requests that have not been given to the handler yet.
    pub(crate) waiting: RequestQueue,
}

impl<U> Default for Inbound<U> {
    fn default() -> Self {
        Self {
            active: 0,
            last_id: 0,
            requests: SlicedTable::default(),
            one_ways: SlicedTable::default(),
            uploads: HashMap::new(),
            deferred: HashMap::default(),
            waiting: RequestQueue::default(),
        }
    }
}

impl<U> Inbound<U> {
    /// Removes a request that the peer cancelled; true if there was one.
    pub(crate) fn retract(&mut self, id: u64) -> bool {
        if let Some(flag) = self.deferred.remove(&id) {
            if let Some(flag) = flag {
                flag.store(true, Ordering::Release);
            }
            return true;
        }
        self.requests.remove(id).is_some() || self.waiting.retract(id)
    }

    /// Removes requests in slices whose deadline has passed; returns their number, and the overdue
    /// uploads.
    pub(crate) fn overdue(&mut self, now_ns: u64) -> (usize, Vec<u64>) {
        let requests = self.requests.over(|it| it.deadline_ns <= now_ns);
        for &id in &requests {
            self.requests.remove(id);
        }
        let uploads = self.uploads.iter();
        let overdue = uploads.filter(|(_, it)| it.deadline_ns <= now_ns);
        let ids = overdue.map(|(id, _)| *id).collect();
        (requests.len(), ids)
    }

    /// Messages in slices, or requests.
    pub(crate) fn sliced(&mut self, one_way: bool) -> &mut SlicedTable {
        match one_way {
            true => &mut self.one_ways,
            false => &mut self.requests,
        }
    }

    /// Bytes of the buffers of incomplete bodies in slices.
    pub(crate) fn sliced_len(&self) -> usize {
        self.requests.bytes() + self.one_ways.bytes()
    }

    /// Bodies without growth since `since_ns`, except the one that is `growing`.
    pub(crate) fn stalled(&self, since_ns: u64, growing: Option<u64>) -> StalledIn {
        let mut stalled = StalledIn {
            requests: self.requests.over(|it| it.grew_ns <= since_ns),
            one_ways: self.one_ways.over(|it| it.grew_ns <= since_ns),
            uploads: Vec::new(),
        };
        let uploads = self.uploads.iter().filter(|(_, it)| it.grew_ns <= since_ns);
        stalled.uploads.extend(uploads.map(|(id, _)| *id));
        for ids in [
            &mut stalled.requests,
            &mut stalled.one_ways,
            &mut stalled.uploads,
        ] {
            ids.retain(|id| Some(*id) != growing);
        }
        stalled
    }

    /// This side has not read: no body could grow.
    pub(crate) fn excuse(&mut self, now_ns: u64) {
        self.requests.touch(now_ns);
        self.one_ways.touch(now_ns);
        for upload in self.uploads.values_mut() {
            upload.grew_ns = now_ns;
        }
    }

    /// Marks all deferred replies as abandoned; returns the uploads to fail.
    pub(crate) fn abandon(&mut self) -> Vec<UploadIn<U>> {
        for flag in self.deferred.drain().filter_map(|(_, flag)| flag) {
            flag.store(true, Ordering::Release);
        }
        self.requests.clear();
        self.waiting.clear();
        self.one_ways.clear();
        self.uploads.drain().map(|(_, upload)| upload).collect()
    }
}
