//! Pending requests of the peer: the wire identity of each, by its number on this side.
//!
//! Handlers, responders and transfers identify a request by a unique number, as in the native protocol.
//! Spark's peers choose the identity: an RPC has any 64 bits, a chunk its stream and index, a stream
//! only its position in the order of requests.

use slab::Slab;

/// Low bits of an id that hold the slot index.
const SLOT_BITS: u32 = 24;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;

/// The wire identity of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireId {
    /// An RPC, an upload, or a request for merged blocks: all are answered alike.
    Rpc { request_id: i64 },
    /// A chunk.
    Chunk { stream_id: i64, index: i32 },
    /// A stream, by the requested name.
    Stream { name: Box<str> },
}

#[derive(Debug)]
struct Entry {
    id: u64,
    asking: WireId,
}

/// The table. Its limit is `ringrail.transport.maxOutstanding`, beyond which the peer is not read.
#[derive(Debug, Default)]
pub(crate) struct PeerRequests {
    entries: Slab<Entry>,
    count: u64,
}

impl PeerRequests {
    /// Enters a request; returns its number.
    #[inline]
    pub(crate) fn enter(&mut self, asking: WireId) -> u64 {
        self.count += 1;
        let slot = self.entries.vacant_entry();
        let id = (self.count << SLOT_BITS) | slot.key() as u64;
        slot.insert(Entry { id, asking });
        id
    }

    /// The wire identity of a request.
    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<&WireId> {
        let entry = self.entries.get((id & SLOT_MASK) as usize)?;
        (entry.id == id).then_some(&entry.asking)
    }

    /// Removes a request: it is answered, or its answer is no longer wanted.
    #[inline]
    pub(crate) fn take(&mut self, id: u64) -> Option<WireId> {
        self.get(id)?;
        Some(self.entries.remove((id & SLOT_MASK) as usize).asking)
    }
}

/// A queued request for merged blocks.
#[derive(Clone, Debug)]
pub(crate) struct MergedAsked {
    pub(crate) request_id: i64,
    pub(crate) app_id: Box<str>,
    pub(crate) shuffle_id: i32,
    pub(crate) shuffle_merge_id: i32,
    pub(crate) reduce_id: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_never_names_the_next_request_in_its_place() {
        let mut asked = PeerRequests::default();
        let first = asked.enter(WireId::Rpc { request_id: -1 });
        assert_eq!(asked.get(first), Some(&WireId::Rpc { request_id: -1 }));
        assert_eq!(asked.take(first), Some(WireId::Rpc { request_id: -1 }));
        let second = asked.enter(WireId::Rpc { request_id: -1 });
        assert_ne!(first, second);
        assert_eq!(asked.get(first), None);
        assert_eq!(asked.take(first), None);
        assert!(asked.get(second).is_some());
    }
}
