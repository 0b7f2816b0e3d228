//! Retention of bytes beyond the receive buffer that they arrived in.
//!
//! Usually a reference to the whole receive buffer is retained and nothing is copied. While memory
//! is short, small bodies are copied out instead: otherwise a few retained replies of some bytes
//! each could pin all receive buffers of the shard and stall its connections.

use crate::buf::{Lease, MIN_LEASE_LEN};

use super::Conn;
use super::received::ReceivedBytes;

/// Part of the pool in use, in 1/256, from which small bodies are copied out.
const SHORT: usize = 64;

/// The receive buffer that bodies were last copied out of, and the memory that the copies took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CopiedOut {
    buffer: usize,
    bytes: usize,
}

impl Conn {
    /// Keeps a body beyond the current turn.
    #[inline]
    pub(super) fn keep(&self, body: ReceivedBytes<'_>) -> Lease {
        if self.local.pool.pressure() < SHORT {
            return body.keep();
        }
        self.copy_small(body).unwrap_or_else(|| body.keep())
    }

    /// A copy in a buffer of its own, if that uses less memory than keeping the receive buffer.
    #[cold]
    fn copy_small(&self, body: ReceivedBytes<'_>) -> Option<Lease> {
        let source = body.source();
        let (whole, buffer) = (source.capacity(), source.as_ptr() as usize);
        let own = body.len().max(MIN_LEASE_LEN);
        let before = self.copied_out.get();
        let spent = match before.buffer == buffer {
            true => before.bytes,
            false => 0,
        };
        // Many bodies of one buffer: keeping the buffer is cheaper than copying all of them.
        if spent + own > whole / 2 {
            return None;
        }
        // May use the reserve: the copy frees a larger buffer.
        let mut copy = self.local.pool.lease_reserved(own)?;
        copy.put(body.bytes());
        assert!(own >= body.len(), "a copy has room for its body");
        let bytes = spent + own;
        self.copied_out.set(CopiedOut { buffer, bytes });
        let metrics = &self.local.metrics;
        metrics.copies_kept.increment();
        metrics.copies_kept_bytes.add(body.len() as u64);
        Some(copy.freeze())
    }
}
