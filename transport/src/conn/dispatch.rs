//! Frames from the wire: answers go to their sinks, requests to the handler.

use std::rc::Rc;

use ringrail_codec::archive::{FailureBody, Phase};
use ringrail_codec::native::{
    Assembly, Cancel, ChunkFailure, ChunkRequest, Credit, Drain, FailureCode, Flags, GrantWindow,
    Header, Kind, OneWay, Ping, Pong, RpcFailure as FailureFrame, RpcReply, RpcRequest, StreamData,
    StreamEnd, StreamFailure, StreamRequest, Upload, UploadData, UploadEnd,
};

use crate::buf::{Lease, ManagedBuffer};
use crate::client::Connection;
use crate::error::{CloseReason, RequestError, RpcFailure};
use crate::metrics::RequestKind;
use crate::server::{Responder, UploadStart};

use super::Conn;
use super::bulk::BodyPlan;
use super::gate::Held;
use super::inbound::UploadIn;
use super::received::Received;
use super::sink::Sink;
use super::transfer::{Carries, TransferKey};

type Handled = Result<(), Box<CloseReason>>;

#[cold]
fn broken(error: impl ToString) -> Box<CloseReason> {
    Box::new(CloseReason::Misbehaved(error.to_string()))
}

impl Conn {
    /// A frame whose whole body lies at `body`, a part of `source`.
    #[inline]
    pub(crate) fn on_frame(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        source: &Lease,
    ) -> Handled {
        self.local.metrics.frames_in.increment();
        if let Err(error) = header.check_body(body) {
            return self.damaged_in_place(header, &error.to_string());
        }
        self.dispatch_checked(header, body, source)
    }

    #[cold]
    fn damaged_in_place(self: &Rc<Self>, header: &Header, text: &str) -> Handled {
        self.damaged(header, text)
    }

    /// A frame whose checksum has been looked at.
    pub(crate) fn dispatch_checked(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        source: &Lease,
    ) -> Handled {
        let more = header.flags.contains(Flags::MORE);
        match header.kind {
            Kind::RpcReply if !more => {
                RpcReply::from_header(header).map_err(CloseReason::protocol)?;
                self.resolve_received(header.id, Received::new(body, source));
                Ok(())
            }
            Kind::RpcRequest if !more => {
                let frame = RpcRequest::from_header(header).map_err(CloseReason::protocol)?;
                if !self.begin_request(header) {
                    return Ok(());
                }
                let deadline_ns = deadline_from(self.local.now_ns(), frame.deadline_us);
                self.accept_rpc(frame.id, deadline_ns, Received::new(body, source));
                Ok(())
            }
            Kind::OneWay if !more => {
                OneWay::from_header(header).map_err(CloseReason::protocol)?;
                self.accept_one_way(Received::new(body, source));
                Ok(())
            }
            Kind::ChunkRequest | Kind::StreamRequest => {
                if !self.begin_request(header) {
                    return Ok(());
                }
                self.accept_frame(header, Received::new(body, source))
            }
            Kind::RpcReply | Kind::RpcRequest | Kind::OneWay | Kind::RpcSlice => {
                self.copy_part(header, body)
            }
            Kind::ChunkData => self.on_chunk_data(header, body, source),
            Kind::StreamData => self.on_stream_data(header, body, source),
            Kind::UploadData => self.on_upload_data(header, body, source),
            _ => self.on_rare_frame(header, body),
        }
    }

    fn on_rare_frame(self: &Rc<Self>, header: &Header, body: &[u8]) -> Handled {
        match header.kind {
            Kind::Upload => self.on_upload(header, body)?,
            Kind::UploadEnd => self.on_upload_end(header)?,
            Kind::StreamEnd => self.on_stream_end(header)?,
            Kind::RpcFailure | Kind::ChunkFailure | Kind::StreamFailure => {
                self.on_failure(header, body)?;
            }
            Kind::Credit => {
                let credit = Credit::from_header(header).map_err(CloseReason::protocol)?;
                self.on_credit(&credit);
            }
            Kind::Cancel => {
                let cancel = Cancel::from_header(header).map_err(CloseReason::protocol)?;
                self.on_cancel(cancel.id);
            }
            Kind::Drain => {
                let drain = Drain::from_header(header, body).map_err(CloseReason::protocol)?;
                self.on_drain(&drain);
            }
            Kind::Ping => {
                let ping = Ping::from_header(header).map_err(CloseReason::protocol)?;
                let pong = Pong {
                    opaque: ping.opaque,
                };
                self.control(&pong.header(), &[]);
            }
            Kind::Pong => {
                Pong::from_header(header).map_err(CloseReason::protocol)?;
            }
            _ => {
                return Err(broken(format!(
                    "a frame {:?} has no place here",
                    header.kind
                )));
            }
        }
        Ok(())
    }

