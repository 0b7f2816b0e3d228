//! Requests of this side: taken in, written out, timed, resolved.

use std::rc::Rc;
use std::time::Duration;

use ringrail_codec::archive::{Encode, encode_into};
use ringrail_codec::native::{
    Cancel, ChunkRequest, Credit, HEADER_LEN, OneWay, RpcRequest, StreamRequest, Upload,
    deadline_us,
};

use crate::buf::{Body, Lease, ManagedBuffer};
use crate::error::{Reached, RequestError};
use crate::metrics::RequestKind;
use crate::shard::local::TimerFor;

use super::calls::{CallKind, Due};
use super::received::Received;
use super::sink::{Outcome, Sink};
use super::transfer::{Carries, Transfer, TransferKey};
use super::tx::NoMemory;
use super::{Conn, State};
use crate::conn::received::Reply;

/// The body of an RPC.
#[derive(Debug)]
pub(crate) enum RpcBody<'a> {
    /// Copied behind its header.
    Copied(&'a [u8]),
    /// Sent from where it lies.
    Shared(Body),
}

impl RpcBody<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            RpcBody::Copied(bytes) => bytes.len(),
            RpcBody::Shared(body) => body.len(),
        }
    }
}

/// A timeout in the units that a request needs it in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    ns: u64,
    us: u32,
    ms: u32,
}

impl Timeout {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            ns: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
            us: deadline_us(Some(timeout)),
            ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        }
    }
}

impl Conn {
    #[inline]
    fn timeout(&self, timeout: Option<Duration>) -> Timeout {
        timeout.map_or(self.default_timeout, Timeout::new)
    }

    #[inline]
    fn due(&self, timeout: Timeout) -> Due {
        let deadline_ns = self.local.now_ns().saturating_add(timeout.ns);
        Due {
            deadline_ns,
            timeout_ms: timeout.ms,
        }
    }

    /// Sees that a timer fires no later than `deadline_ns`. One timer serves all requests of a
    /// connection: with equal timeouts it is set once per timeout, not once per request.
    #[inline]
    fn expect_by(&self, deadline_ns: u64) {
        if deadline_ns < self.call_timer_ns.get() {
            self.set_call_timer(Some(deadline_ns));
        }
    }

    #[cold]
    fn set_call_timer(&self, deadline_ns: Option<u64>) {
        if let Some(timer) = self.call_timer.take() {
            self.local.cancel_timer(timer);
        }
        let after =
            deadline_ns.map(|at| Duration::from_nanos(at.saturating_sub(self.local.now_ns())));
        let timer = after.and_then(|after| self.local.set_timer(after, TimerFor::Calls(self.key)));
        self.call_timer_ns.set(timer.map_or(u64::MAX, |(_, at)| at));
        self.call_timer.set(timer.map(|(key, _)| key));
    }

