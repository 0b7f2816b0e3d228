//! The limit on outgoing bodies: one bound per shard, shared fairly.
//!
//! Every body sent in slices has an entry in its connection's lane until its last slice: some hundred
//! bytes that no pool counts, for a request of 32 bytes. `ringrail.transport.maxTransfers` bounds the
//! entries of a shard. A connection may have as many entries as are free, so one alone gets half of
//! the table, two get a third each, and a later connection still finds entries.

use ringrail_codec::archive::Phase;
use ringrail_codec::native::{FailureCode, Kind};

use crate::error::{CloseReason, RequestError, RpcFailure};

use super::Conn;
use super::dispatch::broken;
use crate::conn::transfer::TransferKey;

const WHAT: &str = "the shard's table of bodies on their way out";
const KEY: &str = "ringrail.transport.maxTransfers";

impl Conn {
    /// True if this connection may send one more body.
    #[inline]
    pub(crate) fn has_body_room(&self) -> bool {
        let tx = self.tx.borrow();
        let free = self.local.conf.max_transfers;
        let free = free.saturating_sub(tx.transfers.len_of_shard());
        tx.transfers.len() < free
    }

    /// Whether a request of the peer may be answered with a body; if there is no free entry, the
    /// request is refused as busy.
    ///
    /// # Errors
    /// If a body under its id is being sent already.
    pub(super) fn admit_body(&self, kind: Kind, id: u64) -> Result<bool, Box<CloseReason>> {
        let key = TransferKey::of_peer(id);
        if self.tx.borrow().transfers.contains(key) {
            return Err(broken("a request under an id that is in use"));
        }
        if self.has_body_room() {
            return Ok(true);
        }
        self.refuse_for_room(kind, id);
        Ok(false)
    }

    /// Whether a reply of this length may be sent; if not, the request is answered with a failure.
    #[inline]
    pub(crate) fn admit_reply(&self, id: u64, len: usize) -> bool {
        len <= self.local.conf.slice_len as usize || self.admit_long_reply(id)
    }

    #[cold]
    fn admit_long_reply(&self, id: u64) -> bool {
        if !self.wire().has_refusals() {
            // `push_spark` closes the connection instead.
            return true;
        }
        if self
            .tx
            .borrow()
            .transfers
            .contains(TransferKey::of_peer(id))
        {
            self.fail(*broken("a request under an id that is in use"));
            return false;
        }
        if self.has_body_room() {
            return true;
        }
        self.reenter_request();
        self.refuse_for_room(Kind::RpcFailure, id);
        false
    }

    #[cold]
    fn refuse_for_room(&self, kind: Kind, id: u64) {
        let limit = self.local.conf.max_transfers;
        let text = format!("{WHAT} is full ({limit}): ask again later, or raise {KEY} there");
        let failure = RpcFailure::in_phase(FailureCode::Busy, Phase::Send, text);
        self.answer_failure_as(kind, id, &failure.with_retryable(true));
    }

    /// Whether this side may send a body of its own of this length.
    #[inline]
    pub(super) fn admit_own_body(&self, len: usize) -> Result<(), RequestError> {
        if len <= self.local.conf.slice_len as usize || self.has_body_room() {
            return Ok(());
        }
        Err(RequestError::Busy {
            what: WHAT,
            limit: self.local.conf.max_transfers as u64,
            key: KEY,
        })
    }

    /// The reason to close a connection of Spark's protocol that exceeds the limit: Spark's clients
    /// treat a failed chunk as final, and retry after a closed connection.
    pub(super) fn body_room_reason(&self) -> CloseReason {
        CloseReason::Limit {
            what: WHAT,
            limit: self.local.conf.max_transfers as u64,
            key: KEY,
        }
    }
}
