//! A connection, as seen by code on its shard.

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
use crate::error::{CloseReason, RequestError};
use crate::shard::conn::reply_to::ReplyTo;
use crate::shard::conn::user::MergedBlocksRequest;
use crate::shard::conn::{ChunkCount, Conn, Outcome, Pause, RpcBody};
use crate::shard::local::ConnKey;
use crate::sys::socket::Addr;

use super::ChunkOptions;

/// One connection, for code on its shard: handlers, futures, callbacks.
///
/// Requests go both ways over one connection, whichever side opened it. Nothing here allocates per
/// request after warm-up. Not `Send`; [`client`](Self::client) gives a handle that is.
///
/// A request by callback (the methods that end in `_with`) that is refused returns `Err`, and the
/// callback is not called; otherwise the method returns the number for [`cancel`](Self::cancel). A
/// request by future reports every error by the future, refusals included, as [`TransportClient`](crate::TransportClient)
/// does.
#[derive(Clone)]
pub struct Connection {
    pub(crate) conn: Rc<Conn>,
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

    /// Time of the shard's current turn, in ns of the monotonic clock. Reading it costs no system
    /// call.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.conn.local.now_ns()
    }

    /// Open, and the peer takes requests (Spark: `isActive`).
    pub fn is_active(&self) -> bool {
        self.conn.is_active()
    }

    /// A number that identifies this connection on its shard while it exists.
    pub fn id(&self) -> u64 {
        self.conn.key.number()
    }

    /// The reason of its end, once it has ended.
    pub fn close_reason(&self) -> Option<Arc<CloseReason>> {
        self.conn.reason()
    }

    /// The identity that authentication found (Spark: `getClientId`).
    pub fn client_id(&self) -> Option<Rc<str>> {
        self.conn.client_id()
    }

    /// Sets the identity; returns false if one is already set (Spark: `setClientId`).
    pub fn set_client_id(&self, id: &str) -> bool {
        self.conn.set_client_id(id)
    }

    /// Attaches an embedder's state to this connection, once; returns false if it has some already.
    pub fn set_extension(&self, state: Rc<dyn Any>) -> bool {
        self.conn.extension.set(state).is_ok()
    }

    /// The embedder's own state, if [set](Self::set_extension).
    #[inline]
    pub fn extension(&self) -> Option<&Rc<dyn Any>> {
        self.conn.extension.get()
    }

    /// Sends a request of bytes.
    ///
    /// # Errors
    /// The future resolves to the error.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request.
    pub fn send_rpc(&self, body: &[u8], timeout: Option<Duration>) -> CallFuture {
        let sent = self
            .conn
            .send_rpc(RpcBody::Copied(body), timeout, || ReplyTo::Future(None));
        self.future(sent)
    }

    /// Sends a request whose body is sent without a copy.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn send_rpc_body(&self, body: impl Into<Body>, timeout: Option<Duration>) -> CallFuture {
        let sent = self
            .conn
            .send_rpc(RpcBody::Shared(body.into()), timeout, || {
                ReplyTo::Future(None)
            });
        self.future(sent)
    }

    /// Sends a request whose body is the archive of `value`, serialised into the send buffer.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn send_archive(&self, value: &impl Encode, timeout: Option<Duration>) -> CallFuture {
        let sent = self
            .conn
            .send_archive(value, timeout, || ReplyTo::Future(None));
        self.future(sent)
    }

    /// Cancels a request by the number that sending it returned: its handler is not called, and the peer is
    /// notified. Has no effect if it has been answered.
    pub fn cancel(&self, request: u64) {
        self.conn.cancel(request);
    }

    /// Sends the archive of `value` as a message that wants no reply.
    ///
    /// # Errors
    /// If the message was refused.
    pub fn send_archive_one_way(&self, value: &impl Encode) -> Result<(), RequestError> {
        self.conn.send_archive_one_way(value)
    }

    /// Sends a message that wants no reply: delivery is not confirmed (Spark: `send`).
    ///
    /// # Errors
    /// If the message was refused.
    pub fn send(&self, body: &[u8]) -> Result<(), RequestError> {
        self.conn.send_one_way(RpcBody::Copied(body))
    }

    /// Asks for a chunk, or a part of it.
    ///
    /// # Errors
    /// The future resolves to the error.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request.
    pub fn fetch_chunk(&self, stream_id: u64, index: u32, options: &ChunkOptions) -> CallFuture {
        let chunk = (stream_id, index);
        self.future(self.fetch_to(chunk, options, || ReplyTo::Future(None)))
    }

    pub(crate) fn fetch_to(
        &self,
        chunk: (u64, u32),
        options: &ChunkOptions,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        let range = (options.offset, options.max_len);
        let (wish, timeout) = (options.wish(), options.timeout);
        self.conn.fetch_chunk(chunk, range, wish, timeout, sink)
    }

    /// Uploads `data`, with `meta` in front (Spark: `uploadStream`).
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn upload_stream(
        &self,
        meta: &[u8],
        data: ManagedBuffer,
        timeout: Option<Duration>,
    ) -> CallFuture {
        let sent = self
            .conn
            .upload(meta, data, timeout, || ReplyTo::Future(None));
        self.future(sent)
    }

    /// Hands no further requests of the peer to its handler before the pause is dropped; they are queued in
    /// order, within the limits of requests that wait for answers to leave. Other frames of the peer are
    /// processed as usual.
    ///
    /// A handler whose [`get_chunk`](crate::shard::conn::user::StreamManager::get_chunk),
    /// [`open_stream`](crate::shard::conn::user::StreamManager::open_stream) or
    /// [`merged_blocks`](crate::shard::conn::user::RpcHandler::merged_blocks) pauses the connection and fails is called with
    /// the same request again afterwards, and the failure is not sent. So it can have a file opened on another
    /// thread, which drops the pause when that is done. A request that is cancelled, or whose connection ends
    /// meanwhile, is not repeated.
    pub fn pause(&self) -> Pause {
        self.conn.pause()
    }

    /// Closes the connection; outstanding requests fail.
    pub fn close(&self) {
        self.conn.close_after_flush(CloseReason::Local);
    }

    pub(crate) fn ask_merged(
        &self,
        asked: &MergedBlocksRequest<'_>,
        num_chunks: &ChunkCount,
        timeout: Option<Duration>,
    ) -> CallFuture {
        let sent = self
            .conn
            .ask_merged(asked, num_chunks, timeout, || ReplyTo::Future(None));
        self.future(sent)
    }

    fn future(&self, sent: Result<u64, RequestError>) -> CallFuture {
        let (id, refusal) = match sent {
            Ok(id) => (id, None),
            Err(error) => (0, Some(Box::new(error))),
        };
        CallFuture {
            conn: Rc::clone(&self.conn),
            id,
            refusal,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}, {:?})", self.conn.peer, self.conn.phase())
    }
}

/// A pending answer, on the shard. Dropping it cancels the request.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the request"]
pub struct CallFuture {
    conn: Rc<Conn>,
    /// 0 if no request is outstanding.
    id: u64,
    /// The reason of a refusal.
    refusal: Option<Box<RequestError>>,
}

impl Future for CallFuture {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(refusal) = self.refusal.take() {
            return Poll::Ready(Err(*refusal));
        }
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
