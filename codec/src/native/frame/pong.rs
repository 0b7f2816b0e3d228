//! Pong: the answer to a ping.

use super::super::{FrameError, Header, Kind};

/// Answers a [`Ping`](super::Ping).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// The ping's value.
    pub opaque: u64,
}

impl Pong {
    /// The header, which is the whole frame.
    #[inline]
    pub const fn header(&self) -> Header {
        let mut header = Header::new(Kind::Pong, 0);
        header.arg = self.opaque;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::Pong)?;
        Ok(Self { opaque: header.arg })
    }
}
