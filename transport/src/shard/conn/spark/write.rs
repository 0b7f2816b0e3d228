//! Outgoing frames of Spark's protocol: requests of this side, and answers to the peer's.

use std::time::Duration;

use bytes::Bytes;
use ringrail_codec::spark::{
    ChunkFetchFailure, ChunkFetchRequest, EncodeError, FrameTooLarge, OneWayMessage, RpcRequest,
    RpcResponse, StreamFailure, StreamRequest, UploadStream, failure_text,
};

use crate::buf::{Body, ManagedBuffer};
use crate::conn::body_queue::Spot;
use crate::conn::pending::CallKind;
use crate::conn::send_queue::{NoMemory, SendQueue};
use crate::conn::transfer::{Carries, Transfer, TransferKey};
use crate::error::{RequestError, RpcFailure};
use crate::metrics::RequestKind;
use crate::shard::conn::reply_to::ReplyTo;
use crate::shard::conn::{Conn, RpcBody};

use super::SparkState;
use crate::conn::spark::lead::Lead;
use crate::conn::spark::requests::WireId;

impl Conn {
    /// Writes an RPC, its reply, or a one-way message; its size decides whether it is copied.
    #[inline]
    pub(in crate::shard::conn) fn write_spark_rpc(
        &self,
        side: &SparkState,
        id: u64,
        carries: Carries,
        body: RpcBody<'_>,
    ) -> Result<(), NoMemory> {
        let len = body.len() as u64;
        let request_id = match carries {
            Carries::Reply => match side.asked.borrow().get(id) {
                Some(WireId::Rpc { request_id }) => *request_id,
                // The request is no longer pending.
                _ => return Ok(()),
            },
            _ => id as i64,
        };
        let written = match carries {
            Carries::Reply => {
                let head = RpcResponse { request_id }.head(len);
                self.write_spark(&head, id, carries, body)
            }
            Carries::OneWay => {
                let head = OneWayMessage.head(len);
                self.write_spark(&head, id, carries, body)
            }
            _ => {
                let head = RpcRequest { request_id }.head(len);
                self.write_spark(&head, id, carries, body)
            }
        };
        if written.is_ok() && carries == Carries::Reply {
            side.asked.borrow_mut().take(id);
        }
        written
    }

    #[inline]
    fn write_spark<const LEN: usize>(
        &self,
        head: &Result<[u8; LEN], FrameTooLarge>,
        id: u64,
        carries: Carries,
        body: RpcBody<'_>,
    ) -> Result<(), NoMemory> {
        // Lengths have been checked: every body fits a frame.
        let Ok(head) = head else {
            return Err(NoMemory);
        };
        let (conf, pool) = (&self.local.conf, &self.local.pool);
        let answers = carries == Carries::Reply;
        let body = match body {
            RpcBody::Copied(bytes) if bytes.len() <= conf.inline_max => {
                return self.tx.borrow_mut().plain(pool, head, bytes, answers);
            }
            RpcBody::Copied(bytes) => Body::Lease(self.copy_out(bytes)?),
            RpcBody::Shared(body) => body,
        };
        if body.len() <= conf.inline_max
            && let Some(bytes) = body.as_slice()
        {
            let metrics = &self.local.metrics;
            metrics.copies_coalesced.increment();
            metrics.copies_coalesced_bytes.add(bytes.len() as u64);
            return self.tx.borrow_mut().plain(pool, head, bytes, answers);
        }
        if body.len() <= conf.slice_len as usize {
            let mut tx = self.tx.borrow_mut();
            return tx.plain_by_reference(pool, head, body, answers);
        }
        let lead = Lead::Long(Bytes::copy_from_slice(head));
        self.push_spark(id, carries, lead, ManagedBuffer::Memory(body));
        Ok(())
    }

    /// Queues a body, with `lead` in front, to be sent whole and in order.
    pub(super) fn push_spark(&self, id: u64, carries: Carries, lead: Lead, data: ManagedBuffer) {
        let answers = TransferKey::answers(carries);
        if answers && !self.has_body_room() {
            return self.close(self.body_room_reason());
        }
        let slice_max = self.local.conf.slice_len;
        let transfer = Transfer::plain(id, carries, data, slice_max, lead);
        self.tx.borrow_mut().transfers.push(transfer);
        self.mark_dirty();
    }

