//! Replies: inside the handler, or later from any thread.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringrail_codec::archive::{Encode, Phase, encode_to_vec};
use ringrail_codec::native::{FailureCode, RpcReply};

use crate::buf::Body;
use crate::conn::send_queue::NoMemory;
use crate::conn::transfer::Carries;
use crate::error::RpcFailure;
use crate::shard::command::Command;
use crate::shard::conn::archive::{Archived, Unwritten};
use crate::shard::conn::{Conn, RpcBody};
use crate::shard::handle::ShardHandle;
use crate::shard::local::ConnKey;

use super::HeldResponder;

/// The right and duty to answer one request (Spark: `RpcResponseCallback`).
///
/// Answers exactly once: by [`reply`](Self::reply) and its variants, by [`fail`](Self::fail), or,
/// if it is dropped unused, by a failure that names this cause. [`defer`](Self::defer) turns it
/// into a responder that can be kept and used on any thread.
pub struct Responder<'a> {
    conn: &'a Rc<Conn>,
    id: u64,
    deadline_ns: u64,
    answered: bool,
}

impl<'a> Responder<'a> {
    pub(crate) fn new(conn: &'a Rc<Conn>, id: u64, deadline_ns: u64) -> Self {
        Self {
            conn,
            id,
            deadline_ns,
            answered: false,
        }
    }

    /// Answers with bytes, which are copied: into the send buffer if they are few, else into pooled memory of their
    /// length. If no memory is available, the caller gets a failure that says so; send large bodies in place, without
    /// a copy, by [`reply_body`](Self::reply_body). An echo of any length that fits the pool is
    /// `reply.reply_body(body.keep())`.
    #[inline]
    pub fn reply(mut self, body: &[u8]) {
        self.answered = true;
        self.conn
            .answer(self.id, self.deadline_ns, RpcBody::Copied(body));
    }

    /// Answers with memory that is sent without a copy.
    pub fn reply_body(mut self, body: impl Into<Body>) {
        self.answered = true;
        self.conn
            .answer(self.id, self.deadline_ns, RpcBody::Shared(body.into()));
    }

    /// Answers with the archive of `value`, serialised into the send buffer.
    #[inline(always)]
    pub fn reply_archive(mut self, value: &impl Encode) {
        self.answered = true;
        self.conn.answer_archive(self.id, self.deadline_ns, value);
    }

    /// Answers with a failure.
    pub fn fail(mut self, failure: &RpcFailure) {
        self.answered = true;
        self.conn.answer_failure(self.id, failure);
    }

    /// The request's deadline, in ns of the shard's clock; `u64::MAX` for none.
    pub fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    /// Keeps the request for a later answer, from any thread.
    pub fn defer(mut self) -> DeferredResponder {
        self.answered = true;
        let retracted = self.conn.note_deferred(self.id);
        DeferredResponder::new(self.conn, self.id, self.deadline_ns, retracted)
    }

    /// Keeps the request for a later answer, on this thread: allocates nothing.
    #[inline]
    pub fn hold(mut self) -> HeldResponder {
        self.answered = true;
        self.conn.note_held(self.id);
        HeldResponder::new(Rc::clone(self.conn), self.id, self.deadline_ns)
    }
}

impl Drop for Responder<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.answered {
            self.let_go();
        }
    }
}

impl Responder<'_> {
    #[cold]
    fn let_go(&self) {
        self.conn.answer_failure(self.id, &unanswered());
    }
}

pub(super) fn unanswered() -> RpcFailure {
    if std::thread::panicking() {
        let text = "the handler panicked; its log says why";
        return RpcFailure::in_phase(FailureCode::HandlerPanicked, Phase::Handle, text);
    }
    let text = "the handler let the request go without a reply";
    RpcFailure::in_phase(FailureCode::NoReply, Phase::Handle, text)
}

/// A [`Responder`] that can be kept and used on any thread.
#[derive(Debug)]
pub struct DeferredResponder {
    shard: ShardHandle,
    key: ConnKey,
    id: u64,
    deadline_ns: u64,
    retracted: Arc<AtomicBool>,
    answered: bool,
}

/// An answer on its way to the shard that sends it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Bytes.
    Reply(Body),
    /// A failure.
    Failure(RpcFailure),
}

impl DeferredResponder {
    pub(super) fn new(conn: &Conn, id: u64, deadline_ns: u64, retracted: Arc<AtomicBool>) -> Self {
        Self {
            shard: conn.local.handle.clone(),
            key: conn.key,
            id,
            deadline_ns,
            retracted,
            answered: false,
        }
    }

    /// The request's deadline, in ns of the monotonic clock, which all shards share; `u64::MAX` for
    /// none.
    pub fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    /// True if the peer has cancelled the request or its connection has ended: work for it can
    /// be dropped.
    pub fn is_retracted(&self) -> bool {
        self.retracted.load(Ordering::Acquire)
    }

    /// Answers with memory that is sent without a copy.
    pub fn reply(mut self, body: impl Into<Body>) {
        self.send(Answer::Reply(body.into()));
    }

