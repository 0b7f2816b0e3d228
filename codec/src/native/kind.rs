//! The kinds of frames and the numbers they have on the wire.

use std::fmt;

use super::FrameError;

/// The kind of a frame. The discriminant is the first byte of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A request that wants a reply; its body may be the first slice of a larger one.
    RpcRequest = 0x01,
    /// The answer to an [`Kind::RpcRequest`] or an [`Kind::Upload`].
    RpcReply = 0x02,
    /// The failure of an [`Kind::RpcRequest`] or an [`Kind::Upload`].
    RpcFailure = 0x03,
    /// A message that gets no answer.
    OneWay = 0x04,
    /// The next slice of a request, reply or one-way message that is larger than one frame.
    RpcSlice = 0x05,
    /// Asks for one chunk of a registered stream, or a range of it.
    ChunkRequest = 0x10,
    /// A slice of a chunk.
    ChunkData = 0x11,
    /// The failure of a [`Kind::ChunkRequest`].
    ChunkFailure = 0x12,
    /// Asks for a named stream, from an offset on.
    StreamRequest = 0x20,
    /// A slice of a stream.
    StreamData = 0x21,
    /// The end of a stream, with the number of bytes sent.
    StreamEnd = 0x22,
    /// The failure of a [`Kind::StreamRequest`], before or in the middle of its data.
    StreamFailure = 0x23,
    /// Opens an upload; its body is the small metadata.
    Upload = 0x30,
    /// A slice of an upload.
    UploadData = 0x31,
    /// The end of an upload, with the number of bytes sent.
    UploadEnd = 0x32,
    /// Retracts a request.
    Cancel = 0x40,
    /// Grants bytes to the sender of a bulk body.
    Credit = 0x41,
    /// Announces that no further request will be served.
    Drain = 0x42,
    /// Asks for a [`Kind::Pong`].
    Ping = 0x43,
    /// Answers a [`Kind::Ping`] with its opaque value.
    Pong = 0x44,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Kind; 20] = [
        Kind::RpcRequest,
        Kind::RpcReply,
        Kind::RpcFailure,
        Kind::OneWay,
        Kind::RpcSlice,
        Kind::ChunkRequest,
        Kind::ChunkData,
        Kind::ChunkFailure,
        Kind::StreamRequest,
        Kind::StreamData,
        Kind::StreamEnd,
        Kind::StreamFailure,
        Kind::Upload,
        Kind::UploadData,
        Kind::UploadEnd,
        Kind::Cancel,
        Kind::Credit,
        Kind::Drain,
        Kind::Ping,
        Kind::Pong,
    ];

    /// The kind's name, as the documentation writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::RpcRequest => "RpcRequest",
            Kind::RpcReply => "RpcReply",
            Kind::RpcFailure => "RpcFailure",
            Kind::OneWay => "OneWay",
            Kind::RpcSlice => "RpcSlice",
            Kind::ChunkRequest => "ChunkRequest",
            Kind::ChunkData => "ChunkData",
            Kind::ChunkFailure => "ChunkFailure",
            Kind::StreamRequest => "StreamRequest",
            Kind::StreamData => "StreamData",
            Kind::StreamEnd => "StreamEnd",
            Kind::StreamFailure => "StreamFailure",
            Kind::Upload => "Upload",
            Kind::UploadData => "UploadData",
            Kind::UploadEnd => "UploadEnd",
            Kind::Cancel => "Cancel",
            Kind::Credit => "Credit",
            Kind::Drain => "Drain",
            Kind::Ping => "Ping",
            Kind::Pong => "Pong",
        }
    }

    /// Whether the frame carries a slice of a bulk body, and so travels in the lane behind control frames
    /// and is charged against the receiver's credit. The first slice of an RPC body is not bulk.
    pub const fn is_bulk(self) -> bool {
        matches!(
            self,
            Kind::RpcSlice | Kind::ChunkData | Kind::StreamData | Kind::UploadData
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<u8> for Kind {
    type Error = FrameError;

    #[inline]
    fn try_from(kind: u8) -> Result<Self, FrameError> {
        super::rules::RULES[usize::from(kind)]
            .kind
            .ok_or(FrameError::UnknownKind { kind })
    }
}
