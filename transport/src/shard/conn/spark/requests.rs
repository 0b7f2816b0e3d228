//! Requests of the peer.

use std::rc::Rc;

use ringrail_codec::spark::{
    ChunkFetchSuccess, MergedBlockMetaRequest, MergedBlockMetaSuccess, StreamResponse,
};

use ringrail_codec::native::FailureCode;

use crate::conn::request_queue::Queued;
use crate::conn::transfer::Carries;
use crate::error::RpcFailure;
use crate::metrics::RequestKind;
use crate::shard::conn::Conn;
use crate::shard::conn::failures::panicked;
use crate::shard::conn::received::ReceivedBytes;
use crate::shard::conn::user::Connection;
use crate::shard::conn::user::{MergedBlocks, MergedBlocksRequest};

use super::SparkState;
use crate::conn::spark::lead::Lead;
use crate::conn::spark::requests::{MergedAsked, WireId};

impl Conn {
    /// Counts a request and gives it a number.
    #[inline]
    pub(super) fn enter_spark(&self, side: &SparkState, asking: WireId) -> u64 {
        self.inbound.borrow_mut().active += 1;
        self.note_use();
        side.asked.borrow_mut().enter(asking)
    }

    /// A request will not be answered: the connection is about to close.
    #[cold]
    pub(in crate::shard::conn) fn drop_spark_request(&self, side: &SparkState, id: u64) {
        side.asked.borrow_mut().take(id);
        self.answered();
    }

    /// A request is answered by a body that has been sent.
    pub(in crate::shard::conn) fn forget_asked(&self, id: u64) {
        if let Some(side) = self.spark() {
            side.asked.borrow_mut().take(id);
        }
    }

    #[inline]
    pub(super) fn accept_spark_rpc(
        self: &Rc<Self>,
        side: &SparkState,
        request_id: i64,
        body: ReceivedBytes<'_>,
    ) {
        let id = self.enter_spark(side, WireId::Rpc { request_id });
        self.accept_rpc(id, u64::MAX, body);
    }

    /// Handles a request for a chunk or a stream: now, or when there is space for its answer.
    pub(super) fn accept_spark(
        self: &Rc<Self>,
        side: &SparkState,
        asking: WireId,
        frame: ReceivedBytes<'_>,
    ) {
        let kind = match asking {
            WireId::Stream { .. } => RequestKind::Stream,
            _ => RequestKind::Chunk,
        };
        self.local.metrics.requests_in(kind).increment();
        let id = self.enter_spark(side, asking);
        if self.is_draining() {
            return self.drop_spark_request(side, id);
        }
        if self.queues_requests() {
            return self.queue_request(Queued::Spark { id }, frame.source());
        }
        self.serve_spark(id);
    }

    /// Answers a request for a chunk or a stream.
    pub(in crate::shard::conn) fn serve_spark(self: &Rc<Self>, id: u64) {
        let Some(side) = self.spark() else { return };
        let asking = side.asked.borrow().get(id).cloned();
        let served = match &asking {
            Some(WireId::Chunk { stream_id, index }) => {
                self.serve_spark_chunk(id, *stream_id, *index)
            }
            Some(WireId::Stream { name }) => self.serve_spark_stream(id, name),
            _ => return,
        };
        match served {
            Ok(()) => {}
            Err(_) if self.is_paused() => self.queue_first(Queued::Spark { id }),
            Err(failure) => self.answer_failure(id, &failure),
        }
    }

    fn serve_spark_chunk(
        self: &Rc<Self>,
        id: u64,
        stream_id: i64,
        chunk_index: i32,
    ) -> Result<(), RpcFailure> {
        let stream = stream_id as u64;
        let data = self.find_chunk(stream, chunk_index as u32)?;
        let chunk = ChunkFetchSuccess {
            stream_id,
            chunk_index,
        };
        let lead = chunk.head(data.len()).map_err(|error| {
            let text = format!("{error}: ask for it as a stream");
            RpcFailure::new(FailureCode::TooLarge, text)
        })?;
        if let Some(manager) = self.handler().stream_manager() {
            manager.chunk_being_sent(stream);
        }
        self.push_spark(id, Carries::Chunk { stream }, Lead::fixed(&lead), data);
        Ok(())
    }

    fn serve_spark_stream(self: &Rc<Self>, id: u64, name: &str) -> Result<(), RpcFailure> {
        let data = self.find_stream(name, 0)?;
        let response = StreamResponse {
            stream_id: name,
            byte_count: data.len(),
        };
        let lead = Lead::written(response.encoded_len(), |out| response.encode(out))?;
        self.push_spark(id, Carries::Stream, lead, data);
        Ok(())
    }

    /// Handles a request for merged blocks: Spark's only request besides RPCs, chunks and streams.
    pub(super) fn accept_merged(
        self: &Rc<Self>,
        side: &SparkState,
        request: &MergedBlockMetaRequest<'_>,
        frame: ReceivedBytes<'_>,
    ) {
        self.local.metrics.requests_in_rpc.increment();
        let request_id = request.request_id;
        let id = self.enter_spark(side, WireId::Rpc { request_id });
        if self.is_draining() {
            return self.drop_spark_request(side, id);
        }
        let asked = MergedAsked {
            request_id,
            app_id: request.app_id.into(),
            shuffle_id: request.shuffle_id,
            shuffle_merge_id: request.shuffle_merge_id,
            reduce_id: request.reduce_id,
        };
        if self.queues_requests() {
            let asked = Box::new(asked);
            return self.queue_request(Queued::Merged { id, asked }, frame.source());
        }
        self.serve_merged(id, &asked);
    }

    /// Answers a request for merged blocks.
    pub(in crate::shard::conn) fn serve_merged(self: &Rc<Self>, id: u64, asked: &MergedAsked) {
        let found = self.find_merged(asked).and_then(|found| {
            let head = MergedBlockMetaSuccess {
                request_id: asked.request_id,
                num_chunks: found.num_chunks,
            };
            let lead = head
                .head(found.bitmaps.len())
                .map_err(|error| RpcFailure::new(FailureCode::TooLarge, error.to_string()))?;
            Ok((Lead::fixed(&lead), found.bitmaps))
        });
        match found {
            Ok((lead, data)) => self.push_spark(id, Carries::Merged, lead, data),
            Err(_) if self.is_paused() => {
                let asked = Box::new(asked.clone());
                self.queue_first(Queued::Merged { id, asked });
            }
            Err(failure) => self.answer_failure(id, &failure),
        }
    }

    fn find_merged(self: &Rc<Self>, asked: &MergedAsked) -> Result<MergedBlocks, RpcFailure> {
        let connection = Connection::new(Rc::clone(self));
        let handler = self.handler();
        let request = MergedBlocksRequest {
            app_id: &asked.app_id,
            shuffle_id: asked.shuffle_id,
            shuffle_merge_id: asked.shuffle_merge_id,
            reduce_id: asked.reduce_id,
        };
        let found = self.guarded(|| handler.merged_blocks(&connection, request));
        found.unwrap_or_else(|| Err(panicked()))
    }
}
