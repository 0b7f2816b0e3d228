//! Hello: the first thing that each side of a connection sends, the client first.

use super::encode::NoRoom;
use super::frame::{u16_at, u32_at, u64_at};
use super::sniff::{HELLO_MAGIC, Sniff, sniff};
use super::{Limits, RefusalCode, VERSION, padded_len};
use crate::archive::FORMAT_FINGERPRINT;

/// The announcement of one side: a Hello without its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The fingerprint of the archive format, [`FORMAT_FINGERPRINT`].
    pub fingerprint: u64,
    /// Wants a CRC on bulk slices, in both directions.
    pub want_crc: bool,
    /// Can verify a CRC on what it receives.
    pub can_verify_crc: bool,
    /// The largest body of one frame that it accepts, in bytes.
    pub max_body_len: u32,
    /// The requests that the other side may have outstanding here.
    pub max_outstanding: u32,
    /// The largest RPC body over all slices that it accepts, in bytes.
    pub max_rpc_len: u64,
    /// The bytes of an upload or a sliced RPC body that it takes before it grants more.
    pub initial_credit: u64,
    /// It closes connections that are silent for this long, in ms; 0 never.
    pub idle_timeout_ms: u32,
}

impl Terms {
    /// The terms that follow from this side's limits, with checksums wanted and verified.
    pub const fn new(limits: &Limits) -> Self {
        Self {
            fingerprint: FORMAT_FINGERPRINT,
            want_crc: true,
            can_verify_crc: true,
            max_body_len: limits.max_body_len,
            max_outstanding: limits.max_outstanding,
            max_rpc_len: limits.max_rpc_len,
            initial_credit: limits.initial_credit,
            idle_timeout_ms: 0,
        }
    }

    /// Whether a connection can work on these terms at all.
    fn check(&self) -> Result<(), HelloError> {
        let table = [
            (
                "max_body_len",
                u64::from(self.max_body_len),
                u64::from(Limits::MIN_MAX_BODY_LEN),
            ),
            ("max_outstanding", u64::from(self.max_outstanding), 1),
            (
                "max_rpc_len",
                self.max_rpc_len,
                u64::from(Limits::MIN_MAX_BODY_LEN),
            ),
            ("initial_credit", self.initial_credit, 1),
        ];
        for (field, value, min) in table {
            if value < min {
                return Err(HelloError::Unusable { field, value, min });
            }
        }
        Ok(())
    }
}

/// A Hello: the terms and an extension, which authentication uses and which is opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The sender's announcement.
    pub terms: Terms,
    /// The extension.
    pub ext: &'a [u8],
}

/// The result of [`Hello::decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloStep<'a> {
    /// The Hello is not complete.
    NeedMore {
        /// The length that the buffer must reach.
        at_least: usize,
    },
    /// A whole Hello.
    Hello {
        /// The decoded Hello.
        hello: Hello<'a>,
        /// The number of bytes it took: the first frame starts there.
        consumed: usize,
    },
}

/// Reasons that received bytes are not a usable Hello. The connection ends with
/// [`HelloError::refusal_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// Another protocol, or the peer's refusal.
    #[error("{0}")]
    NotNative(Sniff),
    /// Another version of this protocol.
    #[error(
        "the peer speaks version {theirs} of the native protocol, this side version {VERSION}; run the same release on both"
    )]
    Version {
        /// The peer's version.
        theirs: u16,
    },
    /// Flags that this version does not know.
    #[error("Hello with unknown flags {flags:#06x}")]
    Flags {
        /// The flags received.
        flags: u16,
    },
    /// Reserved bytes that are not zero.
    #[error("Hello with reserved bytes that are not 0")]
    Reserved,
    /// The extension is longer than this side accepts.
    #[error(
        "Hello with an extension of {len} bytes; the limit is {limit} (ringrail.transport.maxHelloExtLen)"
    )]
    ExtTooLong {
        /// The length announced.
        len: u32,
        /// The longest accepted.
        limit: u32,
    },
    /// A limit of the peer is too low for the protocol.
    #[error("Hello with {field} = {value}, where the protocol needs at least {min}")]
    Unusable {
        /// The field's name in [`Terms`].
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least usable value.
        min: u64,
    },
}

impl HelloError {
    /// The code to refuse the peer with; `None` if it is the peer who refuses.
    pub const fn refusal_code(&self) -> Option<RefusalCode> {
        match self {
            HelloError::NotNative(Sniff::Refusal) => None,
            HelloError::NotNative(_) => Some(RefusalCode::NotNative),
            HelloError::Version { .. } => Some(RefusalCode::Version),
            HelloError::Unusable { .. } => Some(RefusalCode::Limits),
            _ => Some(RefusalCode::Malformed),
        }
    }
}