    /// Answers a request, which is no longer counted, with a failure.
    pub(in crate::shard::conn) fn answer_spark_failure(
        &self,
        side: &SparkState,
        id: u64,
        failure: &RpcFailure,
    ) {
        let Some(asking) = side.asked.borrow_mut().take(id) else {
            return;
        };
        let text = text_of(failure);
        let error = failure_text(&text);
        match asking {
            WireId::Rpc { request_id } => {
                let frame = ringrail_codec::spark::RpcFailure { request_id, error };
                self.say_failure(frame.encoded_len(), |out| frame.encode(out));
            }
            WireId::Chunk { stream_id, index } => {
                let frame = ChunkFetchFailure {
                    stream_id,
                    chunk_index: index,
                    error,
                };
                self.say_failure(frame.encoded_len(), |out| frame.encode(out));
            }
            WireId::Stream { name } => {
                let stream_id = &*name;
                let frame = StreamFailure { stream_id, error };
                self.refuse_stream(id, frame.encoded_len(), |out| frame.encode(out));
            }
        }
    }

    /// Answers to streams keep the order of the requests: after a stream that is being sent, a failure
    /// waits in its place.
    fn refuse_stream(
        &self,
        id: u64,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>,
    ) {
        let waits = self.tx.borrow().transfers.has_ordered();
        if !waits {
            return self.say_failure(len, write);
        }
        match Lead::written(len, write) {
            Ok(lead) => {
                let nothing = ManagedBuffer::from(Bytes::new());
                self.push_spark(id, Carries::Refusal, lead, nothing);
            }
            Err(_) => self.out_of_memory(),
        }
    }

    /// Removes a body that cannot be read; a stream of which nothing is sent leaves its failure in its
    /// place.
    pub(in crate::shard::conn) fn fail_ready(
        &self,
        tx: &mut SendQueue,
        at: Spot,
        failure: RpcFailure,
    ) -> Option<(Transfer, RpcFailure)> {
        let transfer = tx.transfers.at(at);
        let id = transfer.id;
        let refuse = transfer.carries == Carries::Stream && !transfer.has_begun();
        let side = self.spark().filter(|_| refuse);
        let asking = side.and_then(|side| side.asked.borrow_mut().take(id));
        let Some(WireId::Stream { name }) = asking else {
            return Some((tx.transfers.remove(at), failure));
        };
        let text = text_of(&failure);
        let frame = StreamFailure {
            stream_id: &name,
            error: failure_text(&text),
        };
        let Ok(lead) = Lead::written(frame.encoded_len(), |out| frame.encode(out)) else {
            return Some((tx.transfers.remove(at), failure));
        };
        let (nothing, part_max) = (ManagedBuffer::from(Bytes::new()), self.local.conf.slice_len);
        *transfer = Transfer::plain(id, Carries::Refusal, nothing, part_max, lead);
        self.answered();
        None
    }

