//! Requests by callback: the fastest way to call, for code on a connection's shard.
//!
//! [`Connection`] begins them; a callback sends further requests by its [`ResponseContext`].
//! Nothing here allocates: the table of pending requests holds a counted reference to the handler.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use ringrail_codec::archive::Encode;

use crate::buf::{Body, ManagedBuffer};
use crate::error::RequestError;
use crate::shard::conn::reply_to::ReplyTo;
use crate::shard::conn::{Conn, ResponseHandler, RpcBody};

use super::{ChunkOptions, Connection};

fn call_back(handler: &Rc<dyn ResponseHandler>, token: u64) -> impl FnOnce() -> ReplyTo {
    move || ReplyTo::Callback {
        handler: Rc::clone(handler),
        token,
    }
}

/// Requests by callback: `handler` is called with the answer and `token`.
///
/// Each returns a number for [`cancel`](Connection::cancel).
impl Connection {
    /// Sends a request of bytes, which are copied into the send buffer. The fastest way to call.
    ///
    /// # Errors
    /// If the request was refused; `handler` is not called.
    #[inline]
    pub fn send_rpc_with(
        &self,
        body: &[u8],
        timeout: Option<Duration>,
        handler: &Rc<dyn ResponseHandler>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let sink = call_back(handler, token);
        self.conn.send_rpc(RpcBody::Copied(body), timeout, sink)
    }

    /// Sends a request whose body is sent without a copy if it is longer than
    /// `ringrail.transport.inlineMax`.
    ///
    /// # Errors
    /// If the request was refused; `handler` is not called.
    pub fn send_rpc_body_with(
        &self,
        body: impl Into<Body>,
        timeout: Option<Duration>,
        handler: &Rc<dyn ResponseHandler>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let (body, sink) = (RpcBody::Shared(body.into()), call_back(handler, token));
        self.conn.send_rpc(body, timeout, sink)
    }

    /// Sends a request whose body is the archive of `value`, serialised into the send buffer.
    ///
    /// # Errors
    /// If the request was refused; `handler` is not called.
    #[inline]
    pub fn send_archive_with(
        &self,
        value: &impl Encode,
        timeout: Option<Duration>,
        handler: &Rc<dyn ResponseHandler>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let sink = call_back(handler, token);
        self.conn.send_archive(value, timeout, sink)
    }

    /// Asks for a chunk, or a part of it.
    ///
    /// # Errors
    /// If the request was refused; `handler` is not called.
    pub fn fetch_chunk_with(
        &self,
        stream_id: u64,
        index: u32,
        options: &ChunkOptions,
        handler: &Rc<dyn ResponseHandler>,
        token: u64,
    ) -> Result<u64, RequestError> {
        self.fetch_to((stream_id, index), options, call_back(handler, token))
    }

    /// Uploads `data`, with `meta` in front (Spark: `uploadStream`).
    ///
    /// # Errors
    /// If the request was refused; `handler` is not called.
    pub fn upload_stream_with(
        &self,
        meta: &[u8],
        data: ManagedBuffer,
        timeout: Option<Duration>,
        handler: &Rc<dyn ResponseHandler>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let sink = call_back(handler, token);
        self.conn.upload(meta, data, timeout, sink)
    }
}

/// The connection that a [`ResponseHandler`] is called for; sends further requests with the same
/// handler.
///
/// Each method corresponds to the one of [`Connection`] with the suffix `_with`.
#[derive(Clone, Copy)]
pub struct ResponseContext<'a> {
    conn: &'a Rc<Conn>,
    handler: &'a Rc<dyn ResponseHandler>,
}

impl<'a> ResponseContext<'a> {
    #[inline(always)]
    pub(crate) fn new(conn: &'a Rc<Conn>, handler: &'a Rc<dyn ResponseHandler>) -> Self {
        Self { conn, handler }
    }

    /// The connection that the request was sent on. Clones a reference count.
    pub fn connection(&self) -> Connection {
        Connection::new(Rc::clone(self.conn))
    }

    /// The handler being called, for requests on another connection.
    pub fn handler(&self) -> &'a Rc<dyn ResponseHandler> {
        self.handler
    }

    /// Time of the shard's current turn, in ns of the monotonic clock. Reading it costs no system
    /// call.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.conn.local.now_ns()
    }

    /// Sends a request of bytes, which are copied into the send buffer.
    ///
    /// # Errors
    /// If the request was refused; the handler is not called for it.
    #[inline]
    pub fn send_rpc(
        &self,
        body: &[u8],
        timeout: Option<Duration>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let sink = call_back(self.handler, token);
        self.conn.send_rpc(RpcBody::Copied(body), timeout, sink)
    }

    /// Sends a request whose body is sent without a copy.
    ///
    /// # Errors
    /// If the request was refused; the handler is not called for it.
    pub fn send_rpc_body(
        &self,
        body: impl Into<Body>,
        timeout: Option<Duration>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let connection = self.connection();
        connection.send_rpc_body_with(body, timeout, self.handler, token)
    }

    /// Sends a request whose body is the archive of `value`, serialised into the send buffer.
    ///
    /// # Errors
    /// If the request was refused; the handler is not called for it.
    #[inline]
    pub fn send_archive(
        &self,
        value: &impl Encode,
        timeout: Option<Duration>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let sink = call_back(self.handler, token);
        self.conn.send_archive(value, timeout, sink)
    }

    /// Asks for a chunk, or a part of it.
    ///
    /// # Errors
    /// If the request was refused; the handler is not called for it.
    pub fn fetch_chunk(
        &self,
        stream_id: u64,
        index: u32,
        options: &ChunkOptions,
        token: u64,
    ) -> Result<u64, RequestError> {
        let connection = self.connection();
        connection.fetch_chunk_with(stream_id, index, options, self.handler, token)
    }

    /// Uploads `data`, with `meta` in front.
    ///
    /// # Errors
    /// If the request was refused; the handler is not called for it.
    pub fn upload_stream(
        &self,
        meta: &[u8],
        data: ManagedBuffer,
        timeout: Option<Duration>,
        token: u64,
    ) -> Result<u64, RequestError> {
        let connection = self.connection();
        connection.upload_stream_with(meta, data, timeout, self.handler, token)
    }
}

impl fmt::Debug for ResponseContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseContext({})", self.conn.peer)
    }
}