    /// A small part of a larger body: copied to where it belongs.
    fn copy_part(self: &Rc<Self>, header: &Header, body: &[u8]) -> Handled {
        match self.plan_body(header)? {
            BodyPlan::Discard => Ok(()),
            BodyPlan::NoMemory => {
                self.give_up_body(header)?;
                Ok(())
            }
            BodyPlan::Into {
                mut buf,
                at,
                finish,
            } => {
                buf.buffer_mut()[at..at + body.len()].copy_from_slice(body);
                let metrics = &self.local.metrics;
                metrics.copies_coalesced.increment();
                metrics.copies_coalesced_bytes.add(body.len() as u64);
                self.finish_body(header, buf, at, finish)
            }
        }
    }

    fn on_chunk_data(self: &Rc<Self>, header: &Header, body: &[u8], source: &Lease) -> Handled {
        let more = header.flags.contains(Flags::MORE);
        if !body.is_empty() && (more || header.aux > 0) {
            return self.copy_part(header, body);
        }
        // Whole in one slice, or an announcement: nothing to put together.
        let Some((_, complete)) = self.accept_chunk(header)? else {
            return Ok(());
        };
        if complete {
            self.resolve_lease(header.id, self.keep(Received::new(body, source)));
        } else {
            self.grant_chunk(header.id);
        }
        Ok(())
    }

    fn on_stream_data(self: &Rc<Self>, header: &Header, body: &[u8], source: &Lease) -> Handled {
        let frame = StreamData::from_header(header).map_err(CloseReason::protocol)?;
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(frame.id) else {
            return Ok(());
        };
        let assembly = bulk.assembly.get_or_insert_with(Assembly::stream);
        assembly
            .stream_data(&frame, header.body_len)
            .map_err(broken)?;
        let (received, granted) = (assembly.received(), bulk.granted);
        if received > granted {
            return Err(broken(format!(
                "{received} stream bytes where {granted} were granted"
            )));
        }
        self.chunk_hint.set(self.chunk_hint.get().max(body.len()));
        let Some(call) = calls.get(frame.id) else {
            return Ok(());
        };
        let full = match &call.sink {
            Sink::Stream(feed) if !body.is_empty() => {
                feed.push(self.keep(Received::new(body, source))).is_err()
            }
            _ => false,
        };
        drop(calls);
        if full {
            self.cancel(frame.id);
        }
        Ok(())
    }

    fn on_stream_end(&self, header: &Header) -> Handled {
        let end = StreamEnd::from_header(header).map_err(CloseReason::protocol)?;
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(end.id) else {
            return Ok(());
        };
        let assembly = bulk.assembly.get_or_insert_with(Assembly::stream);
        assembly.stream_end(&end).map_err(broken)?;
        drop(calls);
        if let Some(Sink::Stream(feed)) = self.forget(end.id) {
            feed.end(Ok(()));
        }
        Ok(())
    }

    fn on_failure(&self, header: &Header, body: &[u8]) -> Handled {
        let (code, retryable) = match header.kind {
            Kind::RpcFailure => {
                FailureFrame::from_header(header).map(|frame| (frame.code, frame.retryable))
            }
            Kind::ChunkFailure => {
                ChunkFailure::from_header(header).map(|frame| (frame.code, frame.retryable))
            }
            _ => StreamFailure::from_header(header).map(|frame| (frame.code, frame.retryable)),
        }
        .map_err(CloseReason::protocol)?;
        let body = FailureBody::decode(code, retryable, body).map_err(broken)?;
        let failure = RpcFailure::from_body(body);
        let key = TransferKey::of_ours(header.id);
        let unsent = self.tx.borrow_mut().transfers.take(key);
        drop(unsent);
        let peer = self.peer.clone();
        self.resolve_failure(header.id, RequestError::Remote { peer, failure });
        Ok(())
    }

