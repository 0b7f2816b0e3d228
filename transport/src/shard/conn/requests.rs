//! Requests of the peer: counted, held back while answers accumulate, given to the handler.

use std::rc::Rc;

use ringrail_codec::archive::Phase;
use ringrail_codec::native::{ChunkRequest, FailureCode, Header, Kind, StreamRequest};

use crate::buf::ManagedBuffer;
use crate::conn::deadlines::deadline_from;
use crate::error::{CloseReason, RpcFailure};
use crate::metrics::RequestKind;
use crate::shard::conn::user::Connection;
use crate::shard::conn::user::Responder;

use super::Conn;
use super::dispatch::Handled;
use super::failures::{failure_kind, panicked};
use super::received::ReceivedBytes;
use crate::conn::request_queue::Queued;
use crate::conn::transfer::Carries;

impl Conn {
    /// Counts a request; false if the peer exceeded the announced number of requests, and this one
    /// was refused.
    #[inline(always)]
    pub(crate) fn begin_request(&self, header: &Header) -> bool {
        let mut inbound = self.inbound.borrow_mut();
        inbound.active += 1;
        inbound.last_id = header.id;
        let fits = inbound.active <= self.local.conf.limits.max_outstanding as usize;
        drop(inbound);
        self.note_use();
        if !fits {
            self.refuse_beyond(*header);
        }
        fits
    }

    #[cold]
    fn refuse_beyond(&self, header: Header) {
        let limit = self.local.conf.limits.max_outstanding;
        let text = format!(
            "more than {limit} requests outstanding (ringrail.transport.maxOutstanding there)"
        );
        let failure = RpcFailure::in_phase(FailureCode::Busy, Phase::Receive, text);
        let failure = failure.with_retryable(true);
        self.answer_failure_as(failure_kind(header.kind), header.id, &failure);
    }

    /// Handles a complete RPC: now, or when there is space for its answer.
    #[inline(always)]
    pub(crate) fn accept_rpc(self: &Rc<Self>, id: u64, deadline_ns: u64, body: ReceivedBytes<'_>) {
        self.local.metrics.requests_in_rpc.increment();
        self.note_rpc();
        if self.is_draining() {
            return self.refuse_draining(Kind::RpcFailure, id);
        }
        if self.queues_requests() {
            let (source, body) = (body.source(), body.keep());
            let held = Queued::Rpc {
                id,
                deadline_ns,
                body,
            };
            return self.queue_request(held, source);
        }
        self.handle_rpc(id, deadline_ns, body);
    }

    pub(crate) fn accept_one_way(self: &Rc<Self>, body: ReceivedBytes<'_>) {
        self.local.metrics.requests_in_one_way.increment();
        self.note_use();
        if self.queues_requests() {
            let (source, body) = (body.source(), body.keep());
            return self.queue_request(Queued::OneWay { body }, source);
        }
        self.handle_one_way(body);
    }

    pub(super) fn accept_frame(
        self: &Rc<Self>,
        header: &Header,
        body: ReceivedBytes<'_>,
    ) -> Handled {
        let arrived_ns = self.local.now_ns();
        let kind = match header.kind {
            Kind::ChunkRequest => RequestKind::Chunk,
            _ => RequestKind::Stream,
        };
        self.local.metrics.requests_in(kind).increment();
        if self.is_draining() {
            self.refuse_draining(failure_kind(header.kind), header.id);
            return Ok(());
        }
        if self.queues_requests() {
            let (source, body, header) = (body.source(), body.keep(), *header);
            let held = Queued::Frame {
                header,
                body,
                arrived_ns,
            };
            self.queue_request(held, source);
            return Ok(());
        }
        self.serve_frame(header, body, arrived_ns)
    }

    /// Answers a request for a chunk or a stream.
    pub(crate) fn serve_frame(
        self: &Rc<Self>,
        header: &Header,
        body: ReceivedBytes<'_>,
        arrived_ns: u64,
    ) -> Handled {
        match header.kind {
            Kind::ChunkRequest => self.on_chunk_request(header, body, arrived_ns),
            _ => self.on_stream_request(header, body, arrived_ns),
        }
    }

