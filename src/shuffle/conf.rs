//! Settings of a service, and why one cannot start.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::merge::MergeConf;

/// Settings of a [`ShuffleService`](super::ShuffleService).
#[derive(Clone, Debug)]
pub struct ShuffleConf {
    /// The service's local directories: executors' must lie below them. Spark: `spark.local.dir`.
    pub local_dirs: Vec<PathBuf>,
    /// The file that stores registered executors for the next start; `None` to forget them. Spark:
    /// `spark.shuffle.service.db.enabled`, whose file is in the first local directory.
    pub store: Option<PathBuf>,
    /// Time to wait for another process to close that file.
    pub store_wait: Duration,
    /// Memory for index files, in bytes, of each shard. Spark: `spark.shuffle.service.index.cache.size`.
    pub index_cache_len: usize,
    /// Files that each shard may have open.
    pub max_open_files: usize,
    /// Executors that may be registered.
    pub max_executors: usize,
    /// Chunks of all connections that may be on their way out; a connection that asks for one more is closed, upon
    /// which Spark's clients try again later. Spark: `spark.shuffle.maxChunksBeingTransferred`.
    pub max_chunks_being_transferred: u64,
    /// How pushed blocks are merged; `None` to refuse them, with Spark's words. Spark:
    /// `spark.shuffle.push.server.mergedShuffleFileManagerImpl`.
    pub merge: Option<MergeConf>,
    /// Threads that register executors, delete blocks, look for corruption, and read and open what of index and
    /// data files is not in memory.
    pub threads: usize,
    /// Requests that may wait for such a thread; further ones are refused as busy, or, where they are for chunks,
    /// end their connection, upon which Spark's clients try again later.
    pub queue: usize,
}

impl ShuffleConf {
    /// The defaults for these directories: nothing stored, 4 MiB of index files, 4,096 open files,
    /// 100,000 executors, any number of chunks on their way, nothing merged, 2 threads, 1,024 requests that wait.
    pub fn new(local_dirs: Vec<PathBuf>) -> Self {
        Self {
            local_dirs,
            store: None,
            store_wait: Duration::ZERO,
            index_cache_len: 4 << 20,
            max_open_files: 4096,
            max_executors: 100_000,
            max_chunks_being_transferred: u64::MAX,
            merge: None,
            threads: 2,
            queue: 1024,
        }
    }
}

/// The reason why a service cannot start or change its stored state.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct ShuffleServiceError {
    what: &'static str,
    reason: String,
}

impl ShuffleServiceError {
    pub(super) fn new(what: &'static str, reason: impl fmt::Display) -> Self {
        let reason = reason.to_string();
        Self { what, reason }
    }
}
