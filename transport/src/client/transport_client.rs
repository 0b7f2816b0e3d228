//! The handle of a connection for other threads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use ringrail_codec::archive::{Encode, encode_to_vec};

use crate::buf::{Body, ManagedBuffer};
use crate::error::RequestError;
use crate::shard::blocking::refuse_on_shard;
use crate::shard::command::{Ask, Command, StreamOrder};
use crate::shard::conn::ConnHandle;
use crate::shard::handle::ShardHandle;
use crate::shard::inbox::PushError;
use crate::shard::local::ConnKey;
use crate::shard::remote_sink::RemoteSink;
use crate::sys::socket::Addr;

use super::{Connection, RequestFuture, StreamReader};
use crate::shard::conn::user::{ChunkOptions, StreamFeed};

/// Credit of a stream, in bytes: its sender may be that far ahead of its reader.
const STREAM_WINDOW: u64 = 1 << 20;

/// One connection, for any thread (Spark: `TransportClient`).
///
/// `Send + Sync`, cheap to clone. Requests are posted to the connection's shard; answers are
/// returned as futures that any executor can poll, or by [`RequestFuture::wait`] on a plain thread.
/// The future reports refusals, too.
///
/// It does not keep its [`Engine`](crate::Engine) alive. When the engine stops, outstanding requests fail with
/// [`RequestError::Closed`], later ones with [`RequestError::ShardStopped`].
#[derive(Clone, Debug)]
pub struct TransportClient {
    shard: ShardHandle,
    live: ConnHandle,
    peer: Arc<Addr>,
}

impl Connection {
    /// A handle to this connection for other threads.
    pub fn client(&self) -> TransportClient {
        let local = &self.conn.local;
        TransportClient::new(
            local.handle.clone(),
            self.conn.live(),
            self.conn.peer.clone(),
        )
    }
}

impl TransportClient {
    pub(crate) fn new(shard: ShardHandle, live: ConnHandle, peer: Arc<Addr>) -> Self {
        Self { shard, live, peer }
    }

    /// The peer's address.
    pub fn peer(&self) -> &Addr {
        &self.peer
    }

    /// The shard that the connection lives on.
    pub fn shard(&self) -> &ShardHandle {
        &self.shard
    }

    /// A number that identifies this connection on its shard while it exists; its
    /// [`Connection::id`].
    pub fn id(&self) -> u64 {
        self.live.key.number()
    }

    /// The connection itself, if this is its shard's thread and it is open.
    pub fn here(&self) -> Option<Connection> {
        self.shard.here()?.conn(self.live.key).map(Connection::new)
    }

    /// Open, and the peer takes requests (Spark: `isActive`).
    pub fn is_active(&self) -> bool {
        self.live.active.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Sends a request that wants a reply (Spark: `sendRpc`).
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn send_rpc(&self, body: impl Into<Bytes>) -> RequestFuture {
        self.send_rpc_timeout(body, None)
    }

    /// As [`send_rpc`](Self::send_rpc), with a time limit of its own.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn send_rpc_timeout(
        &self,
        body: impl Into<Bytes>,
        timeout: Option<Duration>,
    ) -> RequestFuture {
        self.ask(
            Ask::Rpc {
                body: Body::Bytes(body.into()),
            },
            timeout,
        )
    }