    #[inline(always)]
    pub(crate) fn handle_rpc(self: &Rc<Self>, id: u64, deadline_ns: u64, body: ReceivedBytes<'_>) {
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

    /// The responder was dropped during unwinding, and answered that the handler did not reply:
    /// this counts the panic as the cause if it was not counted yet.
    #[cold]
    fn answer_panicked(&self, id: u64) {
        tracing::warn!(target: "ringrail::conn", peer = %self.peer, id, "request lost in a panic");
    }

    pub(crate) fn handle_one_way(self: &Rc<Self>, body: ReceivedBytes<'_>) {
        let handler = self.handler();
        let connection = Connection::new(Rc::clone(self));
        self.guarded(|| handler.receive_one_way(&connection, body));
    }

    fn on_chunk_request(
        self: &Rc<Self>,
        header: &Header,
        body: ReceivedBytes<'_>,
        arrived_ns: u64,
    ) -> Handled {
        let request = ChunkRequest::from_header(header, body.bytes());
        let request = request.map_err(CloseReason::protocol)?;
        let deadline_ns = deadline_from(arrived_ns, request.deadline_us);
        if self.drops_overdue(deadline_ns) {
            return Ok(());
        }
        if !self.admit_body(Kind::ChunkFailure, request.id)? {
            return Ok(());
        }
        let stream = request.stream_id;
        match self
            .find_chunk(stream, request.chunk_index)
            .and_then(|data| range_of(data, &request))
        {
            Ok(data) => {
                if let Some(manager) = self.handler().stream_manager() {
                    manager.chunk_being_sent(stream);
                }
                let carries = Carries::Chunk { stream };
                let summed = self.sends_crc() && !request.unsummed;
                let body = (request.id, carries);
                self.push_body(body, data, (request.credit, deadline_ns), summed);
            }
            Err(_) if self.is_paused() => self.keep_frame(header, body, arrived_ns),
            Err(failure) => self.answer_failure_as(Kind::ChunkFailure, request.id, &failure),
        }
        Ok(())
    }

    /// A chunk of a stream, if this peer may read it.
    pub(super) fn find_chunk(
        self: &Rc<Self>,
        stream: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        let connection = Connection::new(Rc::clone(self));
        let handler = self.handler();
        let chunk = self.guarded(|| match handler.stream_manager() {
            None => Err(no_streams()),
            Some(manager) => manager
                .check_authorization(&connection, stream)
                .and_then(|()| manager.get_chunk(&connection, stream, index)),
        });
        chunk.unwrap_or_else(|| Err(panicked()))
    }

    fn on_stream_request(
        self: &Rc<Self>,
        header: &Header,
        body: ReceivedBytes<'_>,
        arrived_ns: u64,
    ) -> Handled {
        let request = StreamRequest::from_header(header, body.bytes());
        let request = request.map_err(CloseReason::protocol)?;
        let deadline_ns = deadline_from(arrived_ns, request.deadline_us);
        if self.drops_overdue(deadline_ns) {
            return Ok(());
        }
        if !self.admit_body(Kind::StreamFailure, request.id)? {
            return Ok(());
        }
        match self.find_stream(request.name, request.offset) {
            Ok(data) => {
                self.push_transfer(
                    request.id,
                    Carries::Stream,
                    data,
                    request.credit,
                    deadline_ns,
                );
            }
            Err(_) if self.is_paused() => self.keep_frame(header, body, arrived_ns),
            Err(failure) => self.answer_failure_as(Kind::StreamFailure, request.id, &failure),
        }
        Ok(())
    }

    /// Holds a request whose handler has paused the connection.
    #[cold]
    fn keep_frame(&self, header: &Header, body: ReceivedBytes<'_>, arrived_ns: u64) {
        self.queue_first(Queued::Frame {
            header: *header,
            body: self.keep(body),
            arrived_ns,
        });
    }

    /// Looks up the stream `name` and returns its content from `offset` (bytes) on.
    pub(super) fn find_stream(
        self: &Rc<Self>,
        name: &str,
        offset: u64,
    ) -> Result<ManagedBuffer, RpcFailure> {
        let connection = Connection::new(Rc::clone(self));
        let handler = self.handler();
        let found = self.guarded(|| match handler.stream_manager() {
            None => Err(no_streams()),
            Some(manager) => manager.open_stream(&connection, name),
        });
        match found.unwrap_or_else(|| Err(panicked()))? {
            None => {
                let text = format!("Stream '{name}' was not found.");
                Err(RpcFailure::new(FailureCode::NotFound, text))
            }
            Some(data) if offset > data.len() => {
                let text = format!("offset {offset} of {} bytes", data.len());
                Err(RpcFailure::new(FailureCode::InvalidArgument, text))
            }
            Some(data) => Ok(data.slice(offset, data.len() - offset)),
        }
    }
}

fn range_of(data: ManagedBuffer, request: &ChunkRequest) -> Result<ManagedBuffer, RpcFailure> {
    let len = data.len();
    if request.offset > len {
        let text = format!("offset {} of a chunk of {len} bytes", request.offset);
        return Err(RpcFailure::new(FailureCode::InvalidArgument, text));
    }
    let part = data.slice(request.offset, request.max_len.min(len - request.offset));
    assert!(
        part.len() <= request.max_len,
        "a part is longer than was asked for"
    );
    Ok(part)
}

fn no_streams() -> RpcFailure {
    RpcFailure::new(FailureCode::Unsupported, "this server has no streams")
}
