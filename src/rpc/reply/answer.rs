//! Answers to asks that came over a connection in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringrail_codec::archive::Encode;
use ringrail_transport::RpcFailure;

use crate::rpc::body::{AlignedBytes, BodyBuf, encode_aligned};
use crate::rpc::error::RpcError;
use crate::rpc::thread::ThreadHandle;

/// The asker's number for a request, its deadline in ns, and the flag that says that nobody waits any more.
pub(crate) type NewAnswer = (u64, u64, Arc<AtomicBool>);

/// The right to answer a request of the other side, from any thread.
#[derive(Debug)]
pub(crate) struct Answer {
    to: Arc<ThreadHandle>,
    id: u64,
    pub(crate) deadline_ns: u64,
    retracted: Arc<AtomicBool>,
}

impl Answer {
    /// To a request of this thread.
    pub(crate) fn new(to: &Arc<ThreadHandle>, (id, deadline_ns, retracted): NewAnswer) -> Self {
        let to = Arc::clone(to);
        Self {
            to,
            id,
            deadline_ns,
            retracted,
        }
    }

    pub(crate) fn is_retracted(&self) -> bool {
        self.retracted.load(Ordering::Acquire)
    }

    pub(crate) fn reply(self, value: &impl Encode) {
        match encode_aligned(value) {
            Ok(bytes) => self.reply_bytes(&Arc::new(bytes)),
            Err(error) => self.fail(&RpcError::unserialisable_reply(&error)),
        }
    }

    pub(crate) fn reply_bytes(self, bytes: &Arc<AlignedBytes>) {
        self.settle(Ok(BodyBuf::Shared(Arc::clone(bytes), 0)));
    }

    pub(crate) fn fail(self, error: &RpcError) {
        self.settle(Err(error.to_failure()));
    }

    fn settle(self, outcome: Result<BodyBuf, RpcFailure>) {
        if !self.to.answer(self.id, outcome) {
            tracing::debug!(target: "ringrail::rpc", "an answer found no caller");
        }
    }
}
