//! Incoming bodies: their destinations, and their processing once complete.
//!
//! `rx` asks for a plan before it receives a body, and hands the body over once received. The owner
//! of the body decides: a chunk ([`chunks_in`](super::chunks_in)), a call in slices
//! ([`sliced`](super::sliced)), or its own frame alone.

use std::rc::Rc;

use ringrail_codec::native::{Flags, Header, Kind, OneWay, RpcRequest, SliceOf};

use crate::buf::{Lease, LeaseMut};
use crate::error::CloseReason;

use super::Conn;
use super::received::ReceivedBytes;

/// The destination of a frame's body.
#[derive(Debug)]
pub(crate) enum BodyPlan {
    /// Received into this buffer from offset `at`, then handed to [`Conn::finish_body`].
    Into {
        buf: LeaseMut,
        at: usize,
        finish: Finish,
        /// Bytes that the buffer may grow to if it is too small for the body.
        limit: usize,
    },
    /// Received and dropped: no request is pending for it.
    Discard,
    /// No memory is available at present.
    NoMemory,
}

/// The role of a received body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The whole body of its frame.
    Whole,
    /// A slice of a larger body; `complete` on the last slice.
    Part { complete: bool },
}

impl Conn {
    /// Plans the destination of a frame's body that is not contained in one receive buffer, or
    /// that is a slice of a larger one.
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

    /// Takes a body that has arrived in the buffer of its plan; `sum` is its CRC32C, where it has one that has
    /// not been looked at.
    pub(crate) fn finish_body(
        self: &Rc<Self>,
        header: &Header,
        mut buf: LeaseMut,
        at: usize,
        finish: Finish,
        sum: Option<u32>,
    ) -> Result<(), Box<CloseReason>> {
        let len = header.body_len as usize;
        assert!(
            at + len <= buf.capacity(),
            "a body was received beyond its buffer"
        );
        buf.set_len(at + len);
        if let Some(Err(error)) = sum.map(|sum| header.check_crc(sum)) {
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

    /// Returns the buffer of an incomplete body to the body's owner.
    fn put_back(self: &Rc<Self>, header: &Header, buf: LeaseMut) {
        let id = header.id;
        let reply = header.kind == Kind::RpcReply || header.flags.contains(Flags::REPLY);
        if header.kind == Kind::ChunkData || reply {
            let mut calls = self.calls.borrow_mut();
            if let Some(bulk) = calls.bulk(id) {
                bulk.put_back(buf);
                bulk.grew_ns = self.local.turn_ns();
            }
            drop(calls);
            if header.kind == Kind::ChunkData {
                self.grant_chunk(id);
            }
            return;
        }
        let one_way = header.kind == Kind::OneWay || header.flags.contains(Flags::ONE_WAY);
        self.inbound
            .borrow_mut()
            .sliced(one_way)
            .put_back(id, buf, self.local.turn_ns());
        self.grant_sliced(id, one_way);
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
            inbound.one_ways.remove(id);
            drop(inbound);
            self.accept_one_way(ReceivedBytes::new(&lease, &lease));
            return Ok(());
        }
        let deadline_ns = inbound
            .requests
            .remove(id)
            .map_or(u64::MAX, |sliced| sliced.deadline_ns);
        drop(inbound);
        if self.drops_overdue(deadline_ns) {
            return Ok(());
        }
        self.accept_rpc(id, deadline_ns, ReceivedBytes::new(&lease, &lease));
        Ok(())
    }
}
