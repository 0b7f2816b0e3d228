//! Frames from the wire: answers go to their sinks, requests to the handler.

use std::rc::Rc;

use ringrail_codec::native::{
    Cancel, ChecksumError, Credit, Drain, Flags, Header, Kind, OneWay, Ping, Pong, RpcReply,
    RpcRequest,
};

use crate::buf::Lease;
use crate::error::{CloseReason, RequestError};

use super::Conn;
use super::received::ReceivedBytes;
use super::recv_body::BodyPlan;
use crate::conn::deadlines::deadline_from;
use crate::conn::transfer::{Carries, Transfer, TransferKey};

pub(super) type Handled = Result<(), Box<CloseReason>>;

/// The close reason for a peer that violates the protocol.
#[cold]
pub(super) fn broken(error: impl ToString) -> Box<CloseReason> {
    Box::new(CloseReason::Misbehaved(error.to_string()))
}

/// The close reason for a peer that sends more than its credit, in bytes.
#[cold]
pub(super) fn beyond_credit(received: u64, granted: u64) -> Box<CloseReason> {
    Box::new(CloseReason::BeyondCredit { received, granted })
}

impl Conn {
    /// Handles a frame whose whole body is at `body`, a part of `source`.
    ///
    /// Inlined, with the usual kinds, into the parser; rare kinds get a copy of the header, because
    /// a reference would force every header to memory.
    #[inline(always)]
    pub(crate) fn on_frame(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        source: &Lease,
    ) -> Handled {
        self.local.metrics.frames_in.increment();
        if let Err(error) = header.check_body(body) {
            return self.damaged_in_place(*header, error);
        }
        self.dispatch_usual(header, body, source)
    }

    #[cold]
    fn damaged_in_place(self: &Rc<Self>, header: Header, error: ChecksumError) -> Handled {
        self.damaged(&header, &error.to_string())
    }

    /// Handles a frame whose checksum has been verified.
    pub(crate) fn dispatch_checked(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        source: &Lease,
    ) -> Handled {
        self.dispatch_usual(header, body, source)
    }

    #[inline(always)]
    fn dispatch_usual(self: &Rc<Self>, header: &Header, body: &[u8], source: &Lease) -> Handled {
        let more = header.flags.contains(Flags::MORE);
        match header.kind {
            Kind::RpcReply if !more => {
                RpcReply::from_header(header).map_err(CloseReason::protocol)?;
                self.resolve_received(header.id, ReceivedBytes::new(body, source));
                Ok(())
            }
            Kind::RpcRequest if !more => {
                let frame = RpcRequest::from_header(header).map_err(CloseReason::protocol)?;
                if !self.begin_request(header) {
                    return Ok(());
                }
                let deadline_ns = deadline_from(self.local.now_ns(), frame.deadline_us);
                self.accept_rpc(frame.id, deadline_ns, ReceivedBytes::new(body, source));
                Ok(())
            }
            _ => self.dispatch_other(*header, body, source),
        }
    }

    #[inline(never)]
    fn dispatch_other(self: &Rc<Self>, header: Header, body: &[u8], source: &Lease) -> Handled {
        let more = header.flags.contains(Flags::MORE);
        let header = &header;
        match header.kind {
            Kind::OneWay if !more => {
                OneWay::from_header(header).map_err(CloseReason::protocol)?;
                self.accept_one_way(ReceivedBytes::new(body, source));
                Ok(())
            }
            Kind::ChunkRequest | Kind::StreamRequest => {
                if !self.begin_request(header) {
                    return Ok(());
                }
                self.accept_frame(header, ReceivedBytes::new(body, source))
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

    /// A small slice of a larger body: copied to its place.
    pub(super) fn copy_part(self: &Rc<Self>, header: &Header, body: &[u8]) -> Handled {
        match self.plan_body(header)? {
            BodyPlan::Discard => Ok(()),
            BodyPlan::NoMemory => {
                self.give_up_body(header)?;
                Ok(())
            }
            BodyPlan::Into {
                buf,
                at,
                finish,
                limit,
            } => {
                let Some(mut buf) = self.room_for_part(header, buf, at, limit) else {
                    return Ok(());
                };
                assert_eq!(body.len(), header.body_len as usize, "a part is here whole");
                buf.buffer_mut()[at..at + body.len()].copy_from_slice(body);
                let metrics = &self.local.metrics;
                metrics.copies_coalesced.increment();
                metrics.copies_coalesced_bytes.add(body.len() as u64);
                // Its checksum was looked at where it came in.
                self.finish_body(header, buf, at, finish, None)
            }
        }
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
        let stream = unsent.as_ref().and_then(Transfer::stream);
        // A large reply was removed from the count when the handler gave it.
        let counted = unsent.filter(|it| it.carries != Carries::Reply);
        let mut ended = usize::from(counted.is_some());
        let upload = self.end_upload(id);
        let mut inbound = self.inbound.borrow_mut();
        ended += usize::from(upload.is_some()) + usize::from(inbound.retract(id));
        inbound.active = inbound.active.saturating_sub(ended);
        drop(inbound);
        if let Some(sink) = upload.and_then(|upload| upload.sink) {
            self.fail_upload_sink(sink, &RequestError::Cancelled);
        }
        self.chunks_sent(stream.as_slice());
        self.note_end();
    }

    /// Notifies the stream manager of chunks that have been sent or dropped.
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
}
