//! StreamEnd: the end of a stream.

use super::super::{FrameError, Header, Kind};

/// Ends a stream that was sent completely; the length lets the receiver prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// The request's id.
    pub id: u64,
    /// The bytes that were sent in all its slices.
    pub sent_len: u64,
}

impl StreamEnd {
    /// The header, which is the whole frame.
    #[inline]
    pub const fn header(&self) -> Header {
        let mut header = Header::new(Kind::StreamEnd, self.id);
        header.arg = self.sent_len;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::StreamEnd)?;
        Ok(Self {
            id: header.id,
            sent_len: header.arg,
        })
    }
}
