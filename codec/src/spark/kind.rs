//! The types of Spark's frames and the numbers they have on the wire.

use std::fmt;

use super::FrameError;

/// The kind of a frame; Spark's `Message.Type`. The discriminant is the byte after the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Asks for one chunk of a registered stream.
    ChunkFetchRequest = 0,
    /// A whole chunk.
    ChunkFetchSuccess = 1,
    /// Why there is no chunk.
    ChunkFetchFailure = 2,
    /// A request that wants an answer.
    RpcRequest = 3,
    /// The answer to an [`Kind::RpcRequest`] or an [`Kind::UploadStream`].
    RpcResponse = 4,
    /// The failure of an [`Kind::RpcRequest`], an [`Kind::UploadStream`] or a
    /// [`Kind::MergedBlockMetaRequest`].
    RpcFailure = 5,
    /// Asks for a named stream.
    StreamRequest = 6,
    /// Announces the bytes of a stream, which follow behind the frame.
    StreamResponse = 7,
    /// Why there is no stream.
    StreamFailure = 8,
    /// A message that gets no answer.
    OneWayMessage = 9,
    /// A request whose data follows behind the frame.
    UploadStream = 10,
    /// Asks for the chunk bitmaps of a merged shuffle partition.
    MergedBlockMetaRequest = 11,
    /// Those bitmaps.
    MergedBlockMetaSuccess = 12,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Kind; 13] = [
        Kind::ChunkFetchRequest,
        Kind::ChunkFetchSuccess,
        Kind::ChunkFetchFailure,
        Kind::RpcRequest,
        Kind::RpcResponse,
        Kind::RpcFailure,
        Kind::StreamRequest,
        Kind::StreamResponse,
        Kind::StreamFailure,
        Kind::OneWayMessage,
        Kind::UploadStream,
        Kind::MergedBlockMetaRequest,
        Kind::MergedBlockMetaSuccess,
    ];

    /// The number that Spark keeps for messages of its callers (-1). It is never sent.
    pub const USER: u8 = 0xff;

    /// Spark's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::ChunkFetchRequest => "ChunkFetchRequest",
            Kind::ChunkFetchSuccess => "ChunkFetchSuccess",
            Kind::ChunkFetchFailure => "ChunkFetchFailure",
            Kind::RpcRequest => "RpcRequest",
            Kind::RpcResponse => "RpcResponse",
            Kind::RpcFailure => "RpcFailure",
            Kind::StreamRequest => "StreamRequest",
            Kind::StreamResponse => "StreamResponse",
            Kind::StreamFailure => "StreamFailure",
            Kind::OneWayMessage => "OneWayMessage",
            Kind::UploadStream => "UploadStream",
            Kind::MergedBlockMetaRequest => "MergedBlockMetaRequest",
            Kind::MergedBlockMetaSuccess => "MergedBlockMetaSuccess",
        }
    }

    /// The length of the head, that is of all before the body, where it is the same for every frame of the
    /// kind and a body fills the rest of the frame. For the other kinds the frame is the head.
    #[inline]
    pub(super) const fn head_before_body(self) -> Option<usize> {
        match self {
            Kind::ChunkFetchSuccess
            | Kind::RpcRequest
            | Kind::RpcResponse
            | Kind::MergedBlockMetaSuccess => Some(21),
            Kind::OneWayMessage => Some(13),
            _ => None,
        }
    }

    /// Whether the body is a part of the frame, so that the frame's length counts it.
    pub const fn body_in_frame(self) -> bool {
        self.head_before_body().is_some()
    }

    /// Whether it is a request; the other kinds are answers to one.
    pub const fn is_request(self) -> bool {
        matches!(
            self,
            Kind::ChunkFetchRequest
                | Kind::RpcRequest
                | Kind::StreamRequest
                | Kind::OneWayMessage
                | Kind::UploadStream
                | Kind::MergedBlockMetaRequest
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
        match Self::ALL.get(usize::from(kind)) {
            Some(&kind) => Ok(kind),
            None if kind == Self::USER => Err(FrameError::UserType),
            None => Err(FrameError::UnknownType { kind: kind as i8 }),
        }
    }
}
