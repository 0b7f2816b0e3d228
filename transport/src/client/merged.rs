//! WireId for merged blocks, in Spark's protocol (Spark: `MergedBlockMetaRequest`).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::RequestError;
use crate::shard::ShardHandle;
use crate::shard::blocking::block_on;
use crate::shard::command::Command;
use crate::shard::conn::reply_to::ReplyTo;
use crate::shard::conn::user::MergedBlocksRequest;
use crate::shard::conn::{Conn, Outcome, Reply};
use crate::shard::remote_sink::RemoteSink;

use super::{CallFuture, Connection, RequestFuture, TransportClient};

/// Metadata of one merged partition, as the peer reports it (Spark: `MergedBlockMeta`).
#[derive(Clone, Debug)]
pub struct MergedBlockMeta {
    /// Number of chunks that the peer reports. Not checked against `bitmaps`.
    pub num_chunks: i32,
    /// One bitmap per chunk, concatenated, with the maps that the chunk holds;
    /// [`Bitmaps::of_chunks`](ringrail_codec::spark::shuffle::Bitmaps::of_chunks) reads them.
    pub bitmaps: Reply,
}

/// A pending [`MergedBlockMeta`]: from a [`TransportClient`] on any thread, from a [`Connection`]
/// on its shard.
///
/// # Cancel safety
/// Dropping it cancels the request; Spark's protocol has no cancellation for the peer.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the request"]
pub struct MergedBlockMetaFuture<F = RequestFuture> {
    answer: F,
    num_chunks: Arc<AtomicI32>,
}

impl<F: Future<Output = Outcome> + Unpin> Future for MergedBlockMetaFuture<F> {
    type Output = Result<MergedBlockMeta, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(Pin::new(&mut self.answer).poll(cx));
        // Relaxed: it was stored before the answer was published.
        let num_chunks = self.num_chunks.load(Ordering::Relaxed);
        Poll::Ready(outcome.map(|bitmaps| MergedBlockMeta {
            num_chunks,
            bitmaps,
        }))
    }
}

impl MergedBlockMetaFuture {
    /// Waits for the answer, blocking this thread.
    ///
    /// # Errors
    /// If there is no answer.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn wait(self) -> Result<MergedBlockMeta, RequestError> {
        block_on("MergedBlockMetaFuture::wait", self)
    }
}

impl<F> fmt::Debug for MergedBlockMetaFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MergedBlockMetaFuture")
    }
}

impl Connection {
    /// Requests the metadata of a merged partition, in Spark's protocol (Spark: `sendMergedBlockMetaReq`).
    /// Without `timeout` the configured request timeout applies.
    ///
    /// # Errors
    /// The future resolves to the error. [`RequestError::NotInNative`] on a connection of the
    /// native protocol.
    pub fn merged_block_meta(
        &self,
        asked: &MergedBlocksRequest<'_>,
        timeout: Option<Duration>,
    ) -> MergedBlockMetaFuture<CallFuture> {
        let num_chunks = Arc::default();
        let answer = self.ask_merged(asked, &num_chunks, timeout);
        MergedBlockMetaFuture { answer, num_chunks }
    }
}

impl TransportClient {
    /// Requests the metadata of a merged partition, in Spark's protocol (Spark: `sendMergedBlockMetaReq`).
    /// Without `timeout` the configured request timeout applies.
    ///
    /// ```no_run
    /// use ringrail_codec::spark::shuffle::Bitmaps;
    /// use ringrail_transport::server::MergedBlocksRequest;
    /// use ringrail_transport::{Engine, TransportConf, TransportContext};
    ///
    /// let engine = Engine::builder(TransportConf::default()).shards(1).start()?;
    /// let clients = TransportContext::client_only(engine).create_spark_client_factory(None, Vec::new());
    /// let client = clients.create_client_blocking("127.0.0.1:7337")?;
    /// let asked = MergedBlocksRequest {
    ///     app_id: "app-1",
    ///     shuffle_id: 0,
    ///     shuffle_merge_id: 0,
    ///     reduce_id: 4,
    /// };
    /// let meta = client.merged_block_meta(&asked, None).wait()?;
    /// println!("{} chunks, {:?}", meta.num_chunks, Bitmaps::of_chunks(&meta.bitmaps)?.to_roaring()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The future resolves to the error. [`RequestError::NotInNative`] on a connection of the
    /// native protocol.
    pub fn merged_block_meta(
        &self,
        asked: &MergedBlocksRequest<'_>,
        timeout: Option<Duration>,
    ) -> MergedBlockMetaFuture {
        let (answer, sink) = self.pair();
        let num_chunks: Arc<AtomicI32> = Arc::default();
        let question = Question {
            app_id: asked.app_id.into(),
            numbers: [asked.shuffle_id, asked.shuffle_merge_id, asked.reduce_id],
            num_chunks: Arc::clone(&num_chunks),
            timeout,
            sink,
        };
        let key = self.key();
        // Sent too rarely to justify a command of its own.
        let run = move |shard: &ShardHandle| match shard.here().and_then(|here| here.conn(key)) {
            Some(conn) => question.ask(&conn),
            None => question.sink.send(Err(RequestError::NotConnected)),
        };
        let answer = match self.shard().post(Command::Run(Box::new(run))) {
            Ok(()) => answer,
            Err(error) => self.refused(&error),
        };
        MergedBlockMetaFuture { answer, num_chunks }
    }
}

/// A request on its way to the shard of its connection.
struct Question {
    app_id: Box<str>,
    /// The shuffle, its merge, the partition.
    numbers: [i32; 3],
    num_chunks: Arc<AtomicI32>,
    timeout: Option<Duration>,
    sink: RemoteSink,
}

impl Question {
    fn ask(self, conn: &Conn) {
        if self.sink.is_retracted() {
            return;
        }
        let [shuffle_id, shuffle_merge_id, reduce_id] = self.numbers;
        let asked = MergedBlocksRequest {
            app_id: &self.app_id,
            shuffle_id,
            shuffle_merge_id,
            reduce_id,
        };
        let mut sink = Some(self.sink);
        let place = || sink.take().map_or(ReplyTo::Future(None), ReplyTo::Remote);
        match conn.ask_merged(&asked, &self.num_chunks, self.timeout, place) {
            Ok(id) => conn.tell_id(id),
            Err(error) => {
                if let Some(sink) = sink {
                    sink.send(Err(error));
                }
            }
        }
    }
}
