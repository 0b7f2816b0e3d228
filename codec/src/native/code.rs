//! The codes in failure and drain frames. Codes of later versions survive a round trip unharmed.

macro_rules! codes {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// A code that this version does not know.
            Other(u16),
        }

        impl $name {
            /// Every code that has a name.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The number on the wire.
            #[inline]
            pub const fn to_wire(self) -> u16 {
                match self {
                    $($name::$variant => $number,)*
                    $name::Other(code) => code,
                }
            }

            /// The code with this number.
            #[inline]
            pub const fn from_wire(code: u16) -> Self {
                match code {
                    $($number => $name::$variant,)*
                    other => $name::Other(other),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $($name::$variant => f.write_str(stringify!($variant)),)*
                    $name::Other(code) => write!(f, "code {code}"),
                }
            }
        }
    };
}

pub(super) use codes;

codes! {
    /// Why a request failed: the `code` of RpcFailure, ChunkFailure and StreamFailure.
    FailureCode {
        /// Something failed in the responder that has no code of its own.
        Internal = 1,
        /// The responder does not know this kind of request or message.
        Unsupported = 2,
        /// There is no such endpoint, stream, chunk or file.
        NotFound = 3,
        /// The initiator may not do this.
        Unauthorized = 4,
        /// The deadline passed before the request was served.
        DeadlineExceeded = 5,
        /// The request was retracted.
        Cancelled = 6,
        /// The responder has no room for the request at the moment.
        Busy = 7,
        /// The request, or the reply it would have, is larger than a limit.
        TooLarge = 8,
        /// Slices, chunks or offsets came in an order that cannot be.
        OutOfOrder = 9,
        /// The stream that the chunk belongs to is closed.
        StreamClosed = 10,
        /// The handler panicked; the responder goes on.
        HandlerPanicked = 11,
        /// The handler dropped the call without an answer.
        NoReply = 12,
        /// The file or block became shorter while it was being sent.
        SourceTruncated = 13,
        /// The file or block could not be read.
        SourceIo = 14,
        /// The body is not a valid archive of the type expected.
        BadArchive = 15,
        /// A body's CRC32C is wrong.
        ChecksumMismatch = 16,
        /// The responder is draining and serves no further request.
        ShuttingDown = 17,
        /// The request is known, its arguments are not acceptable.
        InvalidArgument = 18,
        /// The upload's consumer refused its data.
        UploadRejected = 19,
    }
}

impl FailureCode {
    /// Whether the same request, sent again a little later, may succeed. Responders set
    /// [`Flags::RETRYABLE`](super::Flags::RETRYABLE) to this value unless they know better.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            FailureCode::Busy
                | FailureCode::ChecksumMismatch
                | FailureCode::ShuttingDown
                | FailureCode::SourceIo
        )
    }
}

codes! {
    /// Why a connection drains: the `code` of a Drain.
    DrainReason {
        /// The process or the server is shutting down.
        Shutdown = 1,
        /// The connection was idle for too long.
        Idle = 2,
        /// The connection has reached the age that its side allows.
        MaxAge = 3,
        /// The side has too much to do and sheds connections.
        Overload = 4,
    }
}
