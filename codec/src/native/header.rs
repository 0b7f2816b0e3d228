//! The fixed header in front of every frame.

use super::crc::crc_of;
use super::frame::{u16_at, u32_at, u64_at};
use super::rules::{RULES, Rule};
use super::{ChecksumError, Field, Flags, FrameError, Kind, Limits};

/// The length of a header in bytes.
pub const HEADER_LEN: usize = 32;

/// Bodies are padded to a multiple of this, so a frame that starts aligned leaves the next one aligned.
pub const ALIGN: usize = 16;

// Lengths of u32 plus a header must fit a usize everywhere below.
const _: () = assert!(usize::BITS >= 64, "ringrail needs a 64-bit target");

/// The 32 bytes in front of a body. The meaning of `arg` and `aux` depends on the kind; the types
/// of [`frame`](super::frame) give them names.
///
/// ```
/// use ringrail_codec::native::{Header, Ping};
/// let bytes = Ping { opaque: 7 }.header().encode();
/// assert_eq!(bytes[0], 0x43);
/// let header = Header::decode(&bytes)?;
/// assert_eq!(Ping::from_header(&header)?, Ping { opaque: 7 });
/// # Ok::<(), ringrail_codec::native::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind of the frame.
    pub kind: Kind,
    /// The flags, only those that the kind allows.
    pub flags: Flags,
    /// The failure code or drain reason, else 0.
    pub code: u16,
    /// The bytes of body in this frame, before padding.
    pub body_len: u32,
    /// The request's id, chosen by its initiator. The ids of both directions are independent.
    pub id: u64,
    /// Kind-specific.
    pub arg: u64,
    /// Kind-specific.
    pub aux: u32,
    /// The CRC32C of the body if [`Flags::CRC`] is set, else 0.
    pub crc: u32,
}

/// The length of a body of `body_len` bytes with its padding.
#[inline]
pub const fn padded_len(body_len: usize) -> usize {
    (body_len + (ALIGN - 1)) & !(ALIGN - 1)
}

impl Header {
    /// A header of `kind` for request `id`, everything else zero.
    #[inline]
    pub const fn new(kind: Kind, id: u64) -> Header {
        Header {
            kind,
            flags: Flags::NONE,
            code: 0,
            body_len: 0,
            id,
            arg: 0,
            aux: 0,
            crc: 0,
        }
    }

