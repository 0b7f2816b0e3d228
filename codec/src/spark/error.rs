//! Errors of Spark's frames. A [`FrameError`] is fatal for its connection only.

use super::{FieldError, Kind};

/// The peer sent something that is not a frame of Spark's transport. The start of the next frame is unknown:
/// close the connection and log the reason. Spark sends nothing in such a case either.
///
/// The first four have the texts that Spark gives for the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field counts 2 GiB or more. Usually its bytes are the beginning of another
    /// protocol.
    #[error("Too large frame: {len}")]
    TooLarge {
        /// The bytes behind the length field that it announces.
        len: i64,
    },
    /// The length field does not even count itself and a type.
    #[error("Frame length should be positive: {len}")]
    NotPositive {
        /// The bytes behind the length field that it announces.
        len: i64,
    },
    /// The type -1, which is for Spark's callers and never sent.
    #[error("User type messages cannot be decoded.")]
    UserType,
    /// A type that does not exist.
    #[error("Unknown message type: {kind}")]
    UnknownType {
        /// The type, signed as in Java.
        kind: i8,
    },
    /// The header does not fit its frame.
    #[error("malformed {kind}: {field}")]
    Malformed {
        /// The frame's type.
        kind: Kind,
        /// The field and its error.
        field: FieldError,
    },
    /// A frame that Spark would take but that passes a limit of this side.
    #[error("{kind} with {what} of {len} bytes; the limit is {limit} ({key})")]
    BeyondLimit {
        /// The frame's type.
        kind: Kind,
        /// The part that is too long.
        what: &'static str,
        /// Its length in bytes, or the total length of all such parts.
        len: u64,
        /// The largest accepted length.
        limit: u64,
        /// The config key that sets the limit.
        key: &'static str,
    },
}

/// A frame that cannot be sent, for no reader takes its length: the answer to give is a failure frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} frame of {len} bytes: Spark's frames are shorter than 2 GiB")]
pub struct FrameTooLarge {
    /// The frame's type.
    pub kind: Kind,
    /// The length that it would have, or of the body outside of it.
    pub len: u64,
}

/// Why a frame was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The buffer is too short; nothing was written.
    #[error(transparent)]
    NoRoom(#[from] crate::native::NoRoom),
    /// No reader takes such a frame.
    #[error(transparent)]
    TooLarge(#[from] FrameTooLarge),
}
