//! UploadEnd: the end of an upload.

use super::super::{FrameError, Header, Kind};

/// Ends an upload that was sent completely. Answered by an RpcReply or RpcFailure of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadEnd {
    /// The request's id.
    pub id: u64,
    /// The bytes that were sent in all its slices.
    pub sent_len: u64,
}

impl UploadEnd {
    /// The header, which is the whole frame.
    #[inline]
    pub const fn header(&self) -> Header {
        let mut header = Header::new(Kind::UploadEnd, self.id);
        header.arg = self.sent_len;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::UploadEnd)?;
        Ok(Self {
            id: header.id,
            sent_len: header.arg,
        })
    }
}
