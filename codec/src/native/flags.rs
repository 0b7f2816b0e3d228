//! The flag bits of a header.

use std::fmt;
use std::ops::BitOr;

/// The second byte of a header. The kind of a frame decides which bits it may carry.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// The header's `crc` is the CRC32C of this frame's body, without its padding.
    pub const CRC: Flags = Flags(1);
    /// More slices of the same body follow.
    pub const MORE: Flags = Flags(1 << 1);
    /// The failure may go away if the same request is sent again.
    pub const RETRYABLE: Flags = Flags(1 << 2);
    /// RpcSlice: continues a reply. Credit: granted by the responder, for a body that the initiator sends.
    pub const REPLY: Flags = Flags(1 << 3);
    /// RpcSlice: continues a one-way message.
    pub const ONE_WAY: Flags = Flags(1 << 4);

    /// The flags with exactly these bits, known or not.
    #[inline]
    pub const fn from_bits(bits: u8) -> Flags {
        Flags(bits)
    }

    /// The bits as they stand in the header.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all bits of `other` are set here.
    #[inline]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits together.
    #[inline]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// `other` if `condition` holds, added to these bits.
    #[inline]
    #[must_use]
    pub const fn with_if(self, other: Flags, condition: bool) -> Flags {
        if condition { self.with(other) } else { self }
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        self.with(other)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 5] = ["CRC", "MORE", "RETRYABLE", "REPLY", "ONE_WAY"];
        f.write_str("Flags(")?;
        let mut separator = "";
        for bit in 0..8 {
            if self.0 & (1 << bit) != 0 {
                match NAMES.get(bit) {
                    Some(name) => write!(f, "{separator}{name}")?,
                    None => write!(f, "{separator}bit{bit}")?,
                }
                separator = "|";
            }
        }
        f.write_str(")")
    }
}
