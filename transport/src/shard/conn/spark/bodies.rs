//! Bodies that are not contained in one receive buffer: their destinations.
//!
//! A body inside its frame is received whole, into a lease of its length. A body after its frame is
//! received piece by piece, into the sink of an upload or the reader of a stream.

use std::rc::Rc;

use ringrail_codec::native::{Assembly, FailureCode, GrantWindow};
use ringrail_codec::spark::{Frame, Head};

use crate::buf::{Lease, LeaseMut};
use crate::conn::pending::CallKind;
use crate::error::{CloseReason, RpcFailure};
use crate::metrics::RequestKind;
use crate::shard::conn::Conn;
use crate::shard::conn::UploadIn;
use crate::shard::conn::failures::panicked;
use crate::shard::conn::received::ReceivedBytes;
use crate::shard::conn::reply_to::ReplyTo;
use crate::shard::conn::user::Connection;
use crate::shard::conn::user::{Responder, UploadStart};

use super::SparkState;
use crate::conn::spark::requests::WireId;

/// Limit of the bytes of a refused upload that are read and dropped, so that its connection
/// survives. Beyond it the connection is closed, as Spark always does.
const DROPPED_UPLOAD_LEN: u64 = 16 << 20;

/// The kind of a body that is received whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WholeOf {
    /// An RPC request of the peer.
    Rpc { request_id: i64 },
    /// A one-way message of the peer.
    OneWay,
    /// The answer to a request of ours.
    Answer { call: u64 },
}

/// The kind of a body that is received in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PiecesOf {
    /// An upload of the peer.
    Upload { id: u64 },
    /// A stream that this side asked for.
    Stream { call: u64 },
}

/// The destination of the body that follows a head.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Received whole into this buffer.
    Whole { buf: LeaseMut, of: WholeOf },
    /// Received in pieces.
    Pieces(PiecesOf),
    /// Received and dropped: no request is pending for it, or it was refused.
    Nowhere,
    /// No memory is available at present.
    NoMemory,
}

impl Conn {
    /// Plans the destination of a body inside its frame.
    pub(crate) fn plan_spark(self: &Rc<Self>, side: &SparkState, head: &Head<'_>) -> Plan {
        if let Frame::ChunkFetchSuccess(_) = head.frame {
            self.expect_chunks_of(head.body_len);
        }
        let plan = match self.whole_of(side, &head.frame) {
            None => Plan::Nowhere,
            Some(of) if !self.could_take_spark(of, head.body_len) => {
                self.refuse_spark_body(side, of, head.body_len, false);
                Plan::Nowhere
            }
            Some(of) => match self.lease_for_spark(of, head.body_len as usize) {
                Some(buf) => Plan::Whole { buf, of },
                None => return Plan::NoMemory,
            },
        };
        self.note_chunk_begun(side, &head.frame);
        plan
    }

    /// True if a body would find memory in an empty pool.
    fn could_take_spark(&self, of: WholeOf, len: u64) -> bool {
        match of {
            WholeOf::Answer { .. } => self.local.pool.could_hold(len),
            WholeOf::Rpc { .. } | WholeOf::OneWay => self.could_claim(len),
        }
    }

    /// A solicited answer gets its memory at once; unsolicited data gets it as bytes arrive.
    fn lease_for_spark(&self, of: WholeOf, len: usize) -> Option<LeaseMut> {
        match of {
            WholeOf::Answer { .. } => self.local.pool.lease(len),
            WholeOf::Rpc { .. } | WholeOf::OneWay => self.claim(self.first_claim(len), 0),
        }
    }

    /// The kind of the body in a frame; `None` if no request is pending for it.
    fn whole_of(&self, side: &SparkState, frame: &Frame<'_>) -> Option<WholeOf> {
        let call = match frame {
            Frame::RpcRequest(request) => {
                let request_id = request.request_id;
                return Some(WholeOf::Rpc { request_id });
            }
            Frame::OneWayMessage(_) => return Some(WholeOf::OneWay),
            Frame::RpcResponse(response) => self.rpc_call(response.request_id),
            Frame::MergedBlockMetaSuccess(merged) => {
                self.merged_call(side, merged.request_id, merged.num_chunks)
            }
            Frame::ChunkFetchSuccess(chunk) => {
                let chunk = (chunk.stream_id, chunk.chunk_index);
                let call = side.chunks.borrow().find(chunk);
                call.filter(|&call| self.waits_for(call, &[CallKind::Chunk]))
            }
            _ => None,
        };
        call.map(|call| WholeOf::Answer { call })
    }