    /// Sends a request that wants a reply.
    #[inline]
    pub(crate) fn send_rpc(
        &self,
        body: RpcBody<'_>,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> Sink,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        self.admit()?;
        self.check_rpc_len(body.len())?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Rpc, sink, self.due(timeout));
        let deadline_us = timeout.us;
        let len = body.len();
        let request = RpcRequest {
            id,
            total_len: len as u64,
            deadline_us,
        };
        let carries = Carries::Request { deadline_us };
        let written = self.write_rpc(id, carries, body, |body_len| request.header(body_len));
        self.sent_request(id, written, timeout, RequestKind::Rpc)
    }

    /// Sends a request whose body is the archive of `value`, serialised in the send buffer.
    pub(crate) fn send_archive(
        &self,
        value: &impl Encode,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> Sink,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        self.admit()?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Rpc, sink, self.due(timeout));
        let deadline_us = timeout.us;
        let written = self.write_archive(value, |len| {
            RpcRequest {
                id,
                total_len: u64::from(len),
                deadline_us,
            }
            .header(len)
        });
        match written {
            Ok(true) => self.sent_request(id, Ok(()), timeout, RequestKind::Rpc),
            Err(NoMemory) => self.sent_request(id, Err(NoMemory), timeout, RequestKind::Rpc),
            Ok(false) => self.send_large_archive(id, value, timeout),
        }
    }

    /// Serialises into the send buffer; false where the archive is too large for that.
    pub(crate) fn write_archive(
        &self,
        value: &impl Encode,
        header: impl FnOnce(u32) -> ringrail_codec::native::Header,
    ) -> Result<bool, NoMemory> {
        let max = self.local.conf.inline_max;
        self.tx
            .borrow_mut()
            .frame_with(&self.local.pool, max, |room| {
                let len = encode_into(value, room).ok()?;
                Some(header(len as u32))
            })
    }

    #[cold]
    fn send_large_archive(
        &self,
        id: u64,
        value: &impl Encode,
        timeout: Timeout,
    ) -> Result<u64, RequestError> {
        let body = match self.encode_large(value) {
            Ok(body) => body,
            Err(error) => return Ok(self.refuse_later(id, error)),
        };
        let len = body.len();
        if let Err(error) = self.check_rpc_len(len) {
            return Ok(self.refuse_later(id, error));
        }
        let deadline_us = timeout.us;
        let request = RpcRequest {
            id,
            total_len: len as u64,
            deadline_us,
        };
        let carries = Carries::Request { deadline_us };
        let body = RpcBody::Shared(body);
        let written = self.write_rpc(id, carries, body, |body_len| request.header(body_len));
        self.sent_request(id, written, timeout, RequestKind::Rpc)
    }

    /// Serialises an archive that is too large for the send buffer into memory of its own.
    pub(crate) fn encode_large(&self, value: &impl Encode) -> Result<Body, RequestError> {
        let mut bytes = Vec::new();
        ringrail_codec::archive::encode_to_vec(value, &mut bytes)
            .map_err(|_| self.busy_memory())?;
        Ok(Body::Bytes(bytes.into()))
    }

    /// Sends a message that wants no reply.
    pub(crate) fn send_one_way(&self, body: RpcBody<'_>) -> Result<(), RequestError> {
        self.admit()?;
        self.check_rpc_len(body.len())?;
        self.admit_message(body.len())?;
        let id = self.calls.borrow_mut().fresh_id();
        let message = OneWay {
            id,
            total_len: body.len() as u64,
        };
        self.write_rpc(id, Carries::OneWay, body, |body_len| {
            message.header(body_len)
        })
        .map_err(|NoMemory| self.busy_memory())?;
        self.local
            .metrics
            .requests_out(RequestKind::OneWay)
            .increment();
        self.local.metrics.frames_out.increment();
        self.note_use();
        self.mark_dirty();
        Ok(())
    }

    /// As [`send_one_way`](Self::send_one_way), with the archive of `value`, serialised in the send
    /// buffer.
    pub(crate) fn send_archive_one_way(&self, value: &impl Encode) -> Result<(), RequestError> {
        self.admit()?;
        let id = self.calls.borrow_mut().fresh_id();
        let written = self.write_archive(value, |len| {
            let total_len = u64::from(len);
            OneWay { id, total_len }.header(len)
        });
        if !written.map_err(|NoMemory| self.busy_memory())? {
            let body = self.encode_large(value)?;
            return self.send_one_way(RpcBody::Shared(body));
        }
        self.local
            .metrics
            .requests_out(RequestKind::OneWay)
            .increment();
        self.mark_dirty();
        Ok(())
    }

    /// Asks for a chunk of a stream, from `offset` on, at most `max_len` bytes. `hint` is how long
    /// it probably is: memory for that is leased before the request leaves.
    pub(crate) fn fetch_chunk(
        &self,
        (stream_id, chunk_index): (u64, u32),
        (offset, max_len): (u64, u64),
        hint: Option<u64>,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> Sink,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        self.admit()?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Chunk, sink, self.due(timeout));
        let credit = self.lease_for_chunk(id, hint, max_len);
        let deadline_us = timeout.us;
        let request = ChunkRequest {
            id,
            stream_id,
            chunk_index,
            offset,
            max_len,
            credit,
            deadline_us,
        };
        let mut tx = self.tx.borrow_mut();
        let written = tx.frame(&self.local.pool, &request.header(), &request.body());
        drop(tx);
        self.bulk_expected.set(self.bulk_expected.get() + 1);
        self.sent_request(id, written, timeout, RequestKind::Chunk)
    }

    /// Asks for a stream by name, from `offset` on, granting `credit` bytes at first.
    pub(crate) fn open_stream(
        &self,
        name: &str,
        offset: u64,
        credit: u64,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> Sink,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        let limit = self.local.conf.limits.max_stream_name_len as usize;
        self.admit()?;
        self.check_len(
            name.len(),
            limit as u64,
            "ringrail.transport.maxStreamNameLen",
        )?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Stream, sink, self.due(timeout));
        if let Some(bulk) = self.calls.borrow_mut().bulk(id) {
            bulk.granted = credit;
        }
        let deadline_us = timeout.us;
        let request = StreamRequest {
            id,
            offset,
            deadline_us,
            credit,
            name,
        };
        let room = name.len() + 2 * HEADER_LEN;
        let written = self
            .tx
            .borrow_mut()
            .frame_with(&self.local.pool, room, |body| {
                request.encode_body(body).ok().map(|_| request.header())
            });
        self.bulk_expected.set(self.bulk_expected.get() + 1);
        self.sent_request(id, written.map(|_| ()), timeout, RequestKind::Stream)
    }

    /// Sends `data` as an upload with `meta` in front (Spark: `uploadStream`).
    pub(crate) fn upload(
        &self,
        meta: &[u8],
        data: ManagedBuffer,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> Sink,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        let limit = u64::from(self.local.conf.limits.max_meta_len);
        self.admit()?;
        self.check_len(meta.len(), limit, "ringrail.transport.maxMetaLen")?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Upload, sink, self.due(timeout));
        let deadline_us = timeout.us;
        let head = Upload {
            id,
            total_len: data.len(),
            deadline_us,
        }
        .header(meta.len() as u32);
        let written = self.tx.borrow_mut().frame(&self.local.pool, &head, meta);
        if written.is_ok() {
            self.push_transfer(id, Carries::Upload, data, self.peer_credit(), u64::MAX);
        }
        self.sent_request(id, written, timeout, RequestKind::Upload)
    }

    fn peer_credit(&self) -> u64 {
        self.terms.get().initial_credit
    }

    pub(crate) fn push_transfer(
        &self,
        id: u64,
        carries: Carries,
        data: ManagedBuffer,
        credit: u64,
        deadline_ns: u64,
    ) {
        let slice_max = self.local.conf.slice_len.min(self.terms.get().max_body_len);
        let transfer = Transfer::new(id, carries, data, slice_max, credit, deadline_ns);
        self.tx.borrow_mut().transfers.push(transfer);
        self.mark_dirty();
    }

    /// Writes the body of a request, reply or one-way message in the way that suits its size.
    #[inline]
    pub(crate) fn write_rpc(
        &self,
        id: u64,
        carries: Carries,
        body: RpcBody<'_>,
        header: impl FnOnce(u32) -> ringrail_codec::native::Header,
    ) -> Result<(), NoMemory> {
        let conf = &self.local.conf;
        let pool = &self.local.pool;
        let body = match body {
            RpcBody::Copied(bytes) if bytes.len() <= conf.inline_max => {
                return self
                    .tx
                    .borrow_mut()
                    .frame(pool, &header(bytes.len() as u32), bytes);
            }
            RpcBody::Copied(bytes) => Body::Lease(self.copy_out(bytes)?),
            RpcBody::Shared(body) => body,
        };
        let len = body.len();
        if len <= conf.inline_max
            && let Some(bytes) = body.as_slice()
        {
            let metrics = &self.local.metrics;
            metrics.copies_coalesced.increment();
            metrics.copies_coalesced_bytes.add(len as u64);
            return self.tx.borrow_mut().frame(pool, &header(len as u32), bytes);
        }
        if len <= conf.slice_len as usize {
            return self
                .tx
                .borrow_mut()
                .frame_by_reference(pool, &header(len as u32), body);
        }
        self.push_transfer(
            id,
            carries,
            ManagedBuffer::Memory(body),
            self.peer_credit(),
            u64::MAX,
        );
        Ok(())
    }

    /// Copies a large body that only lent itself into pooled memory.
    fn copy_out(&self, bytes: &[u8]) -> Result<Lease, NoMemory> {
        let mut lease = self.local.pool.lease(bytes.len()).ok_or(NoMemory)?;
        lease.put(bytes);
        let metrics = &self.local.metrics;
        metrics.copies_coalesced.increment();
        metrics.copies_coalesced_bytes.add(bytes.len() as u64);
        Ok(lease.freeze())
    }

    /// The last step of every request: its timer, its counts; or its end where it was not written.
    #[inline]
    fn sent_request(
        &self,
        id: u64,
        written: Result<(), NoMemory>,
        timeout: Timeout,
        kind: RequestKind,
    ) -> Result<u64, RequestError> {
        if written.is_err() {
            return Ok(self.refuse_later(id, self.busy_memory()));
        }
        self.expect_by(self.local.now_ns().saturating_add(timeout.ns));
        self.note_use();
        if kind == RequestKind::Rpc {
            self.note_rpc();
        }
        self.local.metrics.requests_out(kind).increment();
        self.local.metrics.frames_out.increment();
        self.mark_dirty();
        Ok(id)
    }

    /// A request that is in the table and cannot be sent: its sink is told.
    #[cold]
    fn refuse_later(&self, id: u64, error: RequestError) -> u64 {
        self.resolve_failure(id, error);
        id
    }

    #[inline]
    fn admit(&self) -> Result<(), RequestError> {
        if self.state.get() != State::Open {
            return Err(self.closed_error());
        }
        let limit = self.terms.get().max_outstanding as usize;
        let conf = &self.local.conf;
        if self.calls.borrow().len() >= limit {
            return Err(self.busy(
                "the peer's table of outstanding requests",
                limit,
                "maxOutstanding",
            ));
        }
        if self.queued() > conf.request_queue {
            return Err(self.busy("the send queue", conf.request_queue, "requestQueue"));
        }
        if let Some(text) = &*self.peer_drains.borrow() {
            return Err(self.draining_error(text));
        }
        Ok(())
    }

    /// One-way messages in slices count against the peer's table as requests do: it has an entry for
    /// each until it is whole.
    #[inline]
    fn admit_message(&self, len: usize) -> Result<(), RequestError> {
        if len <= self.local.conf.slice_len as usize {
            return Ok(());
        }
        let limit = self.terms.get().max_outstanding as usize;
        let tx = self.tx.borrow();
        let under_way = tx.transfers.iter();
        let messages = under_way.filter(|it| it.carries == Carries::OneWay);
        if messages.count() < limit {
            return Ok(());
        }
        Err(self.busy(
            "the peer's table of messages in slices",
            limit,
            "maxOutstanding",
        ))
    }

    #[cold]
    fn busy(&self, what: &'static str, limit: usize, key: &'static str) -> RequestError {
        let key = match key {
            "maxOutstanding" => "ringrail.transport.maxOutstanding",
            _ => "ringrail.transport.requestQueue",
        };
        RequestError::Busy {
            what,
            limit: limit as u64,
            key,
        }
    }

    #[cold]
    fn busy_memory(&self) -> RequestError {
        RequestError::Busy {
            what: "the shard's buffer pool",
            limit: self.local.conf.pool_budget as u64,
            key: "ringrail.transport.poolBudget",
        }
    }

    fn check_rpc_len(&self, len: usize) -> Result<(), RequestError> {
        self.check_len(len, self.max_peer_rpc_len(), "ringrail.transport.maxRpcLen")
    }

    fn check_len(&self, len: usize, limit: u64, key: &'static str) -> Result<(), RequestError> {
        if len as u64 <= limit {
            return Ok(());
        }
        Err(RequestError::TooLarge {
            peer: self.peer.clone(),
            len: len as u64,
            limit,
            key,
        })
    }

    /// Takes a request off the table.
    #[inline]
    pub(crate) fn forget(&self, id: u64) -> Option<Sink> {
        let call = self.calls.borrow_mut().remove(id)?;
        // One whose answer waits to be fetched was counted when that came.
        if !matches!(call.sink, Sink::Ready(_)) {
            self.note_call_over(call.kind);
        }
        Some(call.sink)
    }

    #[inline]
    fn note_call_over(&self, kind: CallKind) {
        self.note_end();
        if matches!(kind, CallKind::Chunk | CallKind::Stream) {
            self.bulk_expected
                .set(self.bulk_expected.get().saturating_sub(1));
        }
    }

    /// Where the answer to a request goes: out of the table, unless a future on the shard has to
    /// find it there; then `ready` is put into its place.
    #[inline]
    fn resolve(
        &self,
        id: u64,
        ready: impl FnOnce() -> Result<Lease, Box<RequestError>>,
    ) -> Option<Sink> {
        let mut calls = self.calls.borrow_mut();
        let call = calls.get(id)?;
        let kind = call.kind;
        let waker = match &mut call.sink {
            Sink::Future(waker) => waker,
            // It has its answer, and nothing that comes later changes that.
            Sink::Ready(_) => return None,
            _ => {
                let call = calls.remove(id)?;
                drop(calls);
                self.note_call_over(kind);
                return Some(call.sink);
            }
        };
        let waker = waker.take();
        call.sink = Sink::Ready(ready());
        drop(calls);
        self.note_call_over(kind);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }

    /// A reply that lies in a receive buffer.
    #[inline]
    pub(crate) fn resolve_received(&self, id: u64, body: Received<'_>) {
        if let Some(sink) = self.resolve(id, || Ok(self.keep(body))) {
            self.guarded(|| sink.deliver(body, || self.keep(body)));
        }
    }

    /// An answer in a lease of its own.
    pub(crate) fn resolve_lease(&self, id: u64, lease: Lease) {
        let mut lease = Some(lease);
        let gone = || Box::new(RequestError::Cancelled);
        let sink = self.resolve(id, || lease.take().ok_or_else(gone));
        if let (Some(sink), Some(lease)) = (sink, lease) {
            self.guarded(|| sink.deliver_lease(lease));
        }
    }

    /// A failure.
    pub(crate) fn resolve_failure(&self, id: u64, error: RequestError) {
        let mut error = Some(error);
        let sink = self.resolve(id, || {
            Err(Box::new(error.take().unwrap_or(RequestError::Cancelled)))
        });
        if let (Some(sink), Some(error)) = (sink, error) {
            self.guarded(|| sink.fail(error));
        }
    }

    /// The caller does not wait any more: the peer is told, the answer will be dropped.
    pub(crate) fn cancel(&self, id: u64) {
        let Some(sink) = self.forget(id) else { return };
        if matches!(sink, Sink::Ready(_)) {
            return;
        }
        self.retract(id);
        self.local.metrics.requests_cancelled.increment();
        drop(sink);
    }

    /// Stops sending what belongs to a request of ours and tells the peer.
    fn retract(&self, id: u64) {
        let unsent = self
            .tx
            .borrow_mut()
            .transfers
            .take(TransferKey::of_ours(id));
        drop(unsent);
        if self.is_open() {
            self.control(&Cancel { id }.header(), &[]);
        }
    }

    /// The time of some requests may be up.
    pub(crate) fn on_call_timer(self: &Rc<Self>) {
        self.call_timer.set(None);
        let (expired, next) = self.calls.borrow().expired(self.local.now_ns());
        self.set_call_timer(next);
        for id in expired {
            self.time_out(id);
        }
    }

    fn time_out(&self, id: u64) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get(id) else { return };
        let after = Duration::from_millis(u64::from(call.timeout_ms));
        let has_bulk = call.bulk.is_some();
        let progress = if has_bulk {
            calls.bulk(id).map(|bulk| bulk.progress())
        } else {
            None
        };
        drop(calls);
        self.retract(id);
        self.local.metrics.requests_timed_out.increment();
        let error = RequestError::TimedOut {
            peer: self.peer.clone(),
            after,
            reached: progress.unwrap_or(Reached::Sent),
            key: "ringrail.transport.requestTimeout",
        };
        self.resolve_failure(id, error);
    }

    /// The reader of a stream has taken slices: the sender may send more.
    pub(crate) fn grant_stream(&self, id: u64, bytes: u64) {
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(id) else { return };
        bulk.granted += bytes;
        drop(calls);
        self.control(
            &Credit {
                id,
                bytes,
                by_responder: false,
            }
            .header(),
            &[],
        );
    }

    /// A future on the shard asks for its answer.
    pub(crate) fn poll_call(&self, id: u64, waker: &std::task::Waker) -> Option<Outcome> {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get(id) else {
            return Some(Err(RequestError::Cancelled));
        };
        if let Sink::Future(place) = &mut call.sink {
            if !place.as_ref().is_some_and(|have| have.will_wake(waker)) {
                *place = Some(waker.clone());
            }
            return None;
        }
        match calls.remove(id)?.sink {
            Sink::Ready(outcome) => Some(outcome.map(Reply::new).map_err(|error| *error)),
            _ => Some(Err(RequestError::Cancelled)),
        }
    }
}
