//! Keys of the shuffle service: every field of `ShuffleConf`, and where it listens.

use std::time::Duration;

use super::entries;
use crate::conf::alternate::Alternate;
use crate::conf::entry::{flag, int, list, size, time};
use crate::conf::size::ByteUnit::Byte;
use crate::conf::time::TimeUnit::Seconds;
use crate::conf::value::ValueError;

entries! {
    /// The port that `ringrail shuffle-service` listens on; 0 for any free one.
    PORT: u16 = "ringrail.shuffle.port", int()
        .default("7337")
        .alternates(&[Alternate::same("spark.shuffle.service.port")]);

    /// The directories that executors' own must lie below. The variable `SPARK_LOCAL_DIRS` overrides it, as in
    /// Spark.
    LOCAL_DIRS: Vec<String> = "ringrail.shuffle.localDirs", list()
        .default("/tmp")
        .alternates(&[Alternate::same("spark.local.dir")]);

    /// Whether executors that have registered are kept, in the first of these directories, for the next start.
    RECOVERY: bool = "ringrail.shuffle.recovery", flag()
        .default("true")
        .alternates(&[Alternate::same("spark.shuffle.service.db.enabled")]);

    /// How long a service that starts waits for the one before it to let go of what it has kept.
    RECOVERY_WAIT: Duration = "ringrail.shuffle.recoveryWait", time(Seconds)
        .default("60s")
        .range("0", "365d");

    /// Memory for index files, of all shards together.
    INDEX_CACHE_SIZE: usize = "ringrail.shuffle.indexCacheSize", size(Byte)
        .default("100m")
        .alternates(&[Alternate::same("spark.shuffle.service.index.cache.size")]);

    /// Files that a shard has open at a time; a connection that needs one more is closed, upon which Spark tries
    /// again. Less where the process may not open so many.
    MAX_OPEN_FILES: usize = "ringrail.shuffle.maxOpenFiles", int()
        .default("65536")
        .range("1", "16777216");

    /// Executors that may be registered.
    MAX_EXECUTORS: usize = "ringrail.shuffle.maxExecutors", int()
        .default("100000")
        .range("1", "16777216");

    /// Chunks that may be on their way to all readers; a connection that asks for one more is closed, upon which
    /// Spark tries again.
    MAX_CHUNKS_BEING_TRANSFERRED: u64 = "ringrail.shuffle.maxChunksBeingTransferred", int()
        .default("9223372036854775807")
        .alternates(&[Alternate::same("spark.shuffle.maxChunksBeingTransferred")]);

    /// Whether blocks that map tasks push are merged (push-based shuffle); otherwise they are refused, upon which Spark
    /// goes on without.
    MERGE: bool = "ringrail.shuffle.merge", flag()
        .default("false")
        .alternates(&[
            Alternate::same("spark.shuffle.push.server.mergedShuffleFileManagerImpl")
                .translated(is_merging),
        ]);

    /// A chunk of a merged file ends with the block that makes it as long as this.
    MERGE_MIN_CHUNK_SIZE: u64 = "ringrail.shuffle.mergeMinChunkSize", size(Byte)
        .default("2m")
        .range("1b", "1g")
        .alternates(&[
            Alternate::same("spark.shuffle.push.server.minChunkSizeInMergedShuffleFile"),
        ]);

    /// Failures of the disk after which the merging of a partition is given up.
    MERGE_MAX_IO_ERRORS: u32 = "ringrail.shuffle.mergeMaxIoErrors", int()
        .default("4")
        .alternates(&[
            Alternate::same("spark.shuffle.push.server.ioExceptionsThresholdDuringMerge"),
        ]);

    /// Memory for pushed blocks until they are written, of all shards together; one may have a quarter of it. Beyond
    /// it a block is refused as if it had collided, upon which Spark pushes it again.
    MERGE_MEMORY: usize = "ringrail.shuffle.mergeMemory", size(Byte)
        .default("128m")
        .range("1m", "1t");

    /// Threads that write merged files.
    MERGE_THREADS: usize = "ringrail.shuffle.mergeThreads", int()
        .default("2")
        .range("1", "1024");

    /// Threads that register executors, delete blocks, look for corruption, and read and open what of index and
    /// data files is not in memory.
    THREADS: usize = "ringrail.shuffle.threads", int()
        .default("2")
        .range("1", "1024");

    /// Requests that may wait for such a thread; further ones are refused as busy, or end their connection where
    /// they are for chunks.
    QUEUE: usize = "ringrail.shuffle.queue", int()
        .default("1024")
        .range("1", "16777216");
}

/// Spark names a class.
fn is_merging(class: &str) -> Result<String, ValueError> {
    let name = class
        .trim()
        .strip_prefix("org.apache.spark.network.shuffle.");
    match name {
        Some("RemoteBlockPushResolver") => Ok(String::from("true")),
        Some("NoOpMergedShuffleFileManager") => Ok(String::from("false")),
        _ => Err(ValueError::new(format!(
            "must be org.apache.spark.network.shuffle.RemoteBlockPushResolver or \
             …NoOpMergedShuffleFileManager, but was {}",
            class.trim()
        ))),
    }
}
