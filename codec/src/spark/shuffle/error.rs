//! Errors of shuffle messages. Each fails its request and leaves the connection open.

use super::MessageKind;
use crate::native::NoRoom;
use crate::spark::FieldError;

/// The body of an RPC is not a shuffle message: answer with an RpcFailure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// There is nothing, not even a type.
    #[error("a shuffle message without a type")]
    Empty,
    /// A type that does not exist. Spark says the same.
    #[error("Unknown message type: {kind}")]
    UnknownType {
        /// The type, signed as in Java.
        kind: i8,
    },
    /// The fields cannot be read.
    #[error("malformed {kind}: {field}")]
    Malformed {
        /// The message's type.
        kind: MessageKind,
        /// The field and its error.
        field: FieldError,
    },
    /// Another message than the one that was asked for.
    #[error("{found} where {expected} was expected")]
    WrongKind {
        /// The expected kind.
        expected: MessageKind,
        /// The kind found.
        found: MessageKind,
    },
}

/// Why a message was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageEncodeError {
    /// The buffer is too short; nothing was written.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Its lengths and counts do not fit into their fields.
    #[error("{kind} of {len} bytes: Spark's messages are shorter than 2 GiB")]
    TooLarge {
        /// The message's type.
        kind: MessageKind,
        /// The length that it would have.
        len: usize,
    },
}
