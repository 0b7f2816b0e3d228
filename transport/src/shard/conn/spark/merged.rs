//! Requests of this side for the metadata of merged blocks: Spark's MergedBlockMetaRequest.
//!
//! The answer is a number in its frame's head, and a body. The body is delivered like every answer; the number is
//! stored beside it, and the caller reads it after the body.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use ringrail_codec::spark::MergedBlockMetaRequest;

use crate::conn::pending::CallKind;
use crate::error::RequestError;
use crate::metrics::RequestKind;
use crate::shard::conn::Conn;
use crate::shard::conn::received::ReceivedBytes;
use crate::shard::conn::reply_to::ReplyTo;
use crate::shard::conn::user::MergedBlocksRequest;

use super::SparkState;

/// The number of chunks in an answer, shared with the caller.
pub(crate) type ChunkCount = Arc<AtomicI32>;

/// Pending requests, and some that have been abandoned. Their bound is that of all outstanding
/// requests: each new request removes the abandoned ones.
#[derive(Debug, Default)]
pub(super) struct MergedCalls(Vec<(u64, ChunkCount)>);

impl Conn {
    /// Requests the metadata of a merged partition; `count` gets the number of its chunks before
    /// the answer is delivered.
    pub(crate) fn ask_merged(
        &self,
        asked: &MergedBlocksRequest<'_>,
        count: &ChunkCount,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        let Some(side) = self.spark() else {
            let what = "question for merged blocks";
            return Err(RequestError::NotInNative { what });
        };
        let timeout = self.timeout(timeout);
        self.admit()?;
        let limit = u64::from(side.limits.max_app_id_len);
        self.check_len(asked.app_id.len(), limit, "ringrail.spark.maxAppIdLen")?;
        let due = self.due(timeout);
        let id = self.calls.borrow_mut().insert(CallKind::Merged, sink, due);
        self.note_merged_call(side, id, count);
        let request = MergedBlockMetaRequest {
            request_id: id as i64,
            app_id: asked.app_id,
            shuffle_id: asked.shuffle_id,
            shuffle_merge_id: asked.shuffle_merge_id,
            reduce_id: asked.reduce_id,
        };
        let written = self.say(request.encoded_len(), false, |out| request.encode(out));
        self.sent_request(id, written, timeout, RequestKind::Rpc)
    }

    fn note_merged_call(&self, side: &SparkState, id: u64, count: &ChunkCount) {
        let mut merged = side.merged.borrow_mut();
        let mut calls = self.calls.borrow_mut();
        merged.0.retain(|(id, _)| calls.get(*id).is_some());
        merged.0.push((id, Arc::clone(count)));
    }

    /// The pending call that a head answers, if there is one; sets its count.
    pub(super) fn merged_call(
        &self,
        side: &SparkState,
        request_id: i64,
        num_chunks: i32,
    ) -> Option<u64> {
        let id = request_id as u64;
        if !self.waits_for(id, &[CallKind::Merged]) {
            return None;
        }
        let merged = side.merged.borrow();
        let (_, count) = merged.0.iter().find(|(of, _)| *of == id)?;
        // Relaxed: the answer is published after it.
        count.store(num_chunks, Ordering::Relaxed);
        Some(id)
    }

    /// A complete answer in a receive buffer.
    pub(super) fn resolve_merged(
        self: &Rc<Self>,
        side: &SparkState,
        head: (i64, i32),
        body: ReceivedBytes<'_>,
    ) {
        match self.merged_call(side, head.0, head.1) {
            Some(id) => self.resolve_received(id, body),
            None => self.unasked("an answer of merged blocks"),
        }
    }
}
