//! Any shuffle message: what a shuffle service's handler reads.

use super::message::{read, split};
use super::*;

/// A message with its fields by name. Texts and lists stay in the buffer they were received into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the type of the same name")]
pub enum Message<'a> {
    OpenBlocks(OpenBlocks<'a>),
    UploadBlock(UploadBlock<'a>),
    RegisterExecutor(RegisterExecutor<'a>),
    StreamHandle(StreamHandle),
    RegisterDriver(RegisterDriver<'a>),
    ShuffleServiceHeartbeat(ShuffleServiceHeartbeat<'a>),
    UploadBlockStream(UploadBlockStream<'a>),
    RemoveBlocks(RemoveBlocks<'a>),
    BlocksRemoved(BlocksRemoved),
    FetchShuffleBlocks(FetchShuffleBlocks<'a>),
    GetLocalDirsForExecutors(GetLocalDirsForExecutors<'a>),
    LocalDirsForExecutors(LocalDirsForExecutors<'a>),
    PushBlockStream(PushBlockStream<'a>),
    FinalizeShuffleMerge(FinalizeShuffleMerge<'a>),
    MergeStatuses(MergeStatuses<'a>),
    FetchShuffleBlockChunks(FetchShuffleBlockChunks<'a>),
    DiagnoseCorruption(DiagnoseCorruption<'a>),
    CorruptionCause(CorruptionCause),
    BlockPushReturnCode(BlockPushReturnCode<'a>),
    RemoveShuffleMerge(RemoveShuffleMerge<'a>),
}

impl<'a> Message<'a> {
    /// Reads the message at the front of an RPC's body or an upload's metadata. Bytes after its last field
    /// are ignored.
    ///
    /// # Errors
    /// [`MessageError`]
    ///
    /// ```
    /// use ringrail_codec::spark::shuffle::{Message, StreamHandle};
    /// let handle = StreamHandle { stream_id: 5, num_chunks: 2 };
    /// let mut body = [0; 13];
    /// handle.encode(&mut body)?;
    /// assert_eq!(Message::decode(&body)?, Message::StreamHandle(handle));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode(body: &'a [u8]) -> Result<Self, MessageError> {
        let (kind, mut fields) = split(body)?;
        Ok(match kind {
            MessageKind::OpenBlocks => Message::OpenBlocks(read(&mut fields)?),
            MessageKind::UploadBlock => Message::UploadBlock(read(&mut fields)?),
            MessageKind::RegisterExecutor => Message::RegisterExecutor(read(&mut fields)?),
            MessageKind::StreamHandle => Message::StreamHandle(read(&mut fields)?),
            MessageKind::RegisterDriver => Message::RegisterDriver(read(&mut fields)?),
            MessageKind::ShuffleServiceHeartbeat => {
                Message::ShuffleServiceHeartbeat(read(&mut fields)?)
            }
            MessageKind::UploadBlockStream => Message::UploadBlockStream(read(&mut fields)?),
            MessageKind::RemoveBlocks => Message::RemoveBlocks(read(&mut fields)?),
            MessageKind::BlocksRemoved => Message::BlocksRemoved(read(&mut fields)?),
            MessageKind::FetchShuffleBlocks => Message::FetchShuffleBlocks(read(&mut fields)?),
            MessageKind::GetLocalDirsForExecutors => {
                Message::GetLocalDirsForExecutors(read(&mut fields)?)
            }
            MessageKind::LocalDirsForExecutors => {
                Message::LocalDirsForExecutors(read(&mut fields)?)
            }
            MessageKind::PushBlockStream => Message::PushBlockStream(read(&mut fields)?),
            MessageKind::FinalizeShuffleMerge => Message::FinalizeShuffleMerge(read(&mut fields)?),
            MessageKind::MergeStatuses => Message::MergeStatuses(read(&mut fields)?),
            MessageKind::FetchShuffleBlockChunks => {
                Message::FetchShuffleBlockChunks(read(&mut fields)?)
            }
            MessageKind::DiagnoseCorruption => Message::DiagnoseCorruption(read(&mut fields)?),
            MessageKind::CorruptionCause => Message::CorruptionCause(read(&mut fields)?),
            MessageKind::BlockPushReturnCode => Message::BlockPushReturnCode(read(&mut fields)?),
            MessageKind::RemoveShuffleMerge => Message::RemoveShuffleMerge(read(&mut fields)?),
        })
    }

    /// Its kind.
    pub const fn kind(&self) -> MessageKind {
        match self {
            Message::OpenBlocks(_) => MessageKind::OpenBlocks,
            Message::UploadBlock(_) => MessageKind::UploadBlock,
            Message::RegisterExecutor(_) => MessageKind::RegisterExecutor,
            Message::StreamHandle(_) => MessageKind::StreamHandle,
            Message::RegisterDriver(_) => MessageKind::RegisterDriver,
            Message::ShuffleServiceHeartbeat(_) => MessageKind::ShuffleServiceHeartbeat,
            Message::UploadBlockStream(_) => MessageKind::UploadBlockStream,
            Message::RemoveBlocks(_) => MessageKind::RemoveBlocks,
            Message::BlocksRemoved(_) => MessageKind::BlocksRemoved,
            Message::FetchShuffleBlocks(_) => MessageKind::FetchShuffleBlocks,
            Message::GetLocalDirsForExecutors(_) => MessageKind::GetLocalDirsForExecutors,
            Message::LocalDirsForExecutors(_) => MessageKind::LocalDirsForExecutors,
            Message::PushBlockStream(_) => MessageKind::PushBlockStream,
            Message::FinalizeShuffleMerge(_) => MessageKind::FinalizeShuffleMerge,
            Message::MergeStatuses(_) => MessageKind::MergeStatuses,
            Message::FetchShuffleBlockChunks(_) => MessageKind::FetchShuffleBlockChunks,
            Message::DiagnoseCorruption(_) => MessageKind::DiagnoseCorruption,
            Message::CorruptionCause(_) => MessageKind::CorruptionCause,
            Message::BlockPushReturnCode(_) => MessageKind::BlockPushReturnCode,
            Message::RemoveShuffleMerge(_) => MessageKind::RemoveShuffleMerge,
        }
    }

    /// The application that the message names, if it names one: what a peer may speak for only if it has
    /// proved to be it.
    pub const fn app_id(&self) -> Option<&'a str> {
        Some(match self {
            Message::OpenBlocks(message) => message.app_id,
            Message::UploadBlock(message) => message.app_id,
            Message::RegisterExecutor(message) => message.app_id,
            Message::RegisterDriver(message) => message.app_id,
            Message::ShuffleServiceHeartbeat(message) => message.app_id,
            Message::RemoveBlocks(message) => message.app_id,
            Message::FetchShuffleBlocks(message) => message.app_id,
            Message::GetLocalDirsForExecutors(message) => message.app_id,
            Message::PushBlockStream(message) => message.app_id,
            Message::FinalizeShuffleMerge(message) => message.app_id,
            Message::FetchShuffleBlockChunks(message) => message.app_id,
            Message::DiagnoseCorruption(message) => message.app_id,
            Message::RemoveShuffleMerge(message) => message.app_id,
            _ => return None,
        })
    }

    /// The length of the message in bytes, its type included.
    pub fn encoded_len(&self) -> usize {
        match self {
            Message::OpenBlocks(message) => message.encoded_len(),
            Message::UploadBlock(message) => message.encoded_len(),
            Message::RegisterExecutor(message) => message.encoded_len(),
            Message::StreamHandle(message) => message.encoded_len(),
            Message::RegisterDriver(message) => message.encoded_len(),
            Message::ShuffleServiceHeartbeat(message) => message.encoded_len(),
            Message::UploadBlockStream(message) => message.encoded_len(),
            Message::RemoveBlocks(message) => message.encoded_len(),
            Message::BlocksRemoved(message) => message.encoded_len(),
            Message::FetchShuffleBlocks(message) => message.encoded_len(),
            Message::GetLocalDirsForExecutors(message) => message.encoded_len(),
            Message::LocalDirsForExecutors(message) => message.encoded_len(),
            Message::PushBlockStream(message) => message.encoded_len(),
            Message::FinalizeShuffleMerge(message) => message.encoded_len(),
            Message::MergeStatuses(message) => message.encoded_len(),
            Message::FetchShuffleBlockChunks(message) => message.encoded_len(),
            Message::DiagnoseCorruption(message) => message.encoded_len(),
            Message::CorruptionCause(message) => message.encoded_len(),
            Message::BlockPushReturnCode(message) => message.encoded_len(),
            Message::RemoveShuffleMerge(message) => message.encoded_len(),
        }
    }

    /// Writes the message to the front of `out` and returns its length.
    ///
    /// # Errors
    /// [`MessageEncodeError`]; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, MessageEncodeError> {
        match self {
            Message::OpenBlocks(message) => message.encode(out),
            Message::UploadBlock(message) => message.encode(out),
            Message::RegisterExecutor(message) => message.encode(out),
            Message::StreamHandle(message) => message.encode(out),
            Message::RegisterDriver(message) => message.encode(out),
            Message::ShuffleServiceHeartbeat(message) => message.encode(out),
            Message::UploadBlockStream(message) => message.encode(out),
            Message::RemoveBlocks(message) => message.encode(out),
            Message::BlocksRemoved(message) => message.encode(out),
            Message::FetchShuffleBlocks(message) => message.encode(out),
            Message::GetLocalDirsForExecutors(message) => message.encode(out),
            Message::LocalDirsForExecutors(message) => message.encode(out),
            Message::PushBlockStream(message) => message.encode(out),
            Message::FinalizeShuffleMerge(message) => message.encode(out),
            Message::MergeStatuses(message) => message.encode(out),
            Message::FetchShuffleBlockChunks(message) => message.encode(out),
            Message::DiagnoseCorruption(message) => message.encode(out),
            Message::CorruptionCause(message) => message.encode(out),
            Message::BlockPushReturnCode(message) => message.encode(out),
            Message::RemoveShuffleMerge(message) => message.encode(out),
        }
    }
}
