//! Replies that are deferred on the shard's own thread.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ringrail_codec::archive::Encode;

use crate::buf::Body;
use crate::error::RpcFailure;
use crate::shard::conn::Conn;

use super::responder::unanswered;
use super::{DeferredResponder, Responder};

/// A [`Responder`] that is kept on its shard, as dispatchers queue it.
///
/// Made by [`Responder::hold`]. If dropped unused, the caller gets a failure: the handler did not
/// reply.
pub struct HeldResponder {
    conn: Rc<Conn>,
    id: u64,
    deadline_ns: u64,
    answered: bool,
}

impl HeldResponder {
    pub(super) fn new(conn: Rc<Conn>, id: u64, deadline_ns: u64) -> Self {
        Self {
            conn,
            id,
            deadline_ns,
            answered: false,
        }
    }

    /// True if the peer has cancelled the request or its connection has ended: work for it can be
    /// dropped.
    pub fn is_retracted(&self) -> bool {
        !self.conn.is_deferred(self.id)
    }

    /// The request's deadline, in ns of the shard's clock; `u64::MAX` for none.
    pub fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    /// Passes the responder to `run`, as a handler would have received it. Does not call `run` if
    /// the request is no longer pending.
    pub fn respond(mut self, run: impl FnOnce(Responder<'_>)) {
        self.answered = true;
        if self.conn.take_deferred(self.id) {
            run(Responder::new(&self.conn, self.id, self.deadline_ns));
        }
    }

    /// Answers with bytes; a short answer is copied into the send buffer.
    pub fn reply(self, body: &[u8]) {
        self.respond(|responder| responder.reply(body));
    }

    /// Answers with memory that is sent without a copy.
    pub fn reply_body(self, body: impl Into<Body>) {
        self.respond(|responder| responder.reply_body(body));
    }

    /// Answers with the archive of `value`, serialised into the send buffer.
    pub fn reply_archive(self, value: &impl Encode) {
        self.respond(|responder| responder.reply_archive(value));
    }

    /// Answers with a failure.
    pub fn fail(self, failure: &RpcFailure) {
        self.respond(|responder| responder.fail(failure));
    }

    /// Converts it into a responder for any thread.
    pub fn defer(mut self) -> DeferredResponder {
        self.answered = true;
        let retracted = if self.conn.take_deferred(self.id) {
            self.conn.note_deferred(self.id)
        } else {
            Arc::new(AtomicBool::new(true))
        };
        DeferredResponder::new(&self.conn, self.id, self.deadline_ns, retracted)
    }
}

impl Drop for HeldResponder {
    fn drop(&mut self) {
        if !self.answered && self.conn.take_deferred(self.id) {
            self.conn.answer_failure(self.id, &unanswered());
        }
    }
}

impl fmt::Debug for HeldResponder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldResponder({:#x})", self.id)
    }
}
