//! Bodies that find no memory.
//!
//! A request is refused as busy, and an answer to this side's request is dropped as busy: both may be
//! asked for again, and reading continues. That matters: memory may be held by answers whose credit
//! frames are still unread. Frames that cannot be refused without loss (a slice of a stream or of an
//! upload, a one-way message) wait for memory, for a bounded time, for the same reason.

use std::rc::Rc;

use ringrail_codec::native::{FailureCode, Header, Kind};

use crate::error::{CloseReason, RequestError, RpcFailure};

use super::Conn;
use super::failures::failure_kind;
use super::recv_body::{BodyPlan, Finish};

impl Conn {
    /// Plans the destination of a body that is not a slice of a larger one.
    pub(super) fn plan_whole(self: &Rc<Self>, header: &Header) -> BodyPlan {
        let limit = header.padded_body_len();
        let buf = match self.could_claim(limit as u64) {
            true => self.claim(self.first_claim(limit), 0),
            false => None,
        };
        match buf {
            Some(buf) => BodyPlan::Into {
                buf,
                at: 0,
                finish: Finish::Whole,
                limit,
            },
            None => self.plan_without(header),
        }
    }

    /// Refuses or defers a body that finds no memory, at its beginning or later.
    #[cold]
    pub(in crate::shard::conn) fn plan_without(self: &Rc<Self>, header: &Header) -> BodyPlan {
        match header.kind {
            Kind::RpcRequest | Kind::Upload | Kind::StreamRequest | Kind::ChunkRequest => {
                if self.begin_request(header) {
                    self.refuse_body(header, u64::from(header.body_len));
                }
            }
            Kind::RpcReply => self.let_go(header.id, u64::from(header.body_len)),
            _ => return BodyPlan::NoMemory,
        }
        BodyPlan::Discard
    }

    /// Tells the peer that there is no memory for the body of its request.
    #[cold]
    pub(super) fn refuse_body(self: &Rc<Self>, header: &Header, len: u64) {
        self.refuse_len(failure_kind(header.kind), header.id, len);
    }

    /// The same by the kind of frame that refuses it.
    #[cold]
    pub(super) fn refuse_len(self: &Rc<Self>, kind: Kind, id: u64, len: u64) {
        let fits = self.could_claim(len);
        let code = match fits {
            true => FailureCode::Busy,
            false => FailureCode::TooLarge,
        };
        let key = self.claim_key(len);
        let text = format!("no memory for a request of {len} bytes ({key} there)");
        let failure = RpcFailure::new(code, text).with_retryable(fits);
        self.answer_failure_as(kind, id, &failure);
    }

    /// A one-way message found no memory. It has no answer, so only the log reports it.
    #[cold]
    pub(in crate::shard::conn) fn warn_of_dropped(&self, len: u64) {
        tracing::warn!(
            target: "ringrail::conn", peer = %self.peer, len, key = self.claim_key(len),
            "one-way message dropped: no memory"
        );
    }

    /// There is no memory for the answer of `len` bytes to a request of this side: the request
    /// fails.
    #[cold]
    pub(super) fn let_go(&self, id: u64, len: u64) {
        self.control(&ringrail_codec::native::Cancel { id }.header(), &[]);
        let error = self.told_of_chunk(id, self.no_room(len));
        self.resolve_failure(id, error);
    }

    /// The error for a body of `len` bytes without memory: at present, or ever.
    #[cold]
    pub(super) fn no_room(&self, len: u64) -> RequestError {
        let conf = &self.local.conf;
        let key = "ringrail.transport.poolBudget";
        match self.local.pool.could_hold(len) {
            true => RequestError::Busy {
                what: "the shard's buffer pool",
                limit: conf.pool_budget as u64,
                key,
            },
            false => RequestError::NoRoom {
                len,
                limit: (conf.pool_budget - conf.pool_reserve) as u64,
                key,
            },
        }
    }

    /// A body has waited for memory beyond the limit: its owner fails, so that the frames after it
    /// can be read.
    #[cold]
    pub(in crate::shard::conn) fn give_up_body(
        self: &Rc<Self>,
        header: &Header,
    ) -> Result<(), Box<CloseReason>> {
        let len = u64::from(header.body_len);
        match header.kind {
            Kind::UploadData => {
                let text = "no memory for a slice (ringrail.transport.poolBudget there)";
                self.fail_upload(header.id, FailureCode::Busy, text);
            }
            Kind::OneWay => self.warn_of_dropped(len),
            Kind::StreamData
            | Kind::ChunkData
            | Kind::RpcFailure
            | Kind::ChunkFailure
            | Kind::StreamFailure => self.let_go(header.id, len),
            _ => return Err(self.no_memory()),
        }
        Ok(())
    }

    /// Closes a connection that cannot continue without memory.
    #[cold]
    pub(super) fn no_memory(&self) -> Box<CloseReason> {
        Box::new(CloseReason::Limit {
            what: "the shard's buffer pool",
            limit: self.local.conf.pool_budget as u64,
            key: "ringrail.transport.poolBudget",
        })
    }
}
