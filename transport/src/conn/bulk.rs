//! Bodies on their way in: where their bytes belong, who put them together, who pays for them.
//!
//! A chunk's memory is leased before it is asked for, when its length can be guessed (the caller's
//! hint, or the last one's length); the credit in the request is what is leased. A chunk whose
//! length was not known is announced by its sender first, and granted when memory is there. So no
//! connection ever stands still with a half-received chunk, waiting for memory that other
//! half-received chunks hold.

use std::rc::Rc;

use ringrail_codec::native::{
    Assembly, ChunkData, Credit, FailureCode, Flags, Header, Kind, OneWay, RpcReply, RpcRequest,
    RpcSlice, SliceOf, padded_len,
};

use crate::buf::{Lease, LeaseMut, MAX_LEASE_LEN};
use crate::error::{CloseReason, RequestError, RpcFailure};

use super::Conn;
use super::dispatch::deadline_from;
use super::inbound::SlicedIn;
use super::received::Received;

/// Where the body of a frame goes.
#[derive(Debug)]
pub(crate) enum BodyPlan {
    /// Into this buffer from `at` on; then to [`Conn::finish_body`].
    Into {
        buf: LeaseMut,
        at: usize,
        finish: Finish,
    },
    /// Nowhere: nobody waits for it.
    Discard,
    /// There is no memory for it now.
    NoMemory,
}

/// What a body is once it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The body of its frame alone.
    Whole,
    /// A part of a larger one, or the last part.
    Part { complete: bool },
}

#[cold]
fn broken(error: impl ToString) -> Box<CloseReason> {
    Box::new(CloseReason::Misbehaved(error.to_string()))
}

impl Conn {
    /// Leases memory for a chunk that is to be asked for; the credit to give with the request.
    pub(crate) fn lease_for_chunk(&self, id: u64, hint: Option<u64>, max_len: u64) -> u64 {
        let guess = hint.unwrap_or(self.chunk_hint.get() as u64).min(max_len);
        // A length beyond all memory is no guess: the sender announces the true one.
        let guess = if self.local.pool.could_hold(guess) {
            guess
        } else {
            0
        };
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(id) else { return 0 };
        bulk.assembly = Some(Assembly::chunk(max_len));
        if let Some(hint) = hint {
            self.expect_chunks_of(hint);
        }
        // Small chunks arrive whole in a receive buffer and stay there.
        if guess >= self.local.conf.exact_min as u64 {
            bulk.promised = self.local.pool.reserve(padded_len(guess as usize));
            if bulk.promised.is_none() {
                return 0;
            }
        }
        bulk.granted = guess;
        guess
    }

    /// The next chunk is probably as long.
    fn expect_chunks_of(&self, len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.chunk_hint.set(len.min(MAX_LEASE_LEN));
    }

    /// Says where the body of a frame goes that does not lie in a receive buffer as a whole, or
    /// that is a part of a larger one.
    pub(crate) fn plan_body(
        self: &Rc<Self>,
        header: &Header,
    ) -> Result<BodyPlan, Box<CloseReason>> {
        let sliced = header.flags.contains(Flags::MORE);
        match header.kind {
            Kind::ChunkData => self.plan_chunk(header),
            Kind::RpcReply if sliced => self.plan_reply(header),
            Kind::RpcRequest if sliced => {
                let frame = RpcRequest::from_header(header).map_err(CloseReason::protocol)?;
                self.begin_sliced(header, SliceOf::Request, frame.total_len, frame.deadline_us)
            }
            Kind::OneWay if sliced => {
                let frame = OneWay::from_header(header).map_err(CloseReason::protocol)?;
                self.begin_sliced(header, SliceOf::OneWay, frame.total_len, 0)
            }
            Kind::RpcSlice => self.plan_slice(header),
            _ => Ok(self.plan_whole(header)),
        }
    }

