//! Messages of push-based shuffle.

use super::message::message;
use super::{Bitmaps, IntLists, Ints};
use crate::spark::FieldError;
use crate::spark::wire::{Field, Fields, Writer};

message! {
    /// Announces a block that is pushed to be merged: the metadata of an
    /// [`UploadStream`](crate::spark::UploadStream). Answered by [`BlockPushReturnCode`].
    PushBlockStream<'a> {
        /// The application.
        app_id: &'a str,
        /// Its attempt.
        app_attempt_id: i32,
        /// The shuffle.
        shuffle_id: i32,
        /// The attempt at merging the shuffle.
        shuffle_merge_id: i32,
        /// The map's number in its stage (not the id of its attempt).
        map_index: i32,
        /// The partition.
        reduce_id: i32,
        /// The block's number among those that are pushed.
        index: i32,
    }
}

message! {
    /// How a push ended.
    BlockPushReturnCode<'a> {
        /// The outcome.
        return_code: PushOutcome,
        /// The block that was not taken; empty if it was.
        failure_block_id: &'a str,
    }
}

message! {
    /// Ends the merging of a shuffle. Answered by [`MergeStatuses`].
    FinalizeShuffleMerge<'a> {
        /// The application.
        app_id: &'a str,
        /// Its attempt.
        app_attempt_id: i32,
        /// The shuffle.
        shuffle_id: i32,
        /// The attempt at merging the shuffle.
        shuffle_merge_id: i32,
    }
}

message! {
    /// The merged blocks of a shuffle, partition by partition.
    MergeStatuses<'a> check lists_of_equal_length {
        /// The shuffle.
        shuffle_id: i32,
        /// The attempt at merging the shuffle.
        shuffle_merge_id: i32,
        /// For each partition the numbers of the maps whose blocks are in it.
        bitmaps: Bitmaps<'a>,
        /// The partitions.
        reduce_ids: Ints<'a>,
        /// Their lengths in bytes.
        sizes: super::Longs<'a>,
    }
}

fn lists_of_equal_length(message: &MergeStatuses<'_>) -> Result<(), FieldError> {
    let partitions = message.reduce_ids.len();
    let other = |field, len: usize| FieldError::Value {
        field,
        value: len as i64,
        expected: "the number of reduce_ids",
    };
    if message.bitmaps.len() != partitions {
        return Err(other("the number of bitmaps", message.bitmaps.len()));
    }
    if message.sizes.len() != partitions {
        return Err(other("the number of sizes", message.sizes.len()));
    }
    Ok(())
}

message! {
    /// Asks for chunks of merged partitions. Answered by a [`StreamHandle`](super::StreamHandle) of one chunk
    /// for each, partition by partition.
    FetchShuffleBlockChunks<'a> check chunks_for_every_partition {
        /// The application.
        app_id: &'a str,
        /// The executor that is named for the merger.
        exec_id: &'a str,
        /// The shuffle.
        shuffle_id: i32,
        /// The attempt at merging the shuffle.
        shuffle_merge_id: i32,
        /// The partitions.
        reduce_ids: Ints<'a>,
        /// For each of them the chunks.
        chunk_ids: IntLists<'a>,
    }
}

fn chunks_for_every_partition(message: &FetchShuffleBlockChunks<'_>) -> Result<(), FieldError> {
    if message.chunk_ids.len() == message.reduce_ids.len() {
        return Ok(());
    }
    Err(FieldError::Value {
        field: "the number of chunk_ids",
        value: message.chunk_ids.len() as i64,
        expected: "the number of reduce_ids",
    })
}

message! {
    /// Asks for the files of a merge to be deleted. The answer does not matter.
    RemoveShuffleMerge<'a> {
        /// The application.
        app_id: &'a str,
        /// Its attempt.
        app_attempt_id: i32,
        /// The shuffle.
        shuffle_id: i32,
        /// The attempt at merging the shuffle; -1 for all.
        shuffle_merge_id: i32,
    }
}

/// How a push ended; Spark's `BlockPushNonFatalFailure.ReturnCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PushOutcome {
    /// The block is merged, or will be.
    Success = 0,
    /// The merge had ended.
    TooLateBlockPush = 1,
    /// Another block was being written to the same partition for too long.
    BlockAppendCollisionDetected = 2,
    /// The merge was of an earlier attempt of the stage.
    StaleBlockPush = 3,
    /// The push was of an earlier attempt of the application.
    TooOldAttemptPush = 4,
}

impl PushOutcome {
    /// Every outcome, in the order of its number.
    pub const ALL: [PushOutcome; 5] = [
        PushOutcome::Success,
        PushOutcome::TooLateBlockPush,
        PushOutcome::BlockAppendCollisionDetected,
        PushOutcome::StaleBlockPush,
        PushOutcome::TooOldAttemptPush,
    ];
}

impl<'a> Field<'a> for PushOutcome {
    fn wire_len(&self) -> usize {
        1
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.put(&(*self as u8));
    }

    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        super::one_of(name, &Self::ALL, "0 to 4", fields)
    }
}
