//! The blocks that a message asks for, as a list of one block per chunk.

use std::collections::BTreeSet;

use bytes::Bytes;
use ringrail_codec::spark::shuffle::{
    FetchShuffleBlockChunks, FetchShuffleBlocks, GetLocalDirsForExecutors, Ints,
    LocalDirsForExecutors, Message, OpenBlocks, Strings,
};

use super::block::Block;
use super::error::ShuffleError;
use super::executors::Executors;
use super::merge::{MERGER, Merges};
use super::streams::{MAX_CONNECTION_CHUNKS, too_many_chunks};
use super::tasks::encoded;

/// The old protocol: blocks by name.
pub(super) fn blocks_by_name(asked: &OpenBlocks<'_>) -> Result<Vec<Block>, ShuffleError> {
    check_count(asked.block_ids.len())?;
    asked.block_ids.iter().map(Block::parse).collect()
}

/// The new protocol: shuffle blocks by number; with batches one chunk for each map.
pub(super) fn blocks_by_number(asked: &FetchShuffleBlocks<'_>) -> Result<Vec<Block>, ShuffleError> {
    let count = match asked.batch_fetch_enabled {
        true => asked.map_ids.len(),
        false => asked.reduce_ids.iter().map(|reduces| reduces.len()).sum(),
    };
    check_count(count)?;
    let mut blocks = Vec::with_capacity(count);
    for (map, reduces) in asked.map_ids.iter().zip(asked.reduce_ids.iter()) {
        if asked.batch_fetch_enabled {
            blocks.push(batch(asked.shuffle_id, map, reduces)?);
            continue;
        }
        for reduce in reduces {
            // The last number is followed by a negative one, which is refused.
            let range = (reduce, reduce.wrapping_add(1));
            blocks.push(Block::of_shuffle(asked.shuffle_id, map, range)?);
        }
    }
    Ok(blocks)
}

fn batch(shuffle: i32, map: i64, reduces: Ints<'_>) -> Result<Block, ShuffleError> {
    let (Some(first), Some(end), 2) = (reduces.get(0), reduces.get(1), reduces.len()) else {
        let count = reduces.len();
        return Err(ShuffleError::BadBatch { map, count });
    };
    Block::of_shuffle(shuffle, map, (first, end))
}

/// Chunks of merged partitions, partition by partition.
pub(super) fn merged_blocks(
    asked: &FetchShuffleBlockChunks<'_>,
) -> Result<Vec<Block>, ShuffleError> {
    let count = asked.chunk_ids.iter().map(|chunks| chunks.len()).sum();
    check_count(count)?;
    let mut blocks = Vec::with_capacity(count);
    let (shuffle, merge) = (asked.shuffle_id, asked.shuffle_merge_id);
    for (reduce, chunks) in asked.reduce_ids.iter().zip(asked.chunk_ids.iter()) {
        for chunk in chunks {
            blocks.push(Block::of_merge(shuffle, merge, (reduce, chunk))?);
        }
    }
    Ok(blocks)
}

fn check_count(count: usize) -> Result<(), ShuffleError> {
    if count > MAX_CONNECTION_CHUNKS {
        return Err(too_many_chunks());
    }
    Ok(())
}

/// The directories of executors, as they have named them, and of merged files, if these are asked for.
pub(super) fn local_dirs(
    executors: &Executors,
    merges: Option<&Merges>,
    asked: &GetLocalDirsForExecutors<'_>,
) -> Result<Bytes, ShuffleError> {
    let ids: BTreeSet<&str> = asked.exec_ids.iter().collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let (mut counts, mut dirs) = (Vec::with_capacity(ids.len()), Vec::new());
    for exec in &ids {
        let before = dirs.len();
        match merges.filter(|_| *exec == MERGER) {
            Some(merges) => dirs.extend(merges.dirs(asked.app_id)?),
            None => {
                let executor = executors.find(asked.app_id, exec)?;
                dirs.extend_from_slice(executor.as_registered());
            }
        }
        counts.push((dirs.len() - before) as i32);
    }
    Ok(encoded(Message::LocalDirsForExecutors(
        LocalDirsForExecutors {
            exec_ids: Strings::from(&ids[..]),
            num_dirs: Ints::from(&counts[..]),
            dirs: Strings::from(&dirs[..]),
        },
    )))
}
