//! A connection as code on its shard sees it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ringrail_codec::archive::Encode;

use crate::buf::{Body, ManagedBuffer};
use crate::conn::sink::Sink;
use crate::conn::{ChunkCount, Conn, Outcome, Pause, ResponseHandler, RpcBody};
use crate::error::{CloseReason, RequestError};
use crate::server::MergedBlocksRequest;
use crate::shard::local::ConnKey;
use crate::sys::socket::Addr;

use super::TransportClient;

/// One connection, for code on its shard: handlers, futures, callbacks.
///
/// Requests go both ways over one connection, whoever opened it. Nothing here allocates per
/// request after warm-up. Not `Send`; [`client`](Self::client) gives a handle that is.
#[derive(Clone)]
pub struct Connection {
    conn: Rc<Conn>,
}

impl Connection {
    pub(crate) fn new(conn: Rc<Conn>) -> Self {
        Self { conn }
    }

    pub(crate) fn key(&self) -> ConnKey {
        self.conn.key
    }

    /// The peer's address.
    pub fn peer(&self) -> &Addr {
        &self.conn.peer
    }

    /// Time of the shard's current turn, in ns of the monotonic clock: free to ask.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.conn.local.now_ns()
    }

    /// Open, and the peer takes requests (Spark: `isActive`).
    pub fn is_active(&self) -> bool {
        self.conn.is_active()
    }

    /// A number that names this connection on its shard as long as it lives.
    pub fn id(&self) -> u64 {
        self.conn.key.number()
    }

    /// Why it ended, once it has.
    pub fn close_reason(&self) -> Option<Arc<CloseReason>> {
        self.conn.reason()
    }

    /// The identity that authentication found (Spark: `getClientId`).
    pub fn client_id(&self) -> Option<Rc<str>> {
        self.conn.client_id()
    }

    /// Sets the identity; false where one is set already (Spark: `setClientId`).
    pub fn set_client_id(&self, id: &str) -> bool {
        self.conn.set_client_id(id)
    }

    /// Gives this connection state of the embedder's own, once; false where it has some.
    pub fn set_extension(&self, state: Rc<dyn Any>) -> bool {
        self.conn.extension.set(state).is_ok()
    }

    /// The embedder's own state, if [set](Self::set_extension).
    #[inline]
    pub fn extension(&self) -> Option<&Rc<dyn Any>> {
        self.conn.extension.get()
    }

    /// A handle to this connection for other threads.
    pub fn client(&self) -> TransportClient {
        let local = &self.conn.local;
        TransportClient::new(
            local.handle.clone(),
            self.conn.live(),
            self.conn.peer.clone(),
        )
    }

    /// Sends a request; `handler` gets the answer, with `token`. The fastest way to call.
    ///
    /// # Errors
    /// The request was not taken, and `handler` is not called.
    #[inline]
    pub fn send_rpc_with(
        &self,
        body: &[u8],
        timeout: Option<Duration>,
        handler: &Rc<dyn ResponseHandler>,
        token: u64,
    ) -> Result<(), RequestError> {
        let sink = || Sink::Callback {
            handler: Rc::clone(handler),
            token,
        };
        let sent = self.conn.send_rpc(RpcBody::Copied(body), timeout, sink);
        sent.map(|_| ())
    }

    /// Sends a request of bytes.
    ///
    /// # Errors
    /// The request was not taken.
    ///
    /// # Cancel safety
    /// Dropping the future retracts the request.
    pub fn send_rpc(
        &self,
        body: &[u8],
        timeout: Option<Duration>,
    ) -> Result<CallFuture, RequestError> {
        let sent = self
            .conn
            .send_rpc(RpcBody::Copied(body), timeout, || Sink::Future(None));
        self.future(sent)
    }

    /// Sends a request whose body is sent from where it lies.
    ///
    /// # Errors
    /// The request was not taken.
    pub fn send_rpc_body(
        &self,
        body: impl Into<Body>,
        timeout: Option<Duration>,
    ) -> Result<CallFuture, RequestError> {
        let sent = self
            .conn
            .send_rpc(RpcBody::Shared(body.into()), timeout, || Sink::Future(None));
        self.future(sent)
    }

    /// Sends a request whose body is the archive of `value`, serialised in the send buffer.
    ///
    /// # Errors
    /// The request was not taken.
    pub fn send_archive(
        &self,
        value: &impl Encode,
        timeout: Option<Duration>,
    ) -> Result<CallFuture, RequestError> {
        let sent = self
            .conn
            .send_archive(value, timeout, || Sink::Future(None));
        self.future(sent)
    }

    /// As [`send_rpc_with`](Self::send_rpc_with), with the archive of `value` for a body, serialised
    /// in the send buffer.
    ///
    /// # Errors
    /// The request was not taken, and `handler` is not called.
    #[inline]
    pub fn send_archive_with(
        &self,
        value: &impl Encode,
        timeout: Option<Duration>,
        handler: &Rc<dyn ResponseHandler>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let sink = || Sink::Callback {
            handler: Rc::clone(handler),
            token,
        };
        self.conn.send_archive(value, timeout, sink)
    }

    /// Retracts a request by the number that sending it returned; its handler is not called.
    pub fn cancel(&self, request: u64) {
        self.conn.cancel(request);
    }

    /// Sends the archive of `value` as a message that wants no reply.
    ///
    /// # Errors
    /// The message was not taken.
    pub fn send_archive_one_way(&self, value: &impl Encode) -> Result<(), RequestError> {
        self.conn.send_archive_one_way(value)
    }

    /// Sends a message that wants no reply: delivery is not confirmed (Spark: `send`).
    ///
    /// # Errors
    /// The message was not taken.
    pub fn send(&self, body: &[u8]) -> Result<(), RequestError> {
        self.conn.send_one_way(RpcBody::Copied(body))
    }

    /// Asks for a chunk; `handler` gets it, with `token`. `len_hint` is its length if known:
    /// memory is leased for it before the request leaves, which saves a round trip.
    ///
    /// # Errors
    /// The request was not taken, and `handler` is not called.
    pub fn fetch_chunk_with(
        &self,
        (stream_id, index): (u64, u32),
        len_hint: Option<u64>,
        timeout: Option<Duration>,
        handler: &Rc<dyn ResponseHandler>,
        token: u64,
    ) -> Result<(), RequestError> {
        let sink = || Sink::Callback {
            handler: Rc::clone(handler),
            token,
        };
        let (chunk, range) = ((stream_id, index), (0, u64::MAX));
        let sent = self.conn.fetch_chunk(chunk, range, len_hint, timeout, sink);
        sent.map(|_| ())
    }

    /// Asks for a chunk.
    ///
    /// # Errors
    /// The request was not taken.
    ///
    /// # Cancel safety
    /// Dropping the future retracts the request.
    pub fn fetch_chunk(
        &self,
        stream_id: u64,
        index: u32,
        len_hint: Option<u64>,
        timeout: Option<Duration>,
    ) -> Result<CallFuture, RequestError> {
        let (chunk, range) = ((stream_id, index), (0, u64::MAX));
        let sent = self
            .conn
            .fetch_chunk(chunk, range, len_hint, timeout, || Sink::Future(None));
        self.future(sent)
    }

    /// Uploads `data`, with `meta` in front (Spark: `uploadStream`).
    ///
    /// # Errors
    /// The request was not taken.
    pub fn upload_stream(
        &self,
        meta: &[u8],
        data: ManagedBuffer,
        timeout: Option<Duration>,
    ) -> Result<CallFuture, RequestError> {
        let sent = self.conn.upload(meta, data, timeout, || Sink::Future(None));
        self.future(sent)
    }

    /// Hands no further requests of the peer to its handler before the pause is dropped; they wait in their
    /// order, within the bounds of requests that wait for answers to leave. What the peer sends beside requests is
    /// taken as ever.
    ///
    /// A handler whose [`get_chunk`](crate::server::StreamManager::get_chunk),
    /// [`open_stream`](crate::server::StreamManager::open_stream) or
    /// [`merged_blocks`](crate::server::RpcHandler::merged_blocks) pauses the connection and fails is asked the
    /// same again afterwards, and the failure is not told. So it can have a file opened on another thread, which
    /// drops the pause when that is done. A request that is retracted, or whose connection ends meanwhile, is not
    /// asked again.
    pub fn pause(&self) -> Pause {
        self.conn.pause()
    }

    /// Ends the connection; outstanding requests fail.
    pub fn close(&self) {
        self.conn.close_after_flush(CloseReason::Local);
    }

    pub(super) fn ask_merged(
        &self,
        asked: &MergedBlocksRequest<'_>,
        num_chunks: &ChunkCount,
        timeout: Option<Duration>,
    ) -> Result<CallFuture, RequestError> {
        let sent = self
            .conn
            .ask_merged(asked, num_chunks, timeout, || Sink::Future(None));
        self.future(sent)
    }

    fn future(&self, sent: Result<u64, RequestError>) -> Result<CallFuture, RequestError> {
        sent.map(|id| CallFuture {
            conn: Rc::clone(&self.conn),
            id,
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}, {:?})", self.conn.peer, self.conn.state())
    }
}

/// An answer to come, on the shard. Dropping it retracts the request.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the request"]
pub struct CallFuture {
    conn: Rc<Conn>,
    id: u64,
}

impl Future for CallFuture {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.conn.poll_call(self.id, cx.waker()) {
            Some(outcome) => {
                self.id = 0;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for CallFuture {
    fn drop(&mut self) {
        if self.id != 0 {
            self.conn.cancel(self.id);
        }
    }
}

impl fmt::Debug for CallFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallFuture({:#x})", self.id)
    }
}