    /// Books a slice of a chunk; `None` where nobody waits for it, else its place.
    pub(crate) fn accept_chunk(
        &self,
        header: &Header,
    ) -> Result<Option<(u64, bool)>, Box<CloseReason>> {
        let frame = ChunkData::from_header(header).map_err(CloseReason::protocol)?;
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(header.id) else {
            return Ok(None);
        };
        let Some(assembly) = bulk.assembly.as_mut() else {
            return Ok(None);
        };
        let accepted = assembly
            .chunk_data(&frame, header.body_len)
            .map_err(broken)?;
        let (received, granted) = (assembly.received(), bulk.granted);
        if received > granted {
            return Err(broken(format!(
                "{received} bytes of a chunk where {granted} were granted"
            )));
        }
        self.expect_chunks_of(frame.total_len);
        Ok(Some((accepted.offset, accepted.complete)))
    }

    fn plan_chunk(&self, header: &Header) -> Result<BodyPlan, Box<CloseReason>> {
        // Look before booking: a plan that finds no memory is made again.
        if !self.make_chunk_room(header.id, header.arg) {
            return Ok(BodyPlan::NoMemory);
        }
        let Some((offset, complete)) = self.accept_chunk(header)? else {
            return Ok(BodyPlan::Discard);
        };
        let mut calls = self.calls.borrow_mut();
        match calls.bulk(header.id).and_then(|bulk| bulk.lend()) {
            Some(buf) => Ok(BodyPlan::Into {
                buf,
                at: offset as usize,
                finish: Finish::Part { complete },
            }),
            None => Ok(BodyPlan::Discard),
        }
    }

    /// Sees that a chunk in slices has memory for what was granted; true also where nobody waits.
    fn make_chunk_room(&self, id: u64, total_len: u64) -> bool {
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(id) else {
            return true;
        };
        // What was granted fits; what the peer announces need not.
        let need = padded_len(bulk.granted.min(total_len) as usize);
        if bulk.buf.as_ref().is_some_and(|buf| buf.capacity() >= need) {
            return true;
        }
        let fits = self.local.pool.could_hold(total_len);
        let all = fits.then(|| padded_len(total_len as usize));
        let promised = bulk.promised.take();
        let lease = match promised {
            Some(promise) if all.is_some_and(|len| promise.capacity() >= len) => promise.redeem(),
            promised => {
                drop(promised);
                all.and_then(|len| self.local.pool.lease(len))
            }
        };
        let lease = lease.or_else(|| self.local.pool.lease_reserved(need));
        match lease {
            Some(lease) => {
                bulk.move_to(lease);
                true
            }
            None => false,
        }
    }

    fn plan_reply(&self, header: &Header) -> Result<BodyPlan, Box<CloseReason>> {
        let frame = RpcReply::from_header(header).map_err(CloseReason::protocol)?;
        self.check_total(frame.total_len)?;
        let mut calls = self.calls.borrow_mut();
        if calls.get(header.id).is_none() {
            return Ok(BodyPlan::Discard);
        }
        let Some(buf) = self.local.pool.lease(padded_len(frame.total_len as usize)) else {
            drop(calls);
            self.let_go(header.id, frame.total_len);
            return Ok(BodyPlan::Discard);
        };
        if let Some(bulk) = calls.bulk(header.id) {
            bulk.assembly = Some(Assembly::rpc(frame.total_len, header.body_len));
            bulk.granted = frame.total_len;
        }
        drop(calls);
        self.grant_rest(header.id, frame.total_len, false);
        Ok(BodyPlan::Into {
            buf,
            at: 0,
            finish: Finish::Part { complete: false },
        })
    }

    /// Grants what a sliced body has beyond the first grant of our Hello.
    fn grant_rest(&self, id: u64, total_len: u64, by_responder: bool) {
        let given = self.local.conf.limits.initial_credit;
        if total_len > given {
            let credit = Credit {
                id,
                bytes: total_len - given,
                by_responder,
            };
            self.control(&credit.header(), &[]);
        }
    }

    fn check_total(&self, total_len: u64) -> Result<(), Box<CloseReason>> {
        let limit = self.local.conf.limits.max_rpc_len;
        if total_len > limit {
            return Err(broken(format!(
                "an RPC body of {total_len} bytes, where ringrail.transport.maxRpcLen allows {limit}"
            )));
        }
        Ok(())
    }

