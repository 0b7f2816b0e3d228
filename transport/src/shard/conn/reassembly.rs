//! RPC bodies in slices, on their way in.
//!
//! A reply was asked for, and is leased whole at its first slice. A request or a message grows as its slices
//! come: memory for what is granted beyond them is leased with the grant, never for the length that its sender
//! announced.

use std::rc::Rc;

use ringrail_codec::native::{
    Assembly, Credit, Flags, Header, Kind, RpcReply, RpcSlice, SliceOf, padded_len,
};

use crate::buf::LeaseMut;
use crate::error::CloseReason;

use super::Conn;
use super::dispatch::{beyond_credit, broken};
use super::recv_body::{BodyPlan, Finish};
use crate::conn::claim::grown;
use crate::conn::deadlines::deadline_from;
use crate::conn::reassembly::{Grant, SliceError, SlicedIn};

impl Conn {
    pub(super) fn plan_reply(&self, header: &Header) -> Result<BodyPlan, Box<CloseReason>> {
        let frame = RpcReply::from_header(header).map_err(CloseReason::protocol)?;
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
        self.grant_rest(header.id, frame.total_len);
        Ok(BodyPlan::Into {
            limit: buf.capacity(),
            buf,
            at: 0,
            finish: Finish::Part { complete: false },
        })
    }

    /// Grants what a reply has beyond the first grant of our Hello.
    fn grant_rest(&self, id: u64, total_len: u64) {
        let given = self.local.conf.limits.initial_credit;
        if total_len > given {
            let credit = Credit {
                id,
                bytes: total_len - given,
                by_responder: false,
            };
            self.control(&credit.header(), &[]);
        }
    }

    pub(super) fn begin_sliced(
        self: &Rc<Self>,
        header: &Header,
        of: SliceOf,
        total_len: u64,
        deadline_us: u32,
    ) -> Result<BodyPlan, Box<CloseReason>> {
        let one_way = of != SliceOf::Request;
        if !one_way && !self.begin_request(header) {
            return Ok(BodyPlan::Discard);
        }
        self.check_sliced_table(header.id, one_way)?;
        let limit = padded_len(total_len as usize);
        let buf = match self.could_claim(total_len) {
            true => self.claim(self.first_claim(limit), 0),
            false => None,
        };
        let Some(buf) = buf else {
            self.refuse_sliced(header.id, one_way, total_len);
            return Ok(BodyPlan::Discard);
        };
        let now_ns = self.local.now_ns();
        let sliced = SlicedIn::begin(
            (total_len, header.body_len),
            buf.capacity(),
            self.local.conf.limits.initial_credit,
            (deadline_from(now_ns, deadline_us), now_ns),
        );
        let mut inbound = self.inbound.borrow_mut();
        inbound.sliced(one_way).insert(header.id, sliced);
        Ok(BodyPlan::Into {
            buf,
            at: 0,
            finish: Finish::Part { complete: false },
            limit,
        })
    }

    fn check_sliced_table(&self, id: u64, one_way: bool) -> Result<(), Box<CloseReason>> {
        let limit = self.local.conf.limits.max_outstanding as usize;
        let mut inbound = self.inbound.borrow_mut();
        let table = inbound.sliced(one_way);
        if table.len() >= limit {
            return Err(broken(format!(
                "more than {limit} bodies in slices (ringrail.transport.maxOutstanding)"
            )));
        }
        match table.contains(id) {
            true => Err(broken("a sliced body under an id that is in use")),
            false => Ok(()),
        }
    }

    /// A slice has come: grants more where that is due, and leases memory for it.
    pub(super) fn grant_sliced(self: &Rc<Self>, id: u64, one_way: bool) {
        let mut inbound = self.inbound.borrow_mut();
        let Some(sliced) = inbound.sliced(one_way).get_mut(id) else {
            return;
        };
        let Some(window) = sliced.window() else {
            return;
        };
        if sliced.capacity < window.capacity
            && let Some(buf) = sliced.buf.take()
        {
            drop(inbound);
            let grown = self.enlarge(buf, window.received, window.capacity);
            let buf = grown.unwrap_or_else(|buf| buf);
            inbound = self.inbound.borrow_mut();
            inbound
                .sliced(one_way)
                .put_back(id, buf, self.local.turn_ns());
        }
        let sliced = inbound.sliced(one_way).get_mut(id);
        let grant = sliced.map_or(Grant::Later, |sliced| sliced.grant(window));
        drop(inbound);
        match grant {
            Grant::Credit(bytes) => {
                let by_responder = true;
                let credit = Credit {
                    id,
                    bytes,
                    by_responder,
                };
                self.control(&credit.header(), &[]);
            }
            Grant::Later => {}
            // Others may wait for the memory that this one holds.
            Grant::GiveUp { total_len } => self.refuse_sliced(id, one_way, total_len),
        }
    }

    /// Gives up a body in slices for want of memory.
    #[cold]
    pub(super) fn refuse_sliced(self: &Rc<Self>, id: u64, one_way: bool, total_len: u64) {
        self.inbound.borrow_mut().sliced(one_way).remove(id);
        if one_way {
            return self.warn_of_dropped(total_len);
        }
        self.refuse_len(Kind::RpcFailure, id, total_len);
    }

    /// A buffer with room for a part behind its first `at` bytes; `None` where there is none, and the body
    /// that it belongs to was given up.
    pub(super) fn room_for_part(
        self: &Rc<Self>,
        header: &Header,
        buf: LeaseMut,
        at: usize,
        limit: usize,
    ) -> Option<LeaseMut> {
        let end = at + header.body_len as usize;
        if buf.capacity() >= end {
            return Some(buf);
        }
        let larger = self.enlarge(buf, at, grown(end, limit.max(end)));
        larger.map_err(|_| self.give_up_part(header)).ok()
    }

    /// There is no memory for a part of a request or message: it is given up.
    #[cold]
    pub(in crate::shard::conn) fn give_up_part(self: &Rc<Self>, header: &Header) {
        let one_way = header.kind == Kind::OneWay || header.flags.contains(Flags::ONE_WAY);
        let mut inbound = self.inbound.borrow_mut();
        let sliced = inbound.sliced(one_way).get_mut(header.id);
        let total_len = sliced.and_then(|sliced| sliced.assembly.total_len());
        drop(inbound);
        self.refuse_sliced(header.id, one_way, total_len.unwrap_or_default());
    }

    pub(super) fn plan_slice(&self, header: &Header) -> Result<BodyPlan, Box<CloseReason>> {
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
                limit: buf.capacity(),
                buf,
                at,
                finish: finish(place.complete),
            });
        }
        let mut inbound = self.inbound.borrow_mut();
        let table = inbound.sliced(slice.of != SliceOf::Request);
        match table.accept(header.id, &slice, header.body_len) {
            Ok(None) => Ok(BodyPlan::Discard),
            Ok(Some(slot)) => Ok(BodyPlan::Into {
                buf: slot.buf,
                at: slot.at,
                finish: finish(slot.complete),
                limit: slot.limit,
            }),
            Err(SliceError::Order(error)) => Err(broken(error)),
            Err(SliceError::BeyondCredit { received, granted }) => {
                Err(beyond_credit(received, granted))
            }
        }
    }
}
