//! Requests of the peer that have not been given to their handler: the queue behind backpressure.

use std::collections::VecDeque;

use ringrail_codec::native::{Header, Kind};

use crate::buf::Lease;

use super::spark::requests::MergedAsked;

/// Cost of one entry in addition to the memory that it retains, in bytes.
const ENTRY_LEN: usize = 128;

/// A queued request. It counts as outstanding from its arrival.
#[derive(Debug)]
pub(crate) enum Queued {
    /// A complete RPC request.
    Rpc {
        id: u64,
        deadline_ns: u64,
        body: Lease,
    },
    /// A one-way message, whole.
    OneWay { body: Lease },
    /// A request for a chunk or a stream, of Spark's protocol.
    Spark { id: u64 },
    /// A request for merged blocks, of Spark's protocol.
    Merged { id: u64, asked: Box<MergedAsked> },
    /// A request for a chunk or a stream, as received.
    Frame {
        header: Header,
        body: Lease,
        arrived_ns: u64,
    },
}

impl Queued {
    pub(crate) fn id(&self) -> Option<u64> {
        match self {
            Queued::Rpc { id, .. } | Queued::Spark { id } | Queued::Merged { id, .. } => Some(*id),
            Queued::Frame { header, .. } => Some(header.id),
            Queued::OneWay { .. } => None,
        }
    }

    /// The kind of frame that refuses it.
    pub(crate) fn refusal(&self) -> Kind {
        match self {
            Queued::Frame { header, .. } if header.kind == Kind::ChunkRequest => Kind::ChunkFailure,
            Queued::Frame { .. } => Kind::StreamFailure,
            _ => Kind::RpcFailure,
        }
    }
}

/// Queued requests, in order.
#[derive(Debug, Default)]
pub(crate) struct RequestQueue {
    queue: VecDeque<(Queued, usize)>,
    /// Total size of the retained buffers, in bytes; each buffer counts whole.
    bytes: usize,
    /// Address of the buffer that holds the last request.
    last: usize,
}

impl RequestQueue {
    /// Memory that the queued requests retain, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, held: Queued, source: &Lease) {
        let buffer = source.as_ptr() as usize;
        let shared = !self.queue.is_empty() && self.last == buffer;
        let kept = if shared { 0 } else { source.capacity() };
        self.last = buffer;
        self.bytes += ENTRY_LEN + kept;
        self.queue.push_back((held, ENTRY_LEN + kept));
    }

    pub(crate) fn push_first(&mut self, held: Queued) {
        let kept = match &held {
            Queued::Frame { body, .. } => body.capacity(),
            _ => 0,
        };
        self.bytes += ENTRY_LEN + kept;
        self.queue.push_front((held, ENTRY_LEN + kept));
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let (held, cost) = self.queue.pop_front()?;
        self.bytes -= cost;
        Some(held)
    }

    /// Removes a request; true if there was one.
    pub(crate) fn retract(&mut self, id: u64) -> bool {
        let Some(at) = self
            .queue
            .iter()
            .position(|(held, _)| held.id() == Some(id))
        else {
            return false;
        };
        if let Some((_, cost)) = self.queue.remove(at) {
            self.bytes -= cost;
        }
        true
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}