    /// Writes a frame of `len` bytes. If there is no memory for it, the connection is closed:
    /// otherwise the peer would wait for this frame forever.
    pub(super) fn say(
        &self,
        len: usize,
        answers: bool,
        write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<(), NoMemory> {
        let pool = &self.local.pool;
        let written = self.tx.borrow_mut().plain_with(pool, len, answers, write);
        self.local.metrics.frames_out.increment();
        self.mark_dirty();
        written
    }

    fn say_failure(&self, len: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) {
        if self.say(len, true, write).is_err() {
            self.out_of_memory();
        }
    }

    /// Requests a chunk.
    pub(in crate::shard::conn) fn fetch_spark_chunk(
        &self,
        side: &SparkState,
        (stream_id, index): (u64, u32),
        (offset, max_len): (u64, u64),
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        if offset != 0 || max_len != u64::MAX {
            let what = "parts of chunks";
            return Err(RequestError::NotInProtocol { what });
        }
        let timeout = self.timeout(timeout);
        self.admit()?;
        self.admit_chunk(side)?;
        let due = self.due(timeout);
        let id = self.calls.borrow_mut().insert(CallKind::Chunk, sink, due);
        let chunk = (stream_id as i64, index as i32);
        let request = ChunkFetchRequest {
            stream_id: chunk.0,
            chunk_index: chunk.1,
        };
        self.forecast.borrow_mut().begin();
        let pool = &self.local.pool;
        let written = self
            .tx
            .borrow_mut()
            .plain(pool, &request.encode(), &[], false);
        if written.is_ok() {
            side.chunks.borrow_mut().push(chunk, id);
        }
        self.sent_request(id, written, timeout, RequestKind::Chunk)
    }

    /// Abandoned requests without an answer count as well.
    fn admit_chunk(&self, side: &SparkState) -> Result<(), RequestError> {
        let limit = 2 * self.terms.get().max_outstanding as usize;
        if side.chunks.borrow().len() < limit {
            return Ok(());
        }
        Err(RequestError::Busy {
            what: "the table of chunks that the peer still has to answer",
            limit: limit as u64,
            key: "ringrail.transport.maxOutstanding",
        })
    }

    /// Requests a stream by name; the reader may be `credit` bytes behind.
    pub(in crate::shard::conn) fn open_spark_stream(
        &self,
        side: &SparkState,
        name: &str,
        (offset, credit): (u64, u64),
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        if offset != 0 {
            let what = "streams from an offset on";
            return Err(RequestError::NotInProtocol { what });
        }
        let timeout = self.timeout(timeout);
        self.admit()?;
        let limit = u64::from(side.limits.max_stream_name_len);
        self.check_len(name.len(), limit, "ringrail.spark.maxStreamNameLen")?;
        let due = self.due(timeout);
        let id = self.calls.borrow_mut().insert(CallKind::Stream, sink, due);
        if let Some(bulk) = self.calls.borrow_mut().bulk(id) {
            bulk.granted = credit;
        }
        self.forecast.borrow_mut().begin();
        let request = StreamRequest { stream_id: name };
        let written = self.say(request.encoded_len(), false, |out| request.encode(out));
        if written.is_ok() {
            side.streams.borrow_mut().push_back(id);
        }
        self.sent_request(id, written, timeout, RequestKind::Stream)
    }

    /// Sends an upload.
    pub(in crate::shard::conn) fn upload_spark(
        &self,
        side: &SparkState,
        meta: &[u8],
        data: ManagedBuffer,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        self.admit()?;
        let limit = u64::from(side.limits.max_meta_len);
        self.check_len(meta.len(), limit, "ringrail.spark.maxMetaLen")?;
        let due = self.due(timeout);
        let id = self.calls.borrow_mut().insert(CallKind::Upload, sink, due);
        let upload = UploadStream {
            request_id: id as i64,
            meta,
            byte_count: data.len(),
        };
        match Lead::written(upload.encoded_len(), |out| upload.encode(out)) {
            Ok(lead) => self.push_spark(id, Carries::Upload, lead, data),
            Err(failure) => {
                let peer = self.peer.clone();
                self.resolve_failure(id, RequestError::Source { peer, failure });
                return Ok(id);
            }
        }
        self.sent_request(id, Ok(()), timeout, RequestKind::Upload)
    }
}

/// The text of a failure for Spark's clients: formatted like a stack trace, with causes as Java
/// prints them.
fn text_of(failure: &RpcFailure) -> String {
    let mut text = failure.message().to_owned();
    for cause in failure.causes() {
        text.push_str("\nCaused by: ");
        text.push_str(cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use ringrail_codec::native::FailureCode;

    use super::*;

    #[test]
    fn a_failure_is_told_with_its_causes() {
        let failure = RpcFailure::new(FailureCode::NotFound, "Failed to open file: x");
        let failure = failure.caused_by("no such file").caused_by("a bad disk");
        assert_eq!(
            text_of(&failure),
            "Failed to open file: x\nCaused by: no such file\nCaused by: a bad disk"
        );
    }
}