    /// Answers with the archive of `value`.
    ///
    /// # Errors
    /// Returns the responder if `value` cannot be serialised.
    pub fn reply_archive(mut self, value: &impl Encode) -> Result<(), Self> {
        let mut bytes = Vec::new();
        if encode_to_vec(value, &mut bytes).is_err() {
            return Err(self);
        }
        self.send(Answer::Reply(Body::Bytes(bytes.into())));
        Ok(())
    }

    /// Answers with a failure.
    pub fn fail(mut self, failure: RpcFailure) {
        self.send(Answer::Failure(failure));
    }

    fn send(&mut self, answer: Answer) {
        self.answered = true;
        let (key, id, deadline_ns) = (self.key, self.id, self.deadline_ns);
        self.shard.post_surely(Command::Answer {
            key,
            id,
            deadline_ns,
            answer,
        });
    }
}

impl Drop for DeferredResponder {
    fn drop(&mut self) {
        if !self.answered {
            self.send(Answer::Failure(unanswered()));
        }
    }
}

impl Conn {
    /// Answers a request.
    #[inline]
    pub(crate) fn answer(&self, id: u64, deadline_ns: u64, body: RpcBody<'_>) {
        if !self.answered() || self.is_overdue(deadline_ns) {
            return;
        }
        let total_len = body.len() as u64;
        let copied = matches!(body, RpcBody::Copied(_));
        if self.refuse_long(id, total_len) || !self.admit_reply(id, body.len()) {
            return;
        }
        let reply = RpcReply { id, total_len };
        let written = self.write_rpc(id, Carries::Reply, body, |len| reply.header(len));
        match written {
            Ok(()) => self.answer_written(),
            Err(NoMemory) => self.refuse_for_memory(id, total_len, copied),
        }
    }

    #[inline(always)]
    pub(super) fn answer_archive(&self, id: u64, deadline_ns: u64, value: &impl Encode) {
        if self.is_overdue(deadline_ns) {
            self.answered();
            return;
        }
        let written = self.write_archive(value, |len| {
            RpcReply {
                id,
                total_len: u64::from(len),
            }
            .header(len)
        });
        match written {
            Ok(Archived::Written) => {
                self.answered();
                self.answer_written();
            }
            Ok(Archived::Apart(lease)) => {
                self.answer(id, deadline_ns, RpcBody::Shared(Body::Lease(lease)));
            }
            Err(why) => self.answer_unwritten(id, &why),
        }
    }

    #[cold]
    fn answer_unwritten(&self, id: u64, why: &Unwritten) {
        match why {
            Unwritten::Failed(text) => {
                let text = format!("the reply cannot be serialised: {text}");
                self.answer_failure(id, &RpcFailure::new(FailureCode::Internal, text));
            }
            Unwritten::NoMemory { len } => {
                self.answered();
                if !self.refuse_long(id, *len) {
                    self.refuse_for_memory(id, *len, false);
                }
            }
        }
    }

    #[inline]
    fn answer_written(&self) {
        self.local.metrics.frames_out.increment();
        self.mark_dirty();
    }

    /// There is no memory for a reply: the caller is told to retry, unless the reply can never fit. If the handler
    /// passed it to be copied, the text names the method that needs no copy.
    #[cold]
    fn refuse_for_memory(&self, id: u64, len: u64, copied: bool) {
        self.reenter_request();
        let fits = self.local.pool.could_hold(len);
        let (code, text) = match fits {
            true => (
                FailureCode::Busy,
                "no memory for the reply; ask again later",
            ),
            false => (FailureCode::TooLarge, "the reply does not fit the memory"),
        };
        let instead = match copied && len > self.local.conf.inline_max as u64 {
            true => {
                "; the handler there can send it without a copy: Responder::reply_body in place of reply, with \
                 ReceivedBytes::keep for what it has received"
            }
            false => "",
        };
        let text = format!("{text} ({len} bytes; ringrail.transport.poolBudget there){instead}");
        let failure = RpcFailure::in_phase(code, Phase::Send, text);
        self.answer_failure(id, &failure.with_retryable(fits));
    }

    /// A reply longer than the peer accepts becomes a failure that names the limit.
    #[inline]
    fn refuse_long(&self, id: u64, len: u64) -> bool {
        let limit = self.max_peer_rpc_len();
        if len <= limit {
            return false;
        }
        self.reenter_request();
        let text = format!("the reply has {len} bytes; the caller's maxRpcLen is {limit}");
        self.answer_failure(id, &RpcFailure::new(FailureCode::TooLarge, text));
        true
    }

    /// The answer of a deferred responder has reached the shard.
    pub(crate) fn deferred_answer(&self, id: u64, deadline_ns: u64, answer: Answer) {
        if self.take_deferred(id) {
            match answer {
                Answer::Reply(body) => self.answer(id, deadline_ns, RpcBody::Shared(body)),
                Answer::Failure(failure) => self.answer_failure(id, &failure),
            }
        }
    }
}
