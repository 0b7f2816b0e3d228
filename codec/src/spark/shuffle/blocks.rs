//! Messages that ask for blocks and answer it.

use super::message::message;
use super::{IntLists, Longs, Strings};
use crate::spark::FieldError;

message! {
    /// Asks for blocks by their names; the old protocol, and the one for blocks of RDDs. Answered by a
    /// [`StreamHandle`] of one chunk per block.
    OpenBlocks<'a> {
        /// The application.
        app_id: &'a str,
        /// The executor that has written the blocks.
        exec_id: &'a str,
        /// `shuffle_<shuffle>_<map>_<reduce>`, `shuffleChunk_<shuffle>_<merge>_<reduce>_<chunk>` or
        /// `rdd_<rdd>_<split>`.
        block_ids: Strings<'a>,
    }
}

message! {
    /// Asks for shuffle blocks by their numbers. Answered by a [`StreamHandle`] whose chunks are the blocks
    /// map by map and reduce by reduce, or with batches one chunk per map.
    FetchShuffleBlocks<'a> check lists_of_equal_length {
        /// The application.
        app_id: &'a str,
        /// The executor that has written the blocks.
        exec_id: &'a str,
        /// The shuffle.
        shuffle_id: i32,
        /// The maps (ids of task attempts).
        map_ids: Longs<'a>,
        /// For each map the reduces; with batches the first and the one behind the last.
        reduce_ids: IntLists<'a>,
        /// Whether each map's blocks are one chunk.
        batch_fetch_enabled: bool,
    }
}

fn lists_of_equal_length(message: &FetchShuffleBlocks<'_>) -> Result<(), FieldError> {
    if message.reduce_ids.len() == message.map_ids.len() {
        return Ok(());
    }
    Err(FieldError::Value {
        field: "the number of reduce_ids",
        value: message.reduce_ids.len() as i64,
        expected: "the number of map_ids",
    })
}

message! {
    /// A stream that is ready: its chunks can be fetched.
    StreamHandle {
        /// The stream.
        stream_id: i64,
        /// How many chunks it has.
        num_chunks: i32,
    }
}

message! {
    /// Brings a block; from executor to executor. Answered by an empty body.
    UploadBlock<'a> {
        /// The application.
        app_id: &'a str,
        /// The executor that is to hold the block.
        exec_id: &'a str,
        /// Its name.
        block_id: &'a str,
        /// Its storage level and class tag, serialised by Java.
        metadata: &'a [u8],
        /// Its bytes.
        block_data: &'a [u8],
    }
}

message! {
    /// Announces a block whose bytes are streamed: the metadata of an
    /// [`UploadStream`](crate::spark::UploadStream). Answered by an empty body.
    UploadBlockStream<'a> {
        /// The block's name.
        block_id: &'a str,
        /// Its storage level and class tag, serialised by Java.
        metadata: &'a [u8],
    }
}

message! {
    /// Asks for blocks to be deleted. Answered by [`BlocksRemoved`].
    RemoveBlocks<'a> {
        /// The application.
        app_id: &'a str,
        /// The executor that has written the blocks.
        exec_id: &'a str,
        /// Their names.
        block_ids: Strings<'a>,
    }
}

message! {
    /// How many blocks were deleted.
    BlocksRemoved {
        /// The number.
        num_removed_blocks: i32,
    }
}