    /// The header as it goes onto the wire.
    #[inline]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0] = self.kind as u8;
        out[1] = self.flags.bits();
        out[2..4].copy_from_slice(&self.code.to_le_bytes());
        out[4..8].copy_from_slice(&self.body_len.to_le_bytes());
        out[8..16].copy_from_slice(&self.id.to_le_bytes());
        out[16..24].copy_from_slice(&self.arg.to_le_bytes());
        out[24..28].copy_from_slice(&self.aux.to_le_bytes());
        out[28..32].copy_from_slice(&self.crc.to_le_bytes());
        out
    }

    /// Reads a header and checks everything that does not depend on this side's limits: the kind, the
    /// flags, and the fields that the kind wants to be zero.
    ///
    /// # Errors
    /// [`FrameError::UnknownKind`], [`FrameError::ForbiddenFlags`], [`FrameError::NonZero`],
    /// [`FrameError::BodyLength`] for a body where the kind has none.
    #[inline(always)]
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Header, FrameError> {
        let rule = &RULES[usize::from(bytes[0])];
        let Some(kind) = rule.kind else {
            return Err(FrameError::UnknownKind { kind: bytes[0] });
        };
        let header = Header::read(kind, bytes);
        if excess(&header, bytes, rule) == 0 {
            Ok(header)
        } else {
            // From the bytes again, for a reference to the header would keep it in memory on the hot path.
            Err(explain(kind, bytes, rule))
        }
    }

    /// As [`decode`](Self::decode) and [`check_header`](super::check_header), without the reasons: for the
    /// hot path, where room for an error beside the header costs more than the checks. A caller that gets
    /// `None` calls those two for the reason.
    #[inline(always)]
    pub fn decode_checked(bytes: &[u8; HEADER_LEN], limits: &Limits) -> Option<Header> {
        let rule = &RULES[usize::from(bytes[0])];
        let header = Header::read(rule.kind?, bytes);
        (excess(&header, bytes, rule) == 0 && limits.allow(&header)).then_some(header)
    }

    #[inline(always)]
    fn read(kind: Kind, bytes: &[u8; HEADER_LEN]) -> Header {
        Header {
            kind,
            flags: Flags::from_bits(bytes[1]),
            code: u16_at(bytes, 2),
            body_len: u32_at(bytes, 4),
            id: u64_at(bytes, 8),
            arg: u64_at(bytes, 16),
            aux: u32_at(bytes, 24),
            crc: u32_at(bytes, 28),
        }
    }

    /// The bytes of body and padding that follow the header.
    #[inline]
    pub const fn padded_body_len(&self) -> usize {
        padded_len(self.body_len as usize)
    }

    /// The zero bytes behind the body.
    #[inline]
    pub const fn padding_len(&self) -> usize {
        self.padded_body_len() - self.body_len as usize
    }

    /// The bytes of the whole frame: header, body and padding.
    #[inline]
    pub const fn frame_len(&self) -> usize {
        HEADER_LEN + self.padded_body_len()
    }

    /// The same header with the checksum of its body.
    #[inline]
    #[must_use]
    pub const fn with_crc(mut self, crc: u32) -> Header {
        self.flags = self.flags.with(Flags::CRC);
        self.crc = crc;
        self
    }

    /// The same header with the checksum of `body`, computed here.
    #[inline]
    #[must_use]
    pub fn with_crc_of(self, body: &[u8]) -> Header {
        self.with_crc(crc_of(body))
    }

    /// Checks the body against the header's checksum; a header without one accepts any body.
    ///
    /// # Errors
    /// [`ChecksumError`], which fails the request and not the connection.
    #[inline(always)]
    pub fn check_body(&self, body: &[u8]) -> Result<(), ChecksumError> {
        if self.flags.contains(Flags::CRC) {
            self.check_crc_of(body)
        } else {
            Ok(())
        }
    }

    // By value: a reference would have headers without a checksum written to memory as well.
    #[inline(never)]
    fn check_crc_of(self, body: &[u8]) -> Result<(), ChecksumError> {
        self.check_crc(crc_of(body))
    }

    /// Checks a checksum that the caller computed while the body came in.
    ///
    /// # Errors
    /// As [`Header::check_body`].
    #[inline]
    pub fn check_crc(&self, computed: u32) -> Result<(), ChecksumError> {
        if !self.flags.contains(Flags::CRC) || computed == self.crc {
            return Ok(());
        }
        Err(ChecksumError {
            kind: self.kind,
            id: self.id,
            announced: self.crc,
            computed,
        })
    }

    /// Refuses a header of another kind.
    #[inline(always)]
    pub(super) fn expect(&self, expected: Kind) -> Result<(), FrameError> {
        let found = self.kind;
        if found == expected {
            Ok(())
        } else {
            Err(FrameError::WrongKind { expected, found })
        }
    }

    #[cold]
    pub(super) fn inconsistent(self, what: &'static str) -> FrameError {
        FrameError::Inconsistent {
            kind: self.kind,
            what,
        }
    }
}

/// The bits that should have been zero, all fields folded together.
#[inline(always)]
fn excess(header: &Header, bytes: &[u8; HEADER_LEN], rule: &Rule) -> u64 {
    let unused_crc = if header.flags.contains(Flags::CRC) {
        0
    } else {
        header.crc
    };
    (u64_at(bytes, 0) & rule.zero[0])
        | (header.id & rule.zero[1])
        | (header.arg & rule.zero[2])
        | u64::from(header.aux & rule.zero[3] as u32)
        | u64::from(unused_crc)
}

/// Names the first field that should have been zero.
#[cold]
fn explain(kind: Kind, bytes: &[u8; HEADER_LEN], rule: &Rule) -> FrameError {
    let header = Header::read(kind, bytes);
    let wrong = u64_at(bytes, 0) & rule.zero[0];
    let forbidden = (wrong >> 8) as u8;
    if forbidden != 0 {
        return FrameError::ForbiddenFlags {
            kind,
            flags: header.flags.bits(),
            forbidden,
        };
    }
    if wrong >> 32 != 0 {
        return FrameError::BodyLength {
            kind,
            body_len: header.body_len as usize,
            expected: 0,
        };
    }
    let (field, value) = if wrong != 0 {
        (Field::Code, u64::from(header.code))
    } else if header.id & rule.zero[1] != 0 {
        (Field::Id, header.id)
    } else if header.arg & rule.zero[2] != 0 {
        (Field::Arg, header.arg)
    } else if u64::from(header.aux) & rule.zero[3] != 0 {
        (Field::Aux, u64::from(header.aux))
    } else {
        (Field::Crc, u64::from(header.crc))
    };
    FrameError::NonZero { kind, field, value }
}
