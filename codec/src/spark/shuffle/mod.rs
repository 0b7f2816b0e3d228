//! The messages of the external shuffle service: what is in the body of an RpcRequest or RpcResponse, and in
//! the metadata of an UploadStream.
//!
//! A message is a type and its fields. [`Message::decode`] reads any of them; each one's own type reads and
//! writes that one. Received texts and lists are views of the buffer that the message lies in.

mod any;
mod bitmap;
mod blocks;
mod corruption;
mod error;
mod executors;
mod kind;
mod list;
mod merge;
mod message;

pub use any::Message;
pub use bitmap::{Bitmap, Bitmaps, BitmapsIter};
pub use blocks::{
    BlocksRemoved, FetchShuffleBlocks, OpenBlocks, RemoveBlocks, StreamHandle, UploadBlock,
    UploadBlockStream,
};
pub use corruption::{Cause, CorruptionCause, DiagnoseCorruption};
pub use error::{MessageEncodeError, MessageError};
pub use executors::{
    GetLocalDirsForExecutors, LocalDirsForExecutors, RegisterDriver, RegisterExecutor,
    ShuffleServiceHeartbeat,
};
pub use kind::MessageKind;
pub use list::{IntLists, IntListsIter, Ints, IntsIter, Longs, LongsIter, Strings, StringsIter};
pub use merge::{
    BlockPushReturnCode, FetchShuffleBlockChunks, FinalizeShuffleMerge, MergeStatuses,
    PushBlockStream, PushOutcome, RemoveShuffleMerge,
};

use super::FieldError;
use super::wire::Fields;

/// One byte that is the number of one of `all`.
fn one_of<T: Copy>(
    field: &'static str,
    all: &[T],
    expected: &'static str,
    fields: &mut Fields<'_>,
) -> Result<T, FieldError> {
    let number: u8 = fields.get(field)?;
    let value = i64::from(number);
    let found = all.get(usize::from(number)).copied();
    found.ok_or(FieldError::Value {
        field,
        value,
        expected,
    })
}
