//! Traits that a server implements: handlers of requests, streams and uploads.
//!
//! A handler lives on one shard and is never called from another thread, so it needs no lock. A
//! [`HandlerFactory`] makes one handler per shard.

use std::rc::Rc;

use crate::buf::{Lease, ManagedBuffer};
use crate::error::{RequestError, RpcFailure};
use crate::shard::conn::ReceivedBytes;
use crate::shard::conn::user::Connection;

use ringrail_codec::native::FailureCode;

use super::Responder;

/// Handles the requests of all connections of one shard (Spark: `RpcHandler`).
///
/// Called inline on the shard, never twice at a time; must not block. A panic fails the request,
/// not the shard.
pub trait RpcHandler {
    /// A request that wants a reply: answer by `reply`, now or later ([`Responder::defer`]). If it
    /// is dropped, the caller gets a failure: the handler did not reply.
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>);

    /// A message that wants no reply. Ignored with a warning unless overridden.
    fn receive_one_way(&self, from: &Connection, body: ReceivedBytes<'_>) {
        tracing::warn!(
            target: "ringrail::server",
            peer = %from.peer(),
            len = body.bytes().len(),
            "one-way message dropped: this handler takes none"
        );
    }

    /// An upload begins: give what takes its data, or refuse it.
    ///
    /// # Errors
    /// The refusal, which the peer gets.
    fn receive_stream(
        &self,
        from: &Connection,
        upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, RpcFailure> {
        let _ = (from, upload);
        Err(RpcFailure::new(
            FailureCode::Unsupported,
            "this server takes no uploads",
        ))
    }

    /// Metadata of a partition's merged blocks; called in Spark's protocol only (Spark:
    /// `MergedBlockMetaReqHandler`).
    ///
    /// # Errors
    /// The failure to send to the peer.
    fn merged_blocks(
        &self,
        from: &Connection,
        request: MergedBlocksRequest<'_>,
    ) -> Result<MergedBlocks, RpcFailure> {
        let _ = (from, request);
        let text = "java.lang.UnsupportedOperationException: Cannot handle shuffle block merge";
        Err(RpcFailure::new(FailureCode::Unsupported, text))
    }

    /// The source of chunks and streams; `None` if this server has none.
    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        None
    }

    /// A connection is open, in either direction.
    fn channel_active(&self, connection: &Connection) {
        let _ = connection;
    }

    /// A connection has ended; its outstanding requests have failed.
    fn channel_inactive(&self, connection: &Connection) {
        let _ = connection;
    }
}

/// Makes the handler of each shard, on that shard's thread.
pub type HandlerFactory = dyn Fn() -> Rc<dyn RpcHandler> + Send + Sync;

/// A handler for sides that only ask: every request of the peer is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRpcHandler;

impl RpcHandler for NoRpcHandler {
    fn receive(&self, _from: &Connection, _body: ReceivedBytes<'_>, reply: Responder<'_>) {
        reply.fail(&RpcFailure::new(
            FailureCode::Unsupported,
            "this side takes no requests",
        ));
    }
}

/// The partition whose merged blocks are asked for (Spark: `MergedBlockMetaRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergedBlocksRequest<'a> {
    /// The application.
    pub app_id: &'a str,
    /// The shuffle.
    pub shuffle_id: i32,
    /// The attempt at merging that shuffle.
    pub shuffle_merge_id: i32,
    /// The partition.
    pub reduce_id: i32,
}

/// Metadata of merged blocks (Spark: `MergedBlockMeta`).
#[derive(Clone, Debug)]
pub struct MergedBlocks {
    /// Number of chunks.
    pub num_chunks: i32,
    /// One bitmap per chunk, concatenated, with the maps that the chunk holds.
    pub bitmaps: ManagedBuffer,
}

/// The beginning of an upload.
#[derive(Clone, Copy, Debug)]
pub struct UploadStart<'a> {
    /// Metadata that the sender attached.
    pub meta: &'a [u8],
    /// Bytes that will follow; `u64::MAX` if the sender does not know.
    pub total_len: u64,
}

/// Takes the data of one upload (Spark: `StreamCallbackWithID`).
pub trait UploadSink {
    /// The next part, in order. The memory counts against the shard's pool while it is kept.
    ///
    /// # Errors
    /// Ends the upload with this failure; the connection stays.
    fn on_data(&mut self, data: Lease) -> Result<(), RpcFailure>;

    /// Everything has come: do what is to be done and answer.
    fn on_complete(self: Box<Self>, reply: Responder<'_>);

    /// The upload ended early: cancelled, damaged, or its connection has ended.
    fn on_failure(&mut self, error: &RequestError);
}

/// The source of chunks and named streams (Spark: `StreamManager`).
pub trait StreamManager {
    /// Chunk `index` of a registered stream.
    ///
    /// # Errors
    /// The failure to send to the peer.
    fn get_chunk(
        &self,
        from: &Connection,
        stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure>;

    /// A stream by name; `None` where there is none.
    ///
    /// # Errors
    /// The failure that the peer gets.
    fn open_stream(
        &self,
        from: &Connection,
        name: &str,
    ) -> Result<Option<ManagedBuffer>, RpcFailure> {
        let _ = (from, name);
        Ok(None)
    }

    /// Whether this peer may read this stream.
    ///
    /// # Errors
    /// The refusal that the peer gets.
    fn check_authorization(&self, from: &Connection, stream_id: u64) -> Result<(), RpcFailure> {
        let _ = (from, stream_id);
        Ok(())
    }

    /// A chunk of the stream is on its way out.
    fn chunk_being_sent(&self, stream_id: u64) {
        let _ = stream_id;
    }

    /// A chunk of the stream has left, or will not.
    fn chunk_sent(&self, stream_id: u64) {
        let _ = stream_id;
    }

    /// A connection has ended: state of its streams can be released.
    fn connection_terminated(&self, connection: &Connection) {
        let _ = connection;
    }
}

/// Wraps the handler of every accepted connection: authentication and the like (Spark:
/// `TransportServerBootstrap`). Applied in order, so the last one added sees a request first.
pub trait ServerBootstrap: Send + Sync {
    /// The handler to use for this connection in place of `handler`.
    fn bootstrap(&self, connection: &Connection, handler: Rc<dyn RpcHandler>)
    -> Rc<dyn RpcHandler>;
}
