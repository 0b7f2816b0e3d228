//! Ping: asks whether the peer is alive.

use super::super::{FrameError, Header, Kind};

/// Asks for a [`Pong`](super::Pong), which must come even while bulk data waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Comes back in the pong unchanged.
    pub opaque: u64,
}

impl Ping {
    /// The header, which is the whole frame.
    #[inline]
    pub const fn header(&self) -> Header {
        let mut header = Header::new(Kind::Ping, 0);
        header.arg = self.opaque;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::Ping)?;
        Ok(Self { opaque: header.arg })
    }
}
