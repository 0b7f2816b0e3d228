//! The points where the two protocols part: everything that is written, asked for or sent in either's own way.
//!
//! Shared code calls these, or asks [`Wire`](crate::conn::wire::Wire) what the protocol is able to; nothing else
//! looks which one it is, but for `rx/protocol`, which does the same for what is received.

use std::rc::Rc;
use std::time::Duration;

use ringrail_codec::native::{Header, Kind};

use crate::buf::{Gather, ManagedBuffer};
use crate::conn::send_queue::NoMemory;
use crate::conn::transfer::Carries;
use crate::error::{RequestError, RpcFailure};

use super::compose::{Composing, Outgoing};
use super::fetch::ChunkWish;
use super::reply_to::ReplyTo;
use super::spark::SparkState;
use super::{Conn, RpcBody};

impl Conn {
    /// Requests a chunk of a stream, from an offset on, at most so many bytes.
    pub(crate) fn fetch_chunk(
        &self,
        chunk: (u64, u32),
        range: (u64, u64),
        wish: ChunkWish,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        match self.spark() {
            None => self.fetch_native_chunk(chunk, range, wish, timeout, sink),
            Some(side) => self.fetch_spark_chunk(side, chunk, range, timeout, sink),
        }
    }

    /// Requests a stream by name, from `offset` on, with a first grant of `credit` bytes.
    pub(crate) fn open_stream(
        &self,
        name: &str,
        (offset, credit): (u64, u64),
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        match self.spark() {
            None => self.open_native_stream(name, (offset, credit), timeout, sink),
            Some(side) => self.open_spark_stream(side, name, (offset, credit), timeout, sink),
        }
    }

    /// Sends `data` as an upload with `meta` in front (Spark: `uploadStream`).
    pub(crate) fn upload(
        &self,
        meta: &[u8],
        data: ManagedBuffer,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        self.admit_own_body(usize::MAX)?;
        match self.spark() {
            None => self.upload_native(meta, data, timeout, sink),
            Some(side) => self.upload_spark(side, meta, data, timeout, sink),
        }
    }

    /// Writes the body of a request, reply or one-way message; its size decides whether it is copied. `header` makes
    /// the native one.
    #[inline(always)]
    pub(crate) fn write_rpc(
        &self,
        id: u64,
        carries: Carries,
        body: RpcBody<'_>,
        header: impl FnOnce(u32) -> Header,
    ) -> Result<(), NoMemory> {
        match self.spark() {
            None => self.write_native_rpc(id, carries, body, header),
            Some(side) => self.write_spark_rpc(side, id, carries, body),
        }
    }

    /// Writes the failure of a request that is counted out.
    pub(super) fn write_failure(&self, kind: Kind, id: u64, failure: &RpcFailure) {
        match self.spark() {
            None => self.write_native_failure(kind, id, failure),
            Some(side) => self.answer_spark_failure(side, id, failure),
        }
    }

    /// A request is not answered, because its connection is about to close.
    #[cold]
    pub(super) fn drop_request(&self, id: u64) {
        if let Some(side) = self.spark() {
            self.drop_spark_request(side, id);
        }
    }

    /// Begins the next send: what is queued, then bodies.
    #[inline]
    pub(crate) fn begin_compose(self: &Rc<Self>) -> Composing {
        match self.spark() {
            None => self.begin_compose_native(),
            Some(side) => self.begin_compose_spark(side),
        }
    }

    /// The send as it goes onto the wire.
    #[inline]
    pub(super) fn encrypted(&self, gather: Gather) -> Outgoing {
        match self.spark() {
            None => Outgoing::Gather(gather),
            Some(side) => self.sealed(side, gather),
        }
    }

    /// True where a send waits for memory to be encrypted into.
    pub(super) fn is_encrypting(&self) -> bool {
        self.spark().is_some_and(SparkState::is_sealing)
    }
}
