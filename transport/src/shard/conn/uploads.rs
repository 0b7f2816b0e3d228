//! Uploads of the peer: their slices go to the sink that the handler gave.

use std::rc::Rc;

use ringrail_codec::native::{
    Assembly, Credit, FailureCode, GrantWindow, Header, Kind, Upload, UploadData, UploadEnd,
};

use crate::buf::Lease;
use crate::error::{CloseReason, RequestError, RpcFailure};
use crate::metrics::RequestKind;
use crate::shard::conn::user::Connection;
use crate::shard::conn::user::{Responder, UploadSink, UploadStart};

use super::Conn;
use super::dispatch::{Handled, beyond_credit, broken};
use super::failures::panicked;
use super::received::ReceivedBytes;
use crate::conn::deadlines::deadline_from;
use crate::shard::conn::UploadIn;

impl Conn {
    pub(super) fn on_upload(self: &Rc<Self>, header: &Header, meta: &[u8]) -> Handled {
        let upload = Upload::from_header(header).map_err(CloseReason::protocol)?;
        self.local
            .metrics
            .requests_in(RequestKind::Upload)
            .increment();
        if !self.begin_request(header) {
            return Ok(());
        }
        if self.inbound.borrow().uploads.contains_key(&upload.id) {
            return Err(broken("an upload under an id that is in use"));
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
            // The handler has closed the connection itself.
            Ok(sink) if !self.is_open() => self.fail_upload_sink(sink, &self.closed_error()),
            Ok(sink) => {
                let entry = UploadIn {
                    sink: Some(sink),
                    assembly: Assembly::upload(upload.total_len),
                    window: GrantWindow::new(self.local.conf.limits.initial_credit),
                    deadline_ns: deadline_from(self.local.now_ns(), upload.deadline_us),
                    grew_ns: self.local.now_ns(),
                };
                let before = self.inbound.borrow_mut().uploads.insert(upload.id, entry);
                assert!(before.is_none(), "two uploads under one id");
                self.forecast.borrow_mut().begin();
            }
        }
        Ok(())
    }

    pub(super) fn on_upload_data(
        self: &Rc<Self>,
        header: &Header,
        body: &[u8],
        source: &Lease,
    ) -> Handled {
        let frame = UploadData::from_header(header).map_err(CloseReason::protocol)?;
        let mut inbound = self.inbound.borrow_mut();
        // Slices of a refused upload are still arriving.
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
            .map_err(|error| beyond_credit(error.len, error.granted))?;
        upload.grew_ns = self.local.turn_ns();
        let Some(mut sink) = upload.sink.take() else {
            return Ok(());
        };
        drop(inbound);
        self.forecast.borrow_mut().raise_len(body.len());
        let lease = self.keep(ReceivedBytes::new(body, source));
        match self.guarded(|| sink.on_data(lease)) {
            Some(Ok(())) => self.took_slice(frame.id, sink, u64::from(header.body_len)),
            Some(Err(failure)) => {
                self.end_upload(frame.id);
                self.answer_failure(frame.id, &failure);
            }
            None => {
                self.end_upload(frame.id);
                self.answer_failure(frame.id, &panicked());
            }
        }
        Ok(())
    }

    /// A sink has taken a slice: its sender may send more.
    fn took_slice(&self, id: u64, sink: Box<dyn UploadSink>, len: u64) {
        let mut inbound = self.inbound.borrow_mut();
        let Some(upload) = inbound.uploads.get_mut(&id) else {
            drop(inbound);
            // The handler has closed the connection itself.
            return self.fail_upload_sink(sink, &self.closed_error());
        };
        upload.sink = Some(sink);
        let grant = upload.window.release(len);
        drop(inbound);
        if let Some(bytes) = grant {
            let by_responder = true;
            let credit = Credit {
                id,
                bytes,
                by_responder,
            };
            self.control(&credit.header(), &[]);
        }
    }

    pub(super) fn on_upload_end(self: &Rc<Self>, header: &Header) -> Handled {
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

    pub(super) fn end_upload(&self, id: u64) -> Option<UploadIn> {
        let upload = self.inbound.borrow_mut().uploads.remove(&id)?;
        self.forecast.borrow_mut().end();
        Some(upload)
    }

    /// Ends an upload that is no longer wanted.
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

    pub(super) fn fail_upload_sink(&self, mut sink: Box<dyn UploadSink>, error: &RequestError) {
        self.guarded(|| sink.on_failure(error));
    }
}
