//! The types of shuffle messages and the numbers they have on the wire.

use std::fmt;

/// The kind of a shuffle message; Spark's `BlockTransferMessage.Type`. The discriminant is the first byte of
/// the RPC's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the type of the same name")]
pub enum MessageKind {
    OpenBlocks = 0,
    UploadBlock = 1,
    RegisterExecutor = 2,
    StreamHandle = 3,
    RegisterDriver = 4,
    ShuffleServiceHeartbeat = 5,
    UploadBlockStream = 6,
    RemoveBlocks = 7,
    BlocksRemoved = 8,
    FetchShuffleBlocks = 9,
    GetLocalDirsForExecutors = 10,
    LocalDirsForExecutors = 11,
    PushBlockStream = 12,
    FinalizeShuffleMerge = 13,
    MergeStatuses = 14,
    FetchShuffleBlockChunks = 15,
    DiagnoseCorruption = 16,
    CorruptionCause = 17,
    BlockPushReturnCode = 18,
    RemoveShuffleMerge = 19,
}

impl MessageKind {
    /// Every kind, in the order of its number.
    pub const ALL: [MessageKind; 20] = [
        MessageKind::OpenBlocks,
        MessageKind::UploadBlock,
        MessageKind::RegisterExecutor,
        MessageKind::StreamHandle,
        MessageKind::RegisterDriver,
        MessageKind::ShuffleServiceHeartbeat,
        MessageKind::UploadBlockStream,
        MessageKind::RemoveBlocks,
        MessageKind::BlocksRemoved,
        MessageKind::FetchShuffleBlocks,
        MessageKind::GetLocalDirsForExecutors,
        MessageKind::LocalDirsForExecutors,
        MessageKind::PushBlockStream,
        MessageKind::FinalizeShuffleMerge,
        MessageKind::MergeStatuses,
        MessageKind::FetchShuffleBlockChunks,
        MessageKind::DiagnoseCorruption,
        MessageKind::CorruptionCause,
        MessageKind::BlockPushReturnCode,
        MessageKind::RemoveShuffleMerge,
    ];
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl TryFrom<u8> for MessageKind {
    type Error = super::MessageError;

    fn try_from(kind: u8) -> Result<Self, super::MessageError> {
        let found = Self::ALL.get(usize::from(kind)).copied();
        found.ok_or(super::MessageError::UnknownType { kind: kind as i8 })
    }
}
