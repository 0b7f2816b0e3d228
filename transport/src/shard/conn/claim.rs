//! Memory for bodies that a peer has announced and not sent yet.
//!
//! A header costs its sender nothing, so its length does not decide how much is leased. A body begins
//! in a buffer of [`Conn::first_claim`] bytes; a full buffer is replaced by one of a multiple of the
//! received bytes. While little of the pool is in use the first buffer holds a whole frame, and nothing is
//! copied; the more of the pool is in use, the less a claim gets. The total memory of one peer's unfinished
//! requests is bounded by its share, `ringrail.transport.connectionShare`.
//!
//! Chunks and other answers to this side's requests are handled elsewhere: their memory is leased with the
//! request, or when their credit is granted.

use crate::buf::LeaseMut;
use crate::conn::claim::{PoolUse, SHORT_LEN, first_claim};

use super::Conn;

impl Conn {
    /// Bytes leased for a body of `total` bytes before any of it has arrived.
    pub(in crate::shard::conn) fn first_claim(&self, total: usize) -> usize {
        let pool = &self.local.pool;
        let use_of_pool = match () {
            () if pool.is_filled(2) => PoolUse::Half,
            () if pool.is_filled(1) => PoolUse::Quarter,
            () => PoolUse::Low,
        };
        first_claim(total, use_of_pool)
    }

    /// True if a body of so many bytes fits into this peer's empty share.
    pub(in crate::shard::conn) fn could_claim(&self, len: u64) -> bool {
        self.local.pool.could_hold(len) && len <= self.local.connection_share() as u64
    }

    /// The key that limits a body of so many bytes, for errors.
    pub(in crate::shard::conn) fn claim_key(&self, len: u64) -> &'static str {
        match self.local.pool.could_hold(len) && len > self.local.connection_share() as u64 {
            true => "ringrail.transport.connectionShare",
            false => "ringrail.transport.poolBudget",
        }
    }

    /// A buffer for unsolicited data of a peer, in place of one of `freed` bytes; `None` if its share or
    /// the pool is used up.
    pub(in crate::shard::conn) fn claim(&self, len: usize, freed: usize) -> Option<LeaseMut> {
        let held = self.inbound.borrow().sliced_len().saturating_sub(freed);
        if held + len > self.local.connection_share() {
            return None;
        }
        self.local.pool.lease(len)
    }

    /// A buffer for a frame that straddles two receive buffers. A short one may come from the reserve,
    /// because control frames are short; longer ones may not, or slow senders of such frames could
    /// exhaust it.
    pub(in crate::shard::conn) fn lease_for_frame(&self, len: usize) -> Option<LeaseMut> {
        match len <= SHORT_LEN {
            true => self.local.pool.lease_reserved(len),
            false => self.local.pool.lease(len),
        }
    }

    /// Moves the first `have` bytes of a body into a buffer of `len` bytes; returns the old buffer if
    /// there is no memory.
    pub(in crate::shard::conn) fn enlarge(
        &self,
        mut body: LeaseMut,
        have: usize,
        len: usize,
    ) -> Result<LeaseMut, LeaseMut> {
        assert!(
            have <= body.capacity() && have <= len,
            "{have} bytes move from {} to {len}",
            body.capacity()
        );
        let Some(mut larger) = self.claim(len, body.capacity()) else {
            return Err(body);
        };
        larger.buffer_mut()[..have].copy_from_slice(&body.buffer_mut()[..have]);
        let metrics = &self.local.metrics;
        metrics.copies_grown.increment();
        metrics.copies_grown_bytes.add(have as u64);
        Ok(larger)
    }
}