    /// Sends the archive of `value` as a request.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn send_archive(&self, value: &impl Encode, timeout: Option<Duration>) -> RequestFuture {
        let mut bytes = Vec::new();
        if let Err(error) = encode_to_vec(value, &mut bytes) {
            let (future, sink) = self.pair();
            let detail = error.to_string().into();
            sink.send(Err(RequestError::Unserialisable { detail }));
            return future;
        }
        self.send_rpc_timeout(bytes, timeout)
    }

    /// Sends a message that wants no reply; delivery is not confirmed (Spark: `send`).
    ///
    /// # Errors
    /// If the shard's inbox is full, or the shard has stopped.
    pub fn send(&self, body: impl Into<Bytes>) -> Result<(), RequestError> {
        let body = Body::Bytes(body.into());
        let posted = self.shard.post(Command::OneWay {
            key: self.live.key,
            body,
        });
        posted.map_err(|error| self.refusal(&error))
    }

    /// Asks for a chunk of a stream (Spark: `fetchChunk`).
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn fetch_chunk(&self, stream_id: u64, index: u32, options: &ChunkOptions) -> RequestFuture {
        let chunk = (stream_id, index);
        let range = (options.offset, options.max_len);
        let wish = options.wish();
        self.ask(Ask::Chunk { chunk, range, wish }, options.timeout)
    }

    /// Opens a stream by name, from `offset` on (Spark: `stream`).
    ///
    /// # Errors
    /// If the request was not sent. The reader reports a stream that does not exist.
    pub async fn stream(
        &self,
        name: impl Into<String>,
        offset: u64,
    ) -> Result<StreamReader, RequestError> {
        let (reader, begun) = self.post_stream(name.into(), offset)?;
        self.begun(reader, begun.await)
    }

    /// As [`stream`](Self::stream), for plain threads.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn stream_blocking(
        &self,
        name: impl Into<String>,
        offset: u64,
    ) -> Result<StreamReader, RequestError> {
        refuse_on_shard("stream_blocking");
        let (reader, begun) = self.post_stream(name.into(), offset)?;
        self.begun(reader, begun.blocking_recv())
    }

    fn post_stream(
        &self,
        name: String,
        offset: u64,
    ) -> Result<(StreamReader, oneshot::Receiver<Result<u64, RequestError>>), RequestError> {
        let credit = STREAM_WINDOW;
        let (feed, reader) = StreamFeed::pair(self.shard.clone(), self.live.key, credit);
        let (begun, wait) = oneshot::channel();
        let order = Box::new(StreamOrder {
            name,
            offset,
            credit,
            timeout: None,
            feed,
            begun,
        });
        let key = self.live.key;
        let posted = self.shard.post(Command::Stream { key, order });
        posted.map_err(|error| self.refusal(&error))?;
        Ok((reader, wait))
    }

    fn begun(
        &self,
        mut reader: StreamReader,
        begun: Result<Result<u64, RequestError>, oneshot::error::RecvError>,
    ) -> Result<StreamReader, RequestError> {
        reader.set_id(begun.map_err(|_| RequestError::ShardStopped)??);
        Ok(reader)
    }

    /// Uploads `data`, with `meta` in front (Spark: `uploadStream`).
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn upload_stream(&self, meta: impl Into<Vec<u8>>, data: ManagedBuffer) -> RequestFuture {
        self.ask(
            Ask::Upload {
                meta: meta.into(),
                data,
            },
            None,
        )
    }

    /// Closes the connection; outstanding requests fail.
    pub fn close(&self) {
        self.shard
            .post_surely(Command::Close { key: self.live.key });
    }

    fn ask(&self, ask: Ask, timeout: Option<Duration>) -> RequestFuture {
        let key = self.live.key;
        let question = Some((ask, timeout));
        let (future, sink) = RequestFuture::pair(self.shard.clone(), key, question);
        if let Err(error) = self.shard.post(Command::Ask { key, sink }) {
            let refusal = self.refusal(&error);
            if let Command::Ask { sink, .. } = error.into_inner() {
                sink.send(Err(refusal));
            }
        }
        future
    }

    /// The future of a request, and the sink that resolves it.
    pub(super) fn pair(&self) -> (RequestFuture, RemoteSink) {
        RequestFuture::pair(self.shard.clone(), self.live.key, None)
    }

    pub(super) fn key(&self) -> ConnKey {
        self.live.key
    }

    /// The answer to a request that could not be posted.
    #[cold]
    pub(super) fn refused(&self, error: &PushError<Command>) -> RequestFuture {
        let (future, sink) = self.pair();
        sink.send(Err(self.refusal(error)));
        future
    }

    fn refusal(&self, error: &PushError<Command>) -> RequestError {
        match error {
            PushError::Closed(_) => RequestError::ShardStopped,
            PushError::Full(_) => RequestError::Busy {
                what: "the shard's inbox",
                limit: self.shard.inbox().capacity() as u64,
                key: "ringrail.transport.inbox",
            },
        }
    }
}