    fn begin_sliced(
        self: &Rc<Self>,
        header: &Header,
        of: SliceOf,
        total_len: u64,
        deadline_us: u32,
    ) -> Result<BodyPlan, Box<CloseReason>> {
        self.check_total(total_len)?;
        if of == SliceOf::Request && !self.begin_request(header) {
            return Ok(BodyPlan::Discard);
        }
        let Some(buf) = self.local.pool.lease(padded_len(total_len as usize)) else {
            if of == SliceOf::Request {
                self.refuse_body(header, total_len);
            }
            return Ok(BodyPlan::Discard);
        };
        let sliced = SlicedIn {
            buf: None,
            assembly: Assembly::rpc(total_len, header.body_len),
            deadline_ns: deadline_from(self.local.now_ns(), deadline_us),
        };
        let mut inbound = self.inbound.borrow_mut();
        let limit = self.local.conf.limits.max_outstanding as usize;
        let table = match of {
            SliceOf::Request => &mut inbound.requests,
            _ => &mut inbound.one_ways,
        };
        if table.len() >= limit {
            return Err(broken(format!(
                "more than {limit} bodies in slices (ringrail.transport.maxOutstanding)"
            )));
        }
        if table.insert(header.id, sliced).is_some() {
            return Err(broken("a sliced body under an id that is in use"));
        }
        drop(inbound);
        self.grant_rest(header.id, total_len, true);
        Ok(BodyPlan::Into {
            buf,
            at: 0,
            finish: Finish::Part { complete: false },
        })
    }

    fn plan_slice(&self, header: &Header) -> Result<BodyPlan, Box<CloseReason>> {
        let slice = RpcSlice::from_header(header).map_err(CloseReason::protocol)?;
        let finish = |complete| Finish::Part { complete };
        if slice.of == SliceOf::Reply {
            let mut calls = self.calls.borrow_mut();
            let Some(bulk) = calls.bulk(header.id) else {
                return Ok(BodyPlan::Discard);
            };
            let (Some(assembly), Some(buf)) = (bulk.assembly.as_mut(), bulk.buf.take()) else {
                return Ok(BodyPlan::Discard);
            };
            let place = assembly
                .rpc_slice(&slice, header.body_len)
                .map_err(broken)?;
            let at = place.offset as usize;
            return Ok(BodyPlan::Into {
                buf,
                at,
                finish: finish(place.complete),
            });
        }
        let mut inbound = self.inbound.borrow_mut();
        let table = match slice.of {
            SliceOf::Request => &mut inbound.requests,
            _ => &mut inbound.one_ways,
        };
        // A request that was refused or retracted may still send what was granted.
        let Some(sliced) = table.get_mut(&header.id) else {
            return Ok(BodyPlan::Discard);
        };
        let Some(buf) = sliced.buf.take() else {
            return Ok(BodyPlan::Discard);
        };
        let place = sliced
            .assembly
            .rpc_slice(&slice, header.body_len)
            .map_err(broken)?;
        Ok(BodyPlan::Into {
            buf,
            at: place.offset as usize,
            finish: finish(place.complete),
        })
    }

    /// Takes a body that has arrived in the buffer of its plan.
    pub(crate) fn finish_body(
        self: &Rc<Self>,
        header: &Header,
        mut buf: LeaseMut,
        at: usize,
        finish: Finish,
    ) -> Result<(), Box<CloseReason>> {
        let len = header.body_len as usize;
        buf.set_len(at + len);
        if let Err(error) = header.check_body(&buf.as_slice()[at..]) {
            return self.damaged(header, &error.to_string());
        }
        match finish {
            Finish::Whole => {
                let lease = buf.freeze();
                self.dispatch_checked(header, &lease[..len], &lease)
            }
            Finish::Part { complete: false } => {
                self.put_back(header, buf);
                Ok(())
            }
            Finish::Part { complete: true } => self.complete_body(header, buf.freeze()),
        }
    }

