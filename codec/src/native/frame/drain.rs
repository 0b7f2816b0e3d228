//! Drain: no further request will be served (HTTP/2 calls it GOAWAY).

use super::super::{DrainReason, FrameError, Header, Kind};

/// Announces that requests with an id above `last_id` will not be served; they can safely be sent again on
/// another connection. The ones up to it are still answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain<'a> {
    /// The last request id that will be served; `u64::MAX` for "all that you have sent".
    pub last_id: u64,
    /// Why.
    pub reason: DrainReason,
    /// The reason in words, for the peer's log; the frame's body.
    pub text: &'a str,
}

impl<'a> Drain<'a> {
    /// The header in front of the text. A text beyond [`Limits::max_drain_text_len`] is refused by the peer.
    ///
    /// [`Limits::max_drain_text_len`]: super::super::Limits::max_drain_text_len
    #[inline]
    pub const fn header(&self) -> Header {
        let mut header = Header::new(Kind::Drain, 0);
        header.code = self.reason.to_wire();
        header.body_len = self.text.len() as u32;
        header.arg = self.last_id;
        header
    }

    /// Reads header and text; the text stays where it is.
    ///
    /// # Errors
    /// [`FrameError::NotUtf8`], [`FrameError::WrongKind`] for a header of another kind.
    pub fn from_header(header: &Header, body: &'a [u8]) -> Result<Self, FrameError> {
        header.expect(Kind::Drain)?;
        Ok(Self {
            last_id: header.arg,
            reason: DrainReason::from_wire(header.code),
            text: std::str::from_utf8(body)
                .map_err(|_| FrameError::NotUtf8 { kind: Kind::Drain })?,
        })
    }
}
