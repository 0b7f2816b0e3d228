//! Admission of this side's requests: the limits here and at the peer.

use crate::error::RequestError;

use super::Conn;

impl Conn {
    #[inline(always)]
    pub(super) fn admit(&self) -> Result<(), RequestError> {
        let admitted = self.life.get().may_ask()
            && self.calls.borrow().len() < self.terms.get().max_outstanding as usize
            && self.queued() <= self.local.conf.request_queue;
        match admitted {
            true => Ok(()),
            false => Err(self.refusal()),
        }
    }

    /// The error for the first limit that a new request exceeds.
    #[cold]
    fn refusal(&self) -> RequestError {
        if !self.is_open() {
            return self.closed_error();
        }
        let limit = self.terms.get().max_outstanding as usize;
        if self.calls.borrow().len() >= limit {
            let what = "the peer's table of outstanding requests";
            return self.busy(what, limit, "maxOutstanding");
        }
        let limit = self.local.conf.request_queue;
        if self.queued() > limit {
            return self.busy("the send queue", limit, "requestQueue");
        }
        let text = self.peer_drain_text.borrow();
        self.draining_error(text.as_deref().unwrap_or_default())
    }

    /// One-way messages in slices count against the peer's table as requests do: each has an entry
    /// there until it is complete.
    #[inline]
    pub(super) fn admit_message(&self, len: usize) -> Result<(), RequestError> {
        if len <= self.local.conf.slice_len as usize {
            return Ok(());
        }
        self.admit_own_body(len)?;
        let limit = self.terms.get().max_outstanding as usize;
        let tx = self.tx.borrow();
        if tx.transfers.one_ways() < limit {
            return Ok(());
        }
        Err(self.busy(
            "the peer's table of messages in slices",
            limit,
            "maxOutstanding",
        ))
    }

    #[cold]
    fn busy(&self, what: &'static str, limit: usize, key: &'static str) -> RequestError {
        let key = match key {
            "maxOutstanding" => "ringrail.transport.maxOutstanding",
            _ => "ringrail.transport.requestQueue",
        };
        RequestError::Busy {
            what,
            limit: limit as u64,
            key,
        }
    }

    #[cold]
    pub(super) fn busy_memory(&self) -> RequestError {
        RequestError::Busy {
            what: "the shard's buffer pool",
            limit: self.local.conf.pool_budget as u64,
            key: "ringrail.transport.poolBudget",
        }
    }

    pub(super) fn check_rpc_len(&self, len: usize) -> Result<(), RequestError> {
        self.check_len(len, self.max_peer_rpc_len(), "ringrail.transport.maxRpcLen")
    }

    pub(super) fn check_len(
        &self,
        len: usize,
        limit: u64,
        key: &'static str,
    ) -> Result<(), RequestError> {
        if len as u64 <= limit {
            return Ok(());
        }
        Err(RequestError::TooLarge {
            peer: self.peer.clone(),
            len: len as u64,
            limit,
            key,
        })
    }
}