const WANT_CRC: u16 = 1;
const CAN_VERIFY_CRC: u16 = 1 << 1;

impl<'a> Hello<'a> {
    /// The length in front of the extension, in bytes.
    pub const FIXED_LEN: usize = 64;

    /// The length on the wire, padding included.
    pub const fn wire_len(&self) -> usize {
        Self::FIXED_LEN + padded_len(self.ext.len())
    }

    /// Writes the Hello to the front of `out` and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let need = self.wire_len();
        let room = out.len();
        let Some(out) = out.get_mut(..need) else {
            return Err(NoRoom { need, room });
        };
        let terms = &self.terms;
        let flags = if terms.want_crc { WANT_CRC } else { 0 }
            | if terms.can_verify_crc {
                CAN_VERIFY_CRC
            } else {
                0
            };
        out.fill(0);
        out[0..8].copy_from_slice(&HELLO_MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&flags.to_le_bytes());
        out[12..16].copy_from_slice(&(self.ext.len() as u32).to_le_bytes());
        out[16..24].copy_from_slice(&terms.fingerprint.to_le_bytes());
        out[24..28].copy_from_slice(&terms.max_body_len.to_le_bytes());
        out[28..32].copy_from_slice(&terms.max_outstanding.to_le_bytes());
        out[32..40].copy_from_slice(&terms.max_rpc_len.to_le_bytes());
        out[40..48].copy_from_slice(&terms.initial_credit.to_le_bytes());
        out[48..52].copy_from_slice(&terms.idle_timeout_ms.to_le_bytes());
        out[Self::FIXED_LEN..][..self.ext.len()].copy_from_slice(self.ext);
        Ok(need)
    }

    /// Reads the Hello at the front of `buf`; the extension is not copied. Another protocol or version is
    /// reported once its first bytes are there. The caller checks the fingerprint.
    ///
    /// # Errors
    /// [`HelloError`].
    pub fn decode(buf: &'a [u8], max_ext_len: u32) -> Result<HelloStep<'a>, HelloError> {
        match sniff(buf) {
            Sniff::Native => {}
            Sniff::NeedMore => {
                return Ok(HelloStep::NeedMore {
                    at_least: (buf.len() + 1).max(HELLO_MAGIC.len()),
                });
            }
            other => return Err(HelloError::NotNative(other)),
        }
        if buf.len() >= 10 && u16_at(buf, 8) != VERSION {
            return Err(HelloError::Version {
                theirs: u16_at(buf, 8),
            });
        }
        let Some((fixed, rest)) = buf.split_first_chunk::<{ Hello::FIXED_LEN }>() else {
            return Ok(HelloStep::NeedMore {
                at_least: Self::FIXED_LEN,
            });
        };
        let (terms, ext_len) = decode_fixed(fixed, max_ext_len)?;
        let consumed = Self::FIXED_LEN + padded_len(ext_len);
        if buf.len() < consumed {
            return Ok(HelloStep::NeedMore { at_least: consumed });
        }
        Ok(HelloStep::Hello {
            hello: Hello {
                terms,
                ext: &rest[..ext_len],
            },
            consumed,
        })
    }
}

fn decode_fixed(
    fixed: &[u8; Hello::FIXED_LEN],
    max_ext_len: u32,
) -> Result<(Terms, usize), HelloError> {
    let flags = u16_at(fixed, 10);
    if flags & !(WANT_CRC | CAN_VERIFY_CRC) != 0 {
        return Err(HelloError::Flags { flags });
    }
    let len = u32_at(fixed, 12);
    if len > max_ext_len {
        return Err(HelloError::ExtTooLong {
            len,
            limit: max_ext_len,
        });
    }
    if fixed[52..].iter().any(|&byte| byte != 0) {
        return Err(HelloError::Reserved);
    }
    let terms = Terms {
        fingerprint: u64_at(fixed, 16),
        want_crc: flags & WANT_CRC != 0,
        can_verify_crc: flags & CAN_VERIFY_CRC != 0,
        max_body_len: u32_at(fixed, 24),
        max_outstanding: u32_at(fixed, 28),
        max_rpc_len: u64_at(fixed, 32),
        initial_credit: u64_at(fixed, 40),
        idle_timeout_ms: u32_at(fixed, 48),
    };
    terms.check()?;
    Ok((terms, len as usize))
}
