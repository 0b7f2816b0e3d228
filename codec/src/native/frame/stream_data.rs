//! StreamData: a slice of a stream.

use super::super::{FrameError, Header, Kind};

/// A slice of a stream. Slices come in order and without a gap; a StreamEnd ends them, so there is no MORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamData {
    /// The request's id.
    pub id: u64,
    /// The bytes that will be sent in all, from the requested offset on, or
    /// [`UNKNOWN_LEN`](super::super::UNKNOWN_LEN).
    pub total_len: u64,
    /// 0, 1, … in order.
    pub seq: u32,
}

impl StreamData {
    /// The header in front of a slice of `body_len` bytes.
    #[inline]
    pub const fn header(&self, body_len: u32) -> Header {
        let mut header = Header::new(Kind::StreamData, self.id);
        header.body_len = body_len;
        header.arg = self.total_len;
        header.aux = self.seq;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::Inconsistent`] for a slice longer than the stream or an empty one that is not the first
    /// (an empty first one announces the length while the credit is 0);
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::StreamData)?;
        if header.arg < u64::from(header.body_len) {
            return Err(header.inconsistent("total_len is less than body_len"));
        }
        if header.body_len == 0 && header.aux != 0 {
            return Err(header.inconsistent("an empty slice that is not the first"));
        }
        Ok(Self {
            id: header.id,
            total_len: header.arg,
            seq: header.aux,
        })
    }
}