    /// A body whose checksum does not match: the request it belongs to fails, no more.
    #[cold]
    pub(crate) fn damaged(
        self: &Rc<Self>,
        header: &Header,
        text: &str,
    ) -> Result<(), Box<CloseReason>> {
        self.local.metrics.errors_checksum.increment();
        let id = header.id;
        match header.kind {
            Kind::ChunkData | Kind::StreamData | Kind::RpcReply => self.fail_damaged(id, text),
            Kind::RpcSlice if header.flags.contains(Flags::REPLY) => self.fail_damaged(id, text),
            Kind::RpcRequest | Kind::RpcSlice => {
                let failure = RpcFailure::new(FailureCode::ChecksumMismatch, text);
                let whole = header.kind == Kind::RpcRequest && !header.flags.contains(Flags::MORE);
                if whole && !self.begin_request(header) {
                    return Ok(());
                }
                self.inbound.borrow_mut().requests.remove(&id);
                self.answer_failure(id, &failure);
            }
            Kind::UploadData => self.fail_upload(id, FailureCode::ChecksumMismatch, text),
            _ => tracing::warn!(target: "ringrail::conn", peer = %self.peer, text, "frame dropped"),
        }
        Ok(())
    }

    fn fail_damaged(&self, id: u64, text: &str) {
        let error = RequestError::Damaged {
            peer: self.peer.clone(),
            detail: text.into(),
        };
        self.control(&ringrail_codec::native::Cancel { id }.header(), &[]);
        self.resolve_failure(id, error);
    }

    /// Keeps a body that has more to come with what it belongs to.
    fn put_back(&self, header: &Header, buf: LeaseMut) {
        let id = header.id;
        let reply = header.kind == Kind::RpcReply || header.flags.contains(Flags::REPLY);
        if header.kind == Kind::ChunkData || reply {
            let mut calls = self.calls.borrow_mut();
            if let Some(bulk) = calls.bulk(id) {
                bulk.put_back(buf);
            }
            drop(calls);
            if header.kind == Kind::ChunkData {
                self.grant_chunk(id);
            }
            return;
        }
        let mut inbound = self.inbound.borrow_mut();
        let one_way = header.kind == Kind::OneWay || header.flags.contains(Flags::ONE_WAY);
        let table = if one_way {
            &mut inbound.one_ways
        } else {
            &mut inbound.requests
        };
        if let Some(sliced) = table.get_mut(&id) {
            sliced.buf = Some(buf);
        }
    }

    fn complete_body(
        self: &Rc<Self>,
        header: &Header,
        lease: Lease,
    ) -> Result<(), Box<CloseReason>> {
        let id = header.id;
        if header.kind == Kind::ChunkData || header.flags.contains(Flags::REPLY) {
            self.resolve_lease(id, lease);
            return Ok(());
        }
        let mut inbound = self.inbound.borrow_mut();
        if header.flags.contains(Flags::ONE_WAY) {
            inbound.one_ways.remove(&id);
            drop(inbound);
            self.accept_one_way(Received::new(&lease, &lease));
            return Ok(());
        }
        let deadline_ns = inbound
            .requests
            .remove(&id)
            .map_or(u64::MAX, |sliced| sliced.deadline_ns);
        drop(inbound);
        if self.drops_overdue(deadline_ns) {
            return Ok(());
        }
        self.accept_rpc(id, deadline_ns, Received::new(&lease, &lease));
        Ok(())
    }

    /// Grants the rest of a chunk whose length has become known, once there is memory for it.
    pub(crate) fn grant_chunk(&self, id: u64) {
        if !self.try_grant_chunk(id) {
            self.local.push_hungry(self.key, id);
        }
    }

    /// False where memory is still wanting.
    pub(crate) fn try_grant_chunk(&self, id: u64) -> bool {
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(id) else {
            return true;
        };
        if bulk.lent {
            // The slice that is coming ends with another try.
            return true;
        }
        let Some(assembly) = &bulk.assembly else {
            return true;
        };
        let Some(total_len) = assembly.total_len() else {
            return true;
        };
        if bulk.granted >= total_len || assembly.is_complete() {
            return true;
        }
        if !self.local.pool.could_hold(total_len) {
            drop(calls);
            self.let_go(id, total_len);
            return true;
        }
        let need = padded_len(total_len as usize);
        if bulk.buf.as_ref().is_none_or(|buf| buf.capacity() < need) {
            bulk.promised = None;
            let Some(larger) = self.local.pool.lease(need) else {
                return false;
            };
            let copied = bulk.move_to(larger);
            if copied > 0 {
                self.local.metrics.copies_coalesced.increment();
                self.local.metrics.copies_coalesced_bytes.add(copied as u64);
            }
        }
        let bytes = total_len - bulk.granted;
        bulk.granted = total_len;
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
        true
    }
}
