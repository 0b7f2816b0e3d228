//! The fingerprint of the archive format, compared in the handshake.
//!
//! rkyv's format features (byte order, alignment, pointer width) unify over a whole dependency graph: a
//! program that turns another one on would silently speak another format. The constant is derived from
//! what the features did to rkyv's types, so such a program and a regular one refuse each other clearly.

use rkyv::primitive::ArchivedUsize;
use rkyv::rend::{u32_be, u32_le, unaligned};
use rkyv::string::ArchivedString;
use rkyv::vec::ArchivedVec;
use rkyv::{Archived, option::ArchivedOption};

use crate::native::VERSION;

/// Tells the byte order of an archived u32 at compile time.
trait ByteOrder {
    const ORDER: u64;
}

impl ByteOrder for u32_le {
    const ORDER: u64 = 1;
}

impl ByteOrder for u32_be {
    const ORDER: u64 = 2;
}

impl ByteOrder for unaligned::u32_ule {
    const ORDER: u64 = 3;
}

impl ByteOrder for unaligned::u32_ube {
    const ORDER: u64 = 4;
}

/// The fingerprint of the format that this build speaks.
pub const FORMAT_FINGERPRINT: u64 = {
    let facts = [
        VERSION as u64,
        <Archived<u32> as ByteOrder>::ORDER,
        align_of::<Archived<u64>>() as u64,
        size_of::<ArchivedUsize>() as u64,
        size_of::<ArchivedString>() as u64,
        size_of::<ArchivedVec<Archived<u64>>>() as u64,
        size_of::<ArchivedOption<Archived<u64>>>() as u64,
    ];
    // FNV-1a over the facts: stable, and simple enough to compute by hand.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < facts.len() {
        hash = (hash ^ facts[i]).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
};