    /// The answer to a chunk request has arrived, wherever its body goes.
    fn note_chunk_begun(&self, side: &SparkState, frame: &Frame<'_>) {
        if let Frame::ChunkFetchSuccess(chunk) = frame {
            let chunk = (chunk.stream_id, chunk.chunk_index);
            if side.chunks.borrow_mut().take(chunk).is_none() {
                self.unasked("a chunk");
            }
        }
    }

    fn rpc_call(&self, request_id: i64) -> Option<u64> {
        let id = request_id as u64;
        self.waits_for(id, &[CallKind::Rpc, CallKind::Upload])
            .then_some(id)
    }

    /// A body has waited for memory beyond the limit: its owner fails, so that the frames after it
    /// can be read.
    #[cold]
    pub(crate) fn give_up_spark_body(self: &Rc<Self>, side: &SparkState, head: &Head<'_>) {
        if let Some(of) = self.whole_of(side, &head.frame) {
            self.refuse_spark_body(side, of, head.body_len, true);
        }
        self.note_chunk_begun(side, &head.frame);
    }

    #[cold]
    pub(crate) fn refuse_spark_body(
        &self,
        side: &SparkState,
        of: WholeOf,
        len: u64,
        retryable: bool,
    ) {
        match of {
            WholeOf::Rpc { request_id } => {
                let id = self.enter_spark(side, WireId::Rpc { request_id });
                let code = match retryable {
                    true => FailureCode::Busy,
                    false => FailureCode::TooLarge,
                };
                let text = format!(
                    "no memory for a request of {len} bytes ({} there){}",
                    self.claim_key(len),
                    if retryable { "; ask again later" } else { "" }
                );
                self.answer_failure(id, &RpcFailure::new(code, text).with_retryable(retryable));
            }
            WholeOf::OneWay => self.warn_of_dropped(len),
            WholeOf::Answer { call } => self.let_go(call, len),
        }
    }

    /// A body is complete.
    pub(crate) fn finish_spark(self: &Rc<Self>, side: &SparkState, of: WholeOf, body: Lease) {
        match of {
            WholeOf::Rpc { request_id } => {
                self.accept_spark_rpc(side, request_id, ReceivedBytes::new(&body, &body));
            }
            WholeOf::OneWay => self.accept_one_way(ReceivedBytes::new(&body, &body)),
            WholeOf::Answer { call } => self.resolve_lease(call, body),
        }
    }

    /// Plans the destination of a body after its frame.
    pub(crate) fn plan_spark_pieces(
        self: &Rc<Self>,
        side: &SparkState,
        head: &Head<'_>,
    ) -> Result<Plan, Box<CloseReason>> {
        match &head.frame {
            Frame::UploadStream(upload) => {
                self.begin_spark_upload(side, upload.request_id, upload.meta, head.body_len)
            }
            _ => {
                let call = side.streams.borrow_mut().pop_front();
                if call.is_none() {
                    self.unasked("a stream");
                }
                let waits = call.filter(|&call| self.waits_for(call, &[CallKind::Stream]));
                Ok(waits.map_or(Plan::Nowhere, |call| {
                    Plan::Pieces(PiecesOf::Stream { call })
                }))
            }
        }
    }

