//! Requests of the peer that are answered with a failure.

use ringrail_codec::native::{
    ChunkFailure, FailureCode, Kind, RpcFailure as FailureFrame, StreamFailure,
};

use crate::error::RpcFailure;

use super::Conn;

impl Conn {
    /// Answers a request with a failure.
    pub(crate) fn answer_failure(&self, id: u64, failure: &RpcFailure) {
        self.answer_failure_as(Kind::RpcFailure, id, failure);
    }

    pub(crate) fn answer_failure_as(&self, kind: Kind, id: u64, failure: &RpcFailure) {
        if !self.answered() {
            return;
        }
        let code = failure.code();
        if code == FailureCode::Unauthorized {
            self.local.metrics.errors_auth.increment();
        }
        self.write_failure(kind, id, failure);
    }

    pub(super) fn write_native_failure(&self, kind: Kind, id: u64, failure: &RpcFailure) {
        let (code, retryable) = (failure.code(), failure.retryable());
        let mut text = failure.body().clone();
        text.bound(self.local.conf.limits.max_failure_len as usize);
        let mut body = Vec::new();
        // A failure that cannot be archived is still sent, with its code alone.
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

    /// Removes a request from the count; false if the connection has ended.
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

pub(super) fn panicked() -> RpcFailure {
    RpcFailure::new(
        FailureCode::HandlerPanicked,
        "the handler panicked; its log says why",
    )
}
