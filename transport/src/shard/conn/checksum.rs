//! Bodies whose checksum does not match.

use std::rc::Rc;

use ringrail_codec::native::{FailureCode, Flags, Header, Kind};

use crate::error::{CloseReason, RequestError, RpcFailure};

use super::Conn;

impl Conn {
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
                self.inbound.borrow_mut().requests.remove(id);
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
}