    fn begin_spark_upload(
        self: &Rc<Self>,
        side: &SparkState,
        request_id: i64,
        meta: &[u8],
        total_len: u64,
    ) -> Result<Plan, Box<CloseReason>> {
        self.local
            .metrics
            .requests_in(RequestKind::Upload)
            .increment();
        let id = self.enter_spark(side, WireId::Rpc { request_id });
        if self.is_draining() {
            self.drop_spark_request(side, id);
            return Ok(Plan::Nowhere);
        }
        let connection = Connection::new(Rc::clone(self));
        let handler = self.handler();
        let start = UploadStart { meta, total_len };
        let sink = self.guarded(|| handler.receive_stream(&connection, start));
        match sink.unwrap_or_else(|| Err(panicked())) {
            Err(failure) => {
                self.answer_failure(id, &failure);
                if total_len > DROPPED_UPLOAD_LEN {
                    let text = "an upload was refused, and too much of it is still coming";
                    self.close_after_flush(CloseReason::Misbehaved(text.into()));
                }
                Ok(Plan::Nowhere)
            }
            Ok(sink) if !self.is_open() => {
                self.fail_upload_sink(sink, &self.closed_error());
                Ok(Plan::Nowhere)
            }
            Ok(sink) => {
                let entry = UploadIn {
                    sink: Some(sink),
                    assembly: Assembly::upload(total_len),
                    window: GrantWindow::new(self.local.conf.limits.initial_credit),
                    deadline_ns: u64::MAX,
                    grew_ns: self.local.now_ns(),
                };
                let before = self.inbound.borrow_mut().uploads.insert(id, entry);
                assert!(before.is_none(), "numbers of requests are not used twice");
                self.forecast.borrow_mut().begin();
                Ok(Plan::Pieces(PiecesOf::Upload { id }))
            }
        }
    }

    /// The longest piece that may be taken now, in bytes: a slow reader causes backpressure.
    pub(crate) fn piece_room(&self, of: PiecesOf) -> usize {
        let PiecesOf::Stream { call } = of else {
            return usize::MAX;
        };
        let mut calls = self.calls.borrow_mut();
        let Some(granted) = calls.bulk(call).map(|bulk| bulk.granted) else {
            return usize::MAX;
        };
        match calls.get(call).map(|call| &call.sink) {
            Some(ReplyTo::Stream(feed)) if !feed.has_room() => 0,
            _ => usize::try_from(granted).unwrap_or(usize::MAX),
        }
    }

    /// The next piece of a body after its frame.
    pub(crate) fn take_piece(self: &Rc<Self>, of: PiecesOf, piece: Lease) {
        match of {
            PiecesOf::Upload { id } => self.take_upload_piece(id, piece),
            PiecesOf::Stream { call } => self.take_stream_piece(call, piece),
        }
    }

    fn take_upload_piece(self: &Rc<Self>, id: u64, piece: Lease) {
        let mut inbound = self.inbound.borrow_mut();
        // Pieces of a failed upload are still arriving.
        let Some(upload) = inbound.uploads.get_mut(&id) else {
            return;
        };
        upload.grew_ns = self.local.turn_ns();
        let Some(mut sink) = upload.sink.take() else {
            return;
        };
        drop(inbound);
        match self.guarded(|| sink.on_data(piece)) {
            Some(Ok(())) => {
                let mut inbound = self.inbound.borrow_mut();
                if let Some(upload) = inbound.uploads.get_mut(&id) {
                    upload.sink = Some(sink);
                    return;
                }
                drop(inbound);
                // The handler has closed the connection itself.
                self.fail_upload_sink(sink, &self.closed_error());
            }
            failed => {
                self.end_upload(id);
                let failure = failed.and_then(Result::err).unwrap_or_else(panicked);
                self.answer_failure(id, &failure);
            }
        }
    }

    fn take_stream_piece(&self, call: u64, piece: Lease) {
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(call) else { return };
        // Spark's protocol has no credit frames: the grant is accounted on this side only.
        bulk.granted = bulk.granted.saturating_sub(piece.len() as u64);
        let full = match calls.get(call).map(|call| &call.sink) {
            Some(ReplyTo::Stream(feed)) => feed.push(piece).is_err(),
            _ => false,
        };
        drop(calls);
        if full {
            self.cancel(call);
        }
    }

    /// A body after its frame is complete.
    pub(crate) fn end_pieces(self: &Rc<Self>, of: PiecesOf) {
        match of {
            PiecesOf::Upload { id } => {
                if let Some(upload) = self.end_upload(id)
                    && let Some(sink) = upload.sink
                {
                    let reply = Responder::new(self, id, u64::MAX);
                    self.guarded(|| sink.on_complete(reply));
                }
            }
            PiecesOf::Stream { call } => {
                if let Some(ReplyTo::Stream(feed)) = self.forget(call) {
                    feed.end(Ok(()));
                }
            }
        }
    }
}
