//! Whole frames from the wire: requests to their handlers, answers to their sinks.

use std::rc::Rc;

use ringrail_codec::spark::Frame;

use crate::shard::conn::Conn;
use crate::shard::conn::dispatch::{Handled, broken};
use crate::shard::conn::received::ReceivedBytes;

use super::SparkState;
use crate::conn::spark::requests::WireId;

impl Conn {
    /// Handles a frame whose body, if it has one, is completely at `body`.
    #[inline]
    pub(crate) fn on_spark(
        self: &Rc<Self>,
        side: &SparkState,
        frame: &Frame<'_>,
        body: ReceivedBytes<'_>,
    ) -> Handled {
        match frame {
            Frame::RpcRequest(request) => self.accept_spark_rpc(side, request.request_id, body),
            Frame::OneWayMessage(_) => self.accept_one_way(body),
            Frame::ChunkFetchRequest(request) => {
                let (stream_id, index) = (request.stream_id, request.chunk_index);
                self.accept_spark(side, WireId::Chunk { stream_id, index }, body);
            }
            Frame::StreamRequest(request) => {
                let name = request.stream_id.into();
                self.accept_spark(side, WireId::Stream { name }, body);
            }
            Frame::MergedBlockMetaRequest(request) => self.accept_merged(side, request, body),
            Frame::RpcResponse(response) => self.resolve_spark_rpc(response.request_id, body),
            Frame::ChunkFetchSuccess(chunk) => {
                self.resolve_spark_chunk(side, (chunk.stream_id, chunk.chunk_index), body);
            }
            Frame::MergedBlockMetaSuccess(answer) => {
                self.resolve_merged(side, (answer.request_id, answer.num_chunks), body);
            }
            Frame::RpcFailure(failure) => {
                self.fail_spark_call(failure.request_id as u64, failure.error);
            }
            Frame::ChunkFetchFailure(failure) => {
                let chunk = (failure.stream_id, failure.chunk_index);
                let call = side.chunks.borrow_mut().take(chunk);
                self.fail_some_spark_call(call, failure.error);
            }
            Frame::StreamFailure(failure) => {
                let call = side.streams.borrow_mut().pop_front();
                self.fail_some_spark_call(call, failure.error);
            }
            Frame::StreamResponse(_) | Frame::UploadStream(_) => {
                return Err(broken("a body behind its frame was taken for a part of it"));
            }
        }
        Ok(())
    }
}