    fn on_credit(&self, credit: &Credit) {
        let key = if credit.by_responder {
            TransferKey::of_ours(credit.id)
        } else {
            TransferKey::of_peer(credit.id)
        };
        if self.tx.borrow_mut().transfers.grant(key, credit.bytes) {
            self.mark_dirty();
        }
    }

    fn on_cancel(&self, id: u64) {
        self.local.metrics.requests_cancelled.increment();
        let unsent = self
            .tx
            .borrow_mut()
            .transfers
            .take(TransferKey::of_peer(id));
        let streams: Vec<u64> = unsent.iter().filter_map(|it| it.stream()).collect();
        // A large reply was counted out when it was given.
        let counted = unsent.iter().filter(|it| it.carries != Carries::Reply);
        let mut ended = counted.count();
        let upload = self.end_upload(id);
        let mut inbound = self.inbound.borrow_mut();
        ended += usize::from(upload.is_some()) + usize::from(inbound.retract(id));
        inbound.active = inbound.active.saturating_sub(ended);
        drop(inbound);
        if let Some(sink) = upload.and_then(|upload| upload.sink) {
            self.fail_upload_sink(sink, &RequestError::Cancelled);
        }
        self.chunks_sent(&streams);
        self.note_end();
    }

    /// Tells the stream manager of chunks that have left, or will not.
    pub(crate) fn chunks_sent(&self, streams: &[u64]) {
        if streams.is_empty() {
            return;
        }
        let handler = self.handler();
        if let Some(manager) = handler.stream_manager() {
            for &stream in streams {
                manager.chunk_sent(stream);
            }
        }
    }

    /// Counts a request in; false where the peer has more outstanding than it was told, and this one
    /// was refused.
    #[inline]
    pub(crate) fn begin_request(&self, header: &Header) -> bool {
        let mut inbound = self.inbound.borrow_mut();
        inbound.active += 1;
        let fits = inbound.active <= self.local.conf.limits.max_outstanding as usize;
        drop(inbound);
        self.last_request_id.set(header.id);
        self.note_use();
        if !fits {
            self.refuse_beyond(header);
        }
        fits
    }

    #[cold]
    fn refuse_beyond(&self, header: &Header) {
        let limit = self.local.conf.limits.max_outstanding;
        let text = format!(
            "more than {limit} requests outstanding (ringrail.transport.maxOutstanding there)"
        );
        let failure = RpcFailure::in_phase(FailureCode::Busy, Phase::Receive, text);
        let failure = failure.with_retryable(true);
        self.answer_failure_as(failure_kind(header.kind), header.id, &failure);
    }

    /// Takes in an RPC, whole: its handler gets it now, or when there is room for its answer.
    #[inline]
    pub(crate) fn accept_rpc(self: &Rc<Self>, id: u64, deadline_ns: u64, body: Received<'_>) {
        self.local.metrics.requests_in_rpc.increment();
        self.note_rpc();
        if self.is_draining() {
            return self.refuse_draining(Kind::RpcFailure, id);
        }
        if self.holds_back() {
            let (source, body) = (body.source(), body.keep());
            let held = Held::Rpc {
                id,
                deadline_ns,
                body,
            };
            return self.hold(held, source);
        }
        self.handle_rpc(id, deadline_ns, body);
    }

    pub(crate) fn accept_one_way(self: &Rc<Self>, body: Received<'_>) {
        self.local.metrics.requests_in_one_way.increment();
        self.note_use();
        if self.holds_back() {
            let (source, body) = (body.source(), body.keep());
            return self.hold(Held::OneWay { body }, source);
        }
        self.handle_one_way(body);
    }

