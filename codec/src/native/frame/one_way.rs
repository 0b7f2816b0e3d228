//! OneWay: a message without an answer.

use super::super::{Flags, FrameError, Header, Kind};
use super::check_first_slice;

/// A message that gets no answer, with the first slice of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneWay {
    /// The message's id, which its further slices carry; from the same numbers as request ids.
    pub id: u64,
    /// The bytes of the whole body, over all its slices.
    pub total_len: u64,
}

impl OneWay {
    /// The header in front of a first slice of `body_len` bytes; MORE is set if that is not all.
    #[inline]
    pub const fn header(&self, body_len: u32) -> Header {
        let mut header = Header::new(Kind::OneWay, self.id);
        header.flags = Flags::NONE.with_if(Flags::MORE, self.total_len > body_len as u64);
        header.body_len = body_len;
        header.arg = self.total_len;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::Inconsistent`] if total_len, body_len and MORE do not fit together,
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::OneWay)?;
        check_first_slice(header)?;
        Ok(Self {
            id: header.id,
            total_len: header.arg,
        })
    }
}
