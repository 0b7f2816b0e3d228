//! Errors of frames. A [`FrameError`] is fatal for its connection only.

use std::fmt;

use super::Kind;

/// A field of the header, named in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The failure code or drain reason.
    Code,
    /// The request id.
    Id,
    /// The kind-specific 64-bit field.
    Arg,
    /// The kind-specific 32-bit field.
    Aux,
    /// The checksum.
    Crc,
    /// A reserved field of a structured body.
    Reserved,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Code => "code",
            Field::Id => "id",
            Field::Arg => "arg",
            Field::Aux => "aux",
            Field::Crc => "crc",
            Field::Reserved => "reserved",
        })
    }
}

/// The peer sent something that is not a frame of this protocol. The bytes behind it cannot be trusted:
/// close the connection, tell the reason in the log, and leave every other connection alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The first byte names no kind.
    #[error("unknown frame kind {kind:#04x}; the peer is out of step or speaks a later version")]
    UnknownKind {
        /// The byte received.
        kind: u8,
    },
    /// A flag that this kind does not know.
    #[error(
        "{kind} frame with flags {flags:#04x}, of which {forbidden:#04x} are not defined for it"
    )]
    ForbiddenFlags {
        /// The frame's kind.
        kind: Kind,
        /// The flags received.
        flags: u8,
        /// Those of them that must not be set.
        forbidden: u8,
    },
    /// A field that must be zero in this kind is not.
    #[error("{kind} frame with {field} = {value:#x}, which must be 0 there")]
    NonZero {
        /// The frame's kind.
        kind: Kind,
        /// The field.
        field: Field,
        /// The value of the field.
        value: u64,
    },
    /// The body is longer than this side accepts for the kind.
    #[error("{kind} frame with a body of {body_len} bytes; the limit is {limit} ({key})")]
    BodyTooLong {
        /// The frame's kind.
        kind: Kind,
        /// The length announced.
        body_len: u32,
        /// The largest length accepted.
        limit: u32,
        /// The config key that sets the limit.
        key: &'static str,
    },
    /// The body is shorter than the fixed part of the kind's body, or not of its exact length.
    #[error("{kind} frame with a body of {body_len} bytes, where {expected} are required")]
    BodyLength {
        /// The frame's kind.
        kind: Kind,
        /// The length announced or given.
        body_len: usize,
        /// The length that was required.
        expected: usize,
    },
    /// The whole RPC body, over all its slices, is longer than this side accepts.
    #[error("{kind} of {total_len} bytes in all; the limit is {limit} ({key})")]
    RpcTooLong {
        /// The frame's kind.
        kind: Kind,
        /// The announced length of the whole body.
        total_len: u64,
        /// The largest accepted.
        limit: u64,
        /// The config key that sets the limit.
        key: &'static str,
    },
    /// The fields contradict each other.
    #[error("{kind} frame that contradicts itself: {what}")]
    Inconsistent {
        /// The frame's kind.
        kind: Kind,
        /// The contradiction.
        what: &'static str,
    },
    /// A text is not UTF-8.
    #[error("{kind} frame whose text is not UTF-8")]
    NotUtf8 {
        /// The frame's kind.
        kind: Kind,
    },
    /// A header was given to the wrong frame type (an error of the caller, not of the peer).
    #[error("a {found} header was read as {expected}")]
    WrongKind {
        /// The kind that the frame type reads.
        expected: Kind,
        /// The kind in the header.
        found: Kind,
    },
}

/// A body whose CRC32C is not the one in its header.
///
/// The frame's boundaries are still trusted, so this fails the request (with
/// [`FailureCode::ChecksumMismatch`](super::FailureCode::ChecksumMismatch), retryable) and not the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} frame of request {id}: CRC32C of the body is {computed:#010x}, its header says {announced:#010x}"
)]
pub struct ChecksumError {
    /// The frame's kind.
    pub kind: Kind,
    /// The request that the frame belongs to.
    pub id: u64,
    /// The checksum in the header.
    pub announced: u32,
    /// The checksum computed over the body.
    pub computed: u32,
}