    fn accept_frame(self: &Rc<Self>, header: &Header, body: Received<'_>) -> Handled {
        let arrived_ns = self.local.now_ns();
        if self.is_draining() {
            self.refuse_draining(failure_kind(header.kind), header.id);
            return Ok(());
        }
        if self.holds_back() {
            let (source, body, header) = (body.source(), body.keep(), *header);
            let held = Held::Frame {
                header,
                body,
                arrived_ns,
            };
            self.hold(held, source);
            return Ok(());
        }
        self.serve_frame(header, body.bytes(), arrived_ns)
    }

    /// Answers a request for a chunk or a stream.
    pub(crate) fn serve_frame(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        arrived_ns: u64,
    ) -> Handled {
        match header.kind {
            Kind::ChunkRequest => self.on_chunk_request(header, body, arrived_ns),
            _ => self.on_stream_request(header, body, arrived_ns),
        }
    }

    #[inline]
    pub(crate) fn handle_rpc(self: &Rc<Self>, id: u64, deadline_ns: u64, body: Received<'_>) {
        let handler = self.handler();
        let connection = Connection::new(Rc::clone(self));
        let reply = Responder::new(self, id, deadline_ns);
        if self
            .guarded(|| handler.receive(&connection, body, reply))
            .is_none()
        {
            self.answer_panicked(id);
        }
    }

    /// The responder was dropped in the unwinding, and answered that nobody replied: this is what
    /// counts the panic as the cause where it did not.
    #[cold]
    fn answer_panicked(&self, id: u64) {
        tracing::warn!(target: "ringrail::conn", peer = %self.peer, id, "request lost in a panic");
    }

    pub(crate) fn handle_one_way(self: &Rc<Self>, body: Received<'_>) {
        let handler = self.handler();
        let connection = Connection::new(Rc::clone(self));
        self.guarded(|| handler.receive_one_way(&connection, body));
    }

    fn on_chunk_request(self: &Rc<Self>, header: &Header, body: &[u8], arrived_ns: u64) -> Handled {
        let request = ChunkRequest::from_header(header, body).map_err(CloseReason::protocol)?;
        self.local
            .metrics
            .requests_in(RequestKind::Chunk)
            .increment();
        let deadline_ns = deadline_from(arrived_ns, request.deadline_us);
        if self.drops_overdue(deadline_ns) {
            return Ok(());
        }
        let connection = Connection::new(Rc::clone(self));
        let handler = self.handler();
        let (stream, index) = (request.stream_id, request.chunk_index);
        let chunk = self.guarded(|| match handler.stream_manager() {
            None => Err(RpcFailure::new(
                FailureCode::Unsupported,
                "this server has no streams",
            )),
            Some(manager) => manager
                .check_authorization(&connection, stream)
                .and_then(|()| manager.get_chunk(&connection, stream, index)),
        });
        match chunk
            .unwrap_or_else(|| Err(panicked()))
            .and_then(|data| range_of(data, &request))
        {
            Ok(data) => {
                if let Some(manager) = handler.stream_manager() {
                    manager.chunk_being_sent(stream);
                }
                let carries = Carries::Chunk { stream };
                self.push_transfer(request.id, carries, data, request.credit, deadline_ns);
            }
            Err(failure) => self.answer_failure_as(Kind::ChunkFailure, request.id, &failure),
        }
        Ok(())
    }

    fn on_stream_request(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        arrived_ns: u64,
    ) -> Handled {
        let request = StreamRequest::from_header(header, body).map_err(CloseReason::protocol)?;
        self.local
            .metrics
            .requests_in(RequestKind::Stream)
            .increment();
        let deadline_ns = deadline_from(arrived_ns, request.deadline_us);
        if self.drops_overdue(deadline_ns) {
            return Ok(());
        }
        let connection = Connection::new(Rc::clone(self));
        let handler = self.handler();
        let data = self.guarded(|| match handler.stream_manager() {
            None => Err(RpcFailure::new(
                FailureCode::Unsupported,
                "this server has no streams",
            )),
            Some(manager) => manager.open_stream(&connection, request.name),
        });
        let data = data
            .unwrap_or_else(|| Err(panicked()))
            .and_then(|data| match data {
                None => {
                    let text = format!("Stream '{}' was not found.", request.name);
                    Err(RpcFailure::new(FailureCode::NotFound, text))
                }
                Some(data) if request.offset > data.len() => {
                    let text = format!("offset {} of {} bytes", request.offset, data.len());
                    Err(RpcFailure::new(FailureCode::InvalidArgument, text))
                }
                Some(data) => Ok(data.slice(request.offset, data.len() - request.offset)),
            });
        match data {
            Ok(data) => {
                self.push_transfer(
                    request.id,
                    Carries::Stream,
                    data,
                    request.credit,
                    deadline_ns,
                );
            }
            Err(failure) => self.answer_failure_as(Kind::StreamFailure, request.id, &failure),
        }
        Ok(())
    }

