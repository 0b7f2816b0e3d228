//! Incoming chunks: memory promised before the request, or granted once available.
//!
//! A chunk's memory is promised before the request if its length can be guessed (from the caller's
//! hint, or the last chunk's length); the credit in the request is the promised length. A chunk of
//! unknown length is announced by its sender first, and granted when memory is available. So no
//! connection ever holds a half-received chunk while it waits for memory that other half-received
//! chunks hold.

use ringrail_codec::native::{ChunkData, Credit, Header, padded_len};

use crate::buf::MAX_LEASE_LEN;
use crate::conn::answer_body::ChunkError;
use crate::error::CloseReason;
use crate::shard::memory_waiters::Need;

use super::Conn;
use super::dispatch::{beyond_credit, broken};
use super::recv_body::{BodyPlan, Finish};

impl Conn {
    /// Leases memory for a chunk before its request; returns the credit for the request.
    pub(crate) fn lease_for_chunk(&self, id: u64, hint: Option<u64>, max_len: u64) -> u64 {
        let guess = hint
            .unwrap_or(self.forecast.borrow().len() as u64)
            .min(max_len);
        // A length beyond the pool cannot be right: the sender announces the true one.
        let guess = if self.local.pool.could_hold(guess) {
            guess
        } else {
            0
        };
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(id) else { return 0 };
        bulk.begin_chunk(max_len);
        if let Some(hint) = hint {
            self.expect_chunks_of(hint);
        }
        // Small chunks arrive whole in a receive buffer and stay there.
        let mut promised = None;
        if guess >= self.local.conf.exact_min as u64 {
            promised = self.local.pool.reserve(padded_len(guess as usize));
            if promised.is_none() {
                return 0;
            }
        }
        bulk.promise(guess, promised);
        guess
    }

    /// The next chunk is probably as long.
    pub(super) fn expect_chunks_of(&self, len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.forecast.borrow_mut().set_len(len.min(MAX_LEASE_LEN));
    }

    /// Accounts for a slice of a chunk; returns its place, or `None` if the chunk is no longer
    /// wanted.
    pub(crate) fn accept_chunk(
        &self,
        header: &Header,
    ) -> Result<Option<(u64, bool)>, Box<CloseReason>> {
        let frame = ChunkData::from_header(header).map_err(CloseReason::protocol)?;
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(header.id) else {
            return Ok(None);
        };
        match bulk.accept_chunk(&frame, header.body_len, self.local.turn_ns()) {
            Ok(None) => Ok(None),
            Ok(Some(accepted)) => {
                drop(calls);
                self.expect_chunks_of(frame.total_len);
                Ok(Some((accepted.offset, accepted.complete)))
            }
            Err(ChunkError::Order(error)) => Err(broken(error)),
            Err(ChunkError::BeyondCredit { received, granted }) => {
                Err(beyond_credit(received, granted))
            }
        }
    }

    pub(super) fn plan_chunk(&self, header: &Header) -> Result<BodyPlan, Box<CloseReason>> {
        // Checked before the slice is accounted for: a plan without memory is repeated.
        if !self.make_chunk_room(header.id, header.arg) {
            return Ok(BodyPlan::NoMemory);
        }
        let Some((offset, complete)) = self.accept_chunk(header)? else {
            return Ok(BodyPlan::Discard);
        };
        let mut calls = self.calls.borrow_mut();
        match calls.bulk(header.id).and_then(|bulk| bulk.lend()) {
            Some(buf) => {
                let end = offset as usize + header.body_len as usize;
                assert!(
                    end <= buf.capacity(),
                    "a chunk has memory for what was granted"
                );
                Ok(BodyPlan::Into {
                    limit: buf.capacity(),
                    buf,
                    at: offset as usize,
                    finish: Finish::Part { complete },
                })
            }
            None => Ok(BodyPlan::Discard),
        }
    }

    /// Ensures that a chunk in slices has memory for the granted bytes; true also if the chunk is
    /// no longer wanted.
    fn make_chunk_room(&self, id: u64, total_len: u64) -> bool {
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(id) else {
            return true;
        };
        // The granted bytes fit the pool; the length that the peer announces may not.
        let Some(need) = bulk.lacks(total_len) else {
            return true;
        };
        let fits = self.local.pool.could_hold(total_len);
        let all = fits.then(|| padded_len(total_len as usize));
        let promised = bulk.promised.take();
        let lease = match promised {
            Some(promise) if all.is_some_and(|len| promise.capacity() >= len) => promise.redeem(),
            promised => {
                drop(promised);
                all.and_then(|len| self.local.pool.lease(len))
            }
        };
        let lease = lease.or_else(|| self.local.pool.lease_reserved(need));
        match lease {
            Some(lease) => {
                bulk.move_to(lease);
                true
            }
            None => false,
        }
    }

    /// Grants the rest of a chunk whose length has become known, once there is memory for it.
    pub(crate) fn grant_chunk(&self, id: u64) {
        if !self.try_grant_chunk(id) {
            self.local
                .wait_for_memory(self.key, Need::Grant { call: id });
        }
    }

    /// False if memory is still missing.
    pub(crate) fn try_grant_chunk(&self, id: u64) -> bool {
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(id) else {
            return true;
        };
        let Some(total_len) = bulk.awaits_grant() else {
            return true;
        };
        if !self.local.pool.could_hold(total_len) {
            drop(calls);
            self.let_go(id, total_len);
            return true;
        }
        let need = padded_len(total_len as usize);
        if bulk.buf.as_ref().is_none_or(|buf| buf.capacity() < need) {
            bulk.promised = None;
            let Some(larger) = self.local.pool.lease(need) else {
                return false;
            };
            let copied = bulk.move_to(larger);
            if copied > 0 {
                self.local.metrics.copies_coalesced.increment();
                self.local.metrics.copies_coalesced_bytes.add(copied as u64);
            }
        }
        let bytes = bulk.grant_rest(total_len, self.local.turn_ns());
        drop(calls);
        self.control(
            &Credit {
                id,
                bytes,
                by_responder: false,
            }
            .header(),
            &[],
        );
        true
    }
}
