//! OneWayMessage: a message that gets no answer.

use super::super::wire::{Fields, Writer};
use super::super::{FieldError, FrameTooLarge, Kind};
use super::Header;

/// A message without an answer; the rest of the frame is its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneWayMessage;

impl<'a> Header<'a> for OneWayMessage {
    const KIND: Kind = Kind::OneWayMessage;

    fn fields_len(&self) -> usize {
        0
    }

    fn write_fields(&self, _: &mut Writer<'_>) {}

    fn read_fields(_: &mut Fields<'a>) -> Result<Self, FieldError> {
        Ok(Self)
    }
}

impl OneWayMessage {
    /// The length of the frame in front of the body, in bytes.
    pub const HEAD_LEN: usize = 13;

    /// The head of a frame with a body of `body_len` bytes.
    ///
    /// # Errors
    /// [`FrameTooLarge`] if the frame would not be shorter than 2 GiB.
    #[inline]
    pub fn head(&self, body_len: u64) -> Result<[u8; Self::HEAD_LEN], FrameTooLarge> {
        super::head_before(Kind::OneWayMessage, body_len, |out| {
            // Readers do not look at it: the body is what is left of the frame.
            out.put(&(body_len as i32));
        })
    }
}