    fn on_upload(self: &Rc<Self>, header: &Header, meta: &[u8]) -> Handled {
        let upload = Upload::from_header(header).map_err(CloseReason::protocol)?;
        self.local
            .metrics
            .requests_in(RequestKind::Upload)
            .increment();
        if !self.begin_request(header) {
            return Ok(());
        }
        if self.is_draining() {
            self.refuse_draining(Kind::RpcFailure, upload.id);
            return Ok(());
        }
        let connection = Connection::new(Rc::clone(self));
        let handler = self.handler();
        let start = UploadStart {
            meta,
            total_len: upload.total_len,
        };
        let sink = self.guarded(|| handler.receive_stream(&connection, start));
        match sink.unwrap_or_else(|| Err(panicked())) {
            Err(failure) => self.answer_failure(upload.id, &failure),
            Ok(sink) => {
                let entry = UploadIn {
                    sink: Some(sink),
                    assembly: Assembly::upload(upload.total_len),
                    window: GrantWindow::new(self.local.conf.limits.initial_credit),
                    deadline_ns: deadline_from(self.local.now_ns(), upload.deadline_us),
                };
                let mut inbound = self.inbound.borrow_mut();
                if inbound.uploads.insert(upload.id, entry).is_some() {
                    return Err(broken("an upload under an id that is in use"));
                }
                drop(inbound);
                self.bulk_expected.set(self.bulk_expected.get() + 1);
            }
        }
        Ok(())
    }

    fn on_upload_data(self: &Rc<Self>, header: &Header, body: &[u8], source: &Lease) -> Handled {
        let frame = UploadData::from_header(header).map_err(CloseReason::protocol)?;
        let mut inbound = self.inbound.borrow_mut();
        // Slices of an upload that was refused are still on their way.
        let Some(upload) = inbound.uploads.get_mut(&frame.id) else {
            return Ok(());
        };
        upload
            .assembly
            .upload_data(&frame, header.body_len)
            .map_err(broken)?;
        upload
            .window
            .receive(u64::from(header.body_len))
            .map_err(broken)?;
        let Some(mut sink) = upload.sink.take() else {
            return Ok(());
        };
        drop(inbound);
        self.chunk_hint.set(self.chunk_hint.get().max(body.len()));
        let lease = self.keep(Received::new(body, source));
        let taken = self
            .guarded(|| sink.on_data(lease))
            .unwrap_or_else(|| Err(panicked()));
        if let Err(failure) = taken {
            self.end_upload(frame.id);
            self.answer_failure(frame.id, &failure);
            return Ok(());
        }
        let mut inbound = self.inbound.borrow_mut();
        let Some(upload) = inbound.uploads.get_mut(&frame.id) else {
            return Ok(());
        };
        upload.sink = Some(sink);
        let grant = upload.window.release(u64::from(header.body_len));
        drop(inbound);
        if let Some(bytes) = grant {
            self.control(
                &Credit {
                    id: frame.id,
                    bytes,
                    by_responder: true,
                }
                .header(),
                &[],
            );
        }
        Ok(())
    }

    fn on_upload_end(self: &Rc<Self>, header: &Header) -> Handled {
        let end = UploadEnd::from_header(header).map_err(CloseReason::protocol)?;
        let mut inbound = self.inbound.borrow_mut();
        let Some(upload) = inbound.uploads.get_mut(&end.id) else {
            return Ok(());
        };
        upload.assembly.upload_end(&end).map_err(broken)?;
        drop(inbound);
        if let Some(upload) = self.end_upload(end.id)
            && let Some(sink) = upload.sink
        {
            let reply = Responder::new(self, end.id, upload.deadline_ns);
            self.guarded(|| sink.on_complete(reply));
        }
        Ok(())
    }

