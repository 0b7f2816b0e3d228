//! Upload: opens an upload stream.

use super::super::{FrameError, Header, Kind};

/// Opens an upload; the frame's body is its metadata. UploadData and an UploadEnd follow. Answered by an
/// RpcReply or RpcFailure of the same id, a failure possibly before the end. Spark's `UploadStream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Chosen by the initiator, unique among its outstanding requests.
    pub id: u64,
    /// The bytes that will be sent, or [`UNKNOWN_LEN`](super::super::UNKNOWN_LEN).
    pub total_len: u64,
    /// Time for which the answer is useful, in µs from now; 0 for no deadline.
    pub deadline_us: u32,
}

impl Upload {
    /// The header in front of `meta_len` bytes of metadata.
    #[inline]
    pub const fn header(&self, meta_len: u32) -> Header {
        let mut header = Header::new(Kind::Upload, self.id);
        header.body_len = meta_len;
        header.arg = self.total_len;
        header.aux = self.deadline_us;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::Upload)?;
        Ok(Self {
            id: header.id,
            total_len: header.arg,
            deadline_us: header.aux,
        })
    }
}
