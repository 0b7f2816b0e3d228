//! Refusal: what a side sends instead of its Hello when it will not talk, before it closes.

use super::code::codes;
use super::encode::NoRoom;
use super::frame::{u16_at, u32_at};
use super::sniff::REFUSAL_MAGIC;
use super::{Limits, VERSION, padded_len};

codes! {
    /// Why a connection is refused.
    RefusalCode {
        /// The received bytes are not a Hello.
        NotNative = 1,
        /// This side does not support the version of the protocol.
        Version = 2,
        /// The archive format (rkyv's features) differs.
        Format = 3,
        /// The Hello is malformed.
        Malformed = 4,
        /// The limits in the Hello are below what the protocol needs.
        Limits = 5,
        /// The Hello carries no authentication, and it is required.
        AuthRequired = 6,
        /// The authentication in the Hello is not accepted.
        AuthFailed = 7,
        /// There are too many connections already.
        Busy = 8,
        /// The server is shutting down.
        ShuttingDown = 9,
        /// The Hello took too long.
        Timeout = 10,
        /// Something failed that has no code of its own.
        Internal = 11,
    }
}

impl RefusalCode {
    /// Whether another attempt a little later may succeed.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            RefusalCode::Busy | RefusalCode::ShuttingDown | RefusalCode::Timeout
        )
    }
}

/// A refusal, as it is sent or was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The protocol version that the refusing side speaks.
    pub version: u16,
    /// Why.
    pub code: RefusalCode,
    /// Why, in words for the other side's user.
    pub text: &'a str,
}

/// The result of [`Refusal::decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalStep<'a> {
    /// The refusal is not complete.
    NeedMore {
        /// The length that the buffer must reach.
        at_least: usize,
    },
    /// A refusal.
    Refusal(Refusal<'a>),
}

/// A refusal that cannot be read; the connection is refused all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalError {
    /// It does not begin with the magic.
    #[error("not a refusal")]
    Magic,
    /// The text is longer than this side reads.
    #[error(
        "the peer refuses the connection (code {code}) with a text of {len} bytes; the limit is {limit} \
         (ringrail.transport.maxRefusalTextLen)"
    )]
    TextTooLong {
        /// Why it refuses.
        code: RefusalCode,
        /// The length announced.
        len: u32,
        /// The longest that is read.
        limit: u32,
    },
    /// The text is not UTF-8.
    #[error("the peer refuses the connection (code {code}) with a text that is not UTF-8")]
    NotUtf8 {
        /// Why it refuses.
        code: RefusalCode,
    },
}

impl<'a> Refusal<'a> {
    /// The length in front of the text, in bytes.
    pub const FIXED_LEN: usize = 32;

    /// A refusal by this version of the protocol. The text is cut to
    /// [`Limits::DEFAULT_MAX_REFUSAL_TEXT_LEN`], which every peer reads.
    pub const fn new(code: RefusalCode, text: &'a str) -> Self {
        let end = text.floor_char_boundary(Limits::DEFAULT_MAX_REFUSAL_TEXT_LEN as usize);
        Self {
            version: VERSION,
            code,
            text: text.split_at(end).0,
        }
    }

    /// The length on the wire, padding included.
    pub const fn wire_len(&self) -> usize {
        Self::FIXED_LEN + padded_len(self.text.len())
    }

    /// Writes the refusal to the front of `out` and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let need = self.wire_len();
        let room = out.len();
        let Some(out) = out.get_mut(..need) else {
            return Err(NoRoom { need, room });
        };
        out.fill(0);
        out[0..8].copy_from_slice(&REFUSAL_MAGIC);
        out[8..10].copy_from_slice(&self.version.to_le_bytes());
        out[10..12].copy_from_slice(&self.code.to_wire().to_le_bytes());
        out[12..16].copy_from_slice(&(self.text.len() as u32).to_le_bytes());
        out[Self::FIXED_LEN..][..self.text.len()].copy_from_slice(self.text.as_bytes());
        Ok(need)
    }

    /// Reads the refusal at the front of `buf`. The reserved bytes are not looked at, for a later version
    /// may use them and its refusal is worth showing.
    ///
    /// # Errors
    /// [`RefusalError`]; close the connection in either case.
    pub fn decode(buf: &'a [u8], max_text_len: u32) -> Result<RefusalStep<'a>, RefusalError> {
        let Some((fixed, rest)) = buf.split_first_chunk::<{ Refusal::FIXED_LEN }>() else {
            return Ok(RefusalStep::NeedMore {
                at_least: Self::FIXED_LEN,
            });
        };
        if fixed[..8] != REFUSAL_MAGIC {
            return Err(RefusalError::Magic);
        }
        let code = RefusalCode::from_wire(u16_at(fixed, 10));
        let len = u32_at(fixed, 12);
        if len > max_text_len {
            return Err(RefusalError::TextTooLong {
                code,
                len,
                limit: max_text_len,
            });
        }
        let Some(text) = rest.get(..len as usize) else {
            return Ok(RefusalStep::NeedMore {
                at_least: Self::FIXED_LEN + len as usize,
            });
        };
        Ok(RefusalStep::Refusal(Refusal {
            version: u16_at(fixed, 8),
            code,
            text: std::str::from_utf8(text).map_err(|_| RefusalError::NotUtf8 { code })?,
        }))
    }
}