    fn end_upload(&self, id: u64) -> Option<UploadIn> {
        let upload = self.inbound.borrow_mut().uploads.remove(&id)?;
        self.bulk_expected
            .set(self.bulk_expected.get().saturating_sub(1));
        Some(upload)
    }

    /// Ends an upload that nobody waits for any more.
    pub(super) fn drop_upload(&self, id: u64) {
        let Some(upload) = self.end_upload(id) else {
            return;
        };
        self.answered();
        if let Some(sink) = upload.sink {
            self.fail_upload_sink(sink, &RequestError::Cancelled);
        }
    }

    pub(crate) fn fail_upload(self: &Rc<Self>, id: u64, code: FailureCode, text: &str) {
        let Some(upload) = self.end_upload(id) else {
            return;
        };
        self.answer_failure(id, &RpcFailure::new(code, text));
        if let Some(sink) = upload.sink {
            let peer = self.peer.clone();
            self.fail_upload_sink(
                sink,
                &RequestError::Damaged {
                    peer,
                    detail: text.into(),
                },
            );
        }
    }

    fn fail_upload_sink(&self, mut sink: Box<dyn crate::server::UploadSink>, error: &RequestError) {
        self.guarded(|| sink.on_failure(error));
    }

    /// Answers a request with a failure.
    pub(crate) fn answer_failure(&self, id: u64, failure: &RpcFailure) {
        self.answer_failure_as(Kind::RpcFailure, id, failure);
    }

    pub(crate) fn answer_failure_as(&self, kind: Kind, id: u64, failure: &RpcFailure) {
        if !self.answered() {
            return;
        }
        let (code, retryable) = (failure.code(), failure.retryable());
        let mut text = failure.body().clone();
        text.bound(self.local.conf.limits.max_failure_len as usize);
        let mut body = Vec::new();
        // A failure that cannot be archived still goes out, by its code alone.
        let _ = ringrail_codec::archive::encode_to_vec(&text, &mut body);
        let len = body.len() as u32;
        let header = match kind {
            Kind::ChunkFailure => ChunkFailure {
                id,
                code,
                retryable,
            }
            .header(len),
            Kind::StreamFailure => StreamFailure {
                id,
                code,
                retryable,
            }
            .header(len),
            _ => FailureFrame {
                id,
                code,
                retryable,
            }
            .header(len),
        };
        self.control(&header, &body);
    }

    /// Counts a request out; false where the connection is over.
    #[inline]
    pub(crate) fn answered(&self) -> bool {
        let mut inbound = self.inbound.borrow_mut();
        inbound.active = inbound.active.saturating_sub(1);
        drop(inbound);
        self.note_end();
        self.is_open()
    }
}

/// The kind of frame that refuses a request of this kind.
pub(super) fn failure_kind(request: Kind) -> Kind {
    match request {
        Kind::ChunkRequest => Kind::ChunkFailure,
        Kind::StreamRequest => Kind::StreamFailure,
        _ => Kind::RpcFailure,
    }
}

/// When a deadline that came in a frame is over.
#[inline]
pub(crate) fn deadline_from(arrived_ns: u64, deadline_us: u32) -> u64 {
    match deadline_us {
        0 => u64::MAX,
        us => arrived_ns.saturating_add(u64::from(us) * 1000),
    }
}

fn panicked() -> RpcFailure {
    RpcFailure::new(
        FailureCode::HandlerPanicked,
        "the handler panicked; its log says why",
    )
}

fn range_of(data: ManagedBuffer, request: &ChunkRequest) -> Result<ManagedBuffer, RpcFailure> {
    let len = data.len();
    if request.offset > len {
        let text = format!("offset {} of a chunk of {len} bytes", request.offset);
        return Err(RpcFailure::new(FailureCode::InvalidArgument, text));
    }
    Ok(data.slice(request.offset, request.max_len.min(len - request.offset)))
}
