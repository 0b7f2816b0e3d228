//! Answers of the peer, each to the request that waits for it.

use std::rc::Rc;

use ringrail_codec::archive::FailureBody;
use ringrail_codec::native::{
    Assembly, ChunkFailure, Flags, Header, Kind, RpcFailure as FailureFrame, StreamData, StreamEnd,
    StreamFailure,
};

use crate::buf::Lease;
use crate::error::{CloseReason, RequestError, RpcFailure};

use super::Conn;
use super::dispatch::{Handled, beyond_credit, broken};
use super::received::ReceivedBytes;
use super::reply_to::ReplyTo;
use crate::conn::transfer::TransferKey;

impl Conn {
    pub(super) fn on_chunk_data(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        source: &Lease,
    ) -> Handled {
        let more = header.flags.contains(Flags::MORE);
        if !body.is_empty() && (more || header.aux > 0) {
            return self.copy_part(header, body);
        }
        // Complete in one slice, or an announcement: no reassembly is needed.
        let Some((_, complete)) = self.accept_chunk(header)? else {
            return Ok(());
        };
        if complete {
            self.resolve_lease(header.id, self.keep(ReceivedBytes::new(body, source)));
        } else {
            self.grant_chunk(header.id);
        }
        Ok(())
    }

    pub(super) fn on_stream_data(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        source: &Lease,
    ) -> Handled {
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
            return Err(beyond_credit(received, granted));
        }
        self.forecast.borrow_mut().raise_len(body.len());
        let Some(call) = calls.get(frame.id) else {
            return Ok(());
        };
        let full = match &call.sink {
            ReplyTo::Stream(feed) if !body.is_empty() => feed
                .push(self.keep(ReceivedBytes::new(body, source)))
                .is_err(),
            _ => false,
        };
        drop(calls);
        if full {
            self.cancel(frame.id);
        }
        Ok(())
    }

    pub(super) fn on_stream_end(&self, header: &Header) -> Handled {
        let end = StreamEnd::from_header(header).map_err(CloseReason::protocol)?;
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(end.id) else {
            return Ok(());
        };
        let assembly = bulk.assembly.get_or_insert_with(Assembly::stream);
        assembly.stream_end(&end).map_err(broken)?;
        drop(calls);
        if let Some(ReplyTo::Stream(feed)) = self.forget(end.id) {
            feed.end(Ok(()));
        }
        Ok(())
    }

    pub(super) fn on_failure(&self, header: &Header, body: &[u8]) -> Handled {
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
        let body = FailureBody::decode(code, retryable, body)
            .map_err(|error| Box::new(CloseReason::BadArchive(error.to_string())))?;
        let failure = RpcFailure::from_body(body);
        let key = TransferKey::of_ours(header.id);
        let unsent = self.tx.borrow_mut().transfers.take(key);
        drop(unsent);
        let peer = self.peer.clone();
        self.resolve_failure(header.id, RequestError::Remote { peer, failure });
        Ok(())
    }
}
