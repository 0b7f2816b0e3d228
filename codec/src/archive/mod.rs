//! rkyv archives as message bodies: written straight into the send buffer, validated and then read where
//! they lie in the receive buffer.
//!
//! The body of a frame begins on a 16-byte boundary of an aligned buffer, so [`access`] needs no copy. There
//! is no path around the validation: it costs some nanoseconds, and the bytes come from a peer.

mod access;
mod failure;
mod fingerprint;
mod write;

pub use access::{ArchiveError, Body, MAX_DEPTH, access, decode};
pub use failure::{ArchivedFailureBody, FailureBody, Phase};
pub use fingerprint::FORMAT_FINGERPRINT;
pub use write::{
    Arena, BodyWriter, Encode, EncodeError, Overflow, encode_into, encode_or_spill, encode_to_vec,
};
