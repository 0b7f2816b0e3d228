//! RPC bodies in slices, on their way in: leased whole at their first slice.

use std::rc::Rc;

use ringrail_codec::native::{Assembly, Credit, Header, RpcReply, RpcSlice, SliceOf, padded_len};

use crate::error::CloseReason;

use super::Conn;
use super::bulk::{BodyPlan, Finish};
use super::dispatch::broken;
use super::inbound::SlicedIn;
use super::requests::deadline_from;

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

    pub(super) fn begin_sliced(
        self: &Rc<Self>,
        header: &Header,
        of: SliceOf,
        total_len: u64,
        deadline_us: u32,
    ) -> Result<BodyPlan, Box<CloseReason>> {
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
}
