//! Keys of the network, of fetching and of shuffle servers.

use std::time::Duration;

use super::super::entries;
use crate::conf::alternate::Alternate;
use crate::conf::entry::{choice, flag, int, of, size, text, time};
use crate::conf::size::ByteUnit::{Byte, MiB};
use crate::conf::time::TimeUnit::{Millis, Seconds};
use crate::conf::value::Kind;

entries! {
    /// The time that other timeouts begin with.
    NETWORK_TIMEOUT: Duration = "spark.network.timeout", time(Seconds)
        .default("120s");

    /// How often expired block managers are looked for. Has no effect: each timer stands for
    /// itself.
    NETWORK_TIMEOUT_INTERVAL: Duration = "spark.network.timeoutInterval", time(Millis)
        .default("60s");

    /// Must be less than `spark.network.timeout`.
    EXECUTOR_HEARTBEAT_INTERVAL: Duration = "spark.executor.heartbeatInterval", time(Millis)
        .default("10s");

    /// How many further ports are tried where one is in use.
    PORT_MAX_RETRIES: u32 = "spark.port.maxRetries", int()
        .default("16");

    /// Values that match the expression are redacted in output.
    REDACTION_REGEX: String = "spark.redaction.regex", of(Kind::Regex)
        .default("(?i)secret|password|token|access[.]?key");

    /// The event loop that Netty uses. Has no effect: see `ringrail.transport.driver`.
    IO_MODE_DEFAULT: String = "spark.io.mode.default", choice(&["NIO", "EPOLL", "KQUEUE", "AUTO"])
        .default("AUTO");

    /// Off-heap memory for buffers. Has no effect: there is no heap.
    PREFER_DIRECT_BUFS: bool = "spark.network.io.preferDirectBufs", flag()
        .default("true");

    /// One allocator for all modules. Has no effect: each shard has a pool of its own.
    SHARED_ALLOCATORS: bool = "spark.network.sharedByteBufAllocators.enabled", flag()
        .default("true");

    /// From where on a block is mapped and not copied. Has no effect: files are sent by
    /// `sendfile`, or gathered; see `ringrail.transport.sendfileMin`.
    MEMORY_MAP_THRESHOLD: u64 = "spark.storage.memoryMapThreshold", size(Byte)
        .default("2m");

    /// Larger blocks are streamed to disk. Has no effect: fetches always write to disk.
    MAX_REMOTE_BLOCK_SIZE_FETCH_TO_MEM: u64 = "spark.maxRemoteBlockSizeFetchToMem", size(Byte)
        .default("200m")
        .alternates(&[Alternate::renamed("spark.reducer.maxReqSizeShuffleToMem", "2.3")]);

    /// Bytes that a reducer has in flight.
    REDUCER_MAX_SIZE_IN_FLIGHT: u64 = "spark.reducer.maxSizeInFlight", size(MiB)
        .default("48m")
        .alternates(&[Alternate::renamed("spark.reducer.maxMbInFlight", "1.4")]);

    /// Requests that a reducer has in flight. Has no effect: chunks are bounded per connection;
    /// see `ringrail.block.fetchInFlight`.
    REDUCER_MAX_REQS_IN_FLIGHT: u32 = "spark.reducer.maxReqsInFlight", int()
        .default("2147483647");

    /// Blocks that a reducer asks of one address at a time. Has no effect, likewise.
    REDUCER_MAX_BLOCKS_IN_FLIGHT_PER_ADDRESS: u32 = "spark.reducer.maxBlocksInFlightPerAddress", int()
        .default("2147483647");

    /// Chunks that a shuffle service may have on their way; a connection that asks for one more is closed.
    MAX_CHUNKS_BEING_TRANSFERRED: u64 = "spark.shuffle.maxChunksBeingTransferred", int()
        .default("9223372036854775807");

    /// Threads for chunks alone, in percent. Has no effect: reading never blocks a shard.
    CHUNK_FETCH_HANDLER_THREADS_PERCENT: Option<u32> =
        "spark.shuffle.server.chunkFetchHandlerThreadsPercent", int();

    /// Threads for ending merges, in percent. Has no effect, likewise.
    FINALIZE_SHUFFLE_MERGE_THREADS_PERCENT: Option<u32> =
        "spark.shuffle.server.finalizeShuffleMergeThreadsPercent", int();

    /// The fetch protocol of Spark 2. Has no effect: the two sides agree when they connect.
    USE_OLD_FETCH_PROTOCOL: bool = "spark.shuffle.useOldFetchProtocol", flag()
        .default("false");

    /// The class that manages merged files of push-based shuffle; `RemoteBlockPushResolver` of its package enables
    /// merging in a shuffle service.
    MERGED_SHUFFLE_FILE_MANAGER: String = "spark.shuffle.push.server.mergedShuffleFileManagerImpl",
        text().default("org.apache.spark.network.shuffle.NoOpMergedShuffleFileManager");

    /// Bytes of a chunk of a merged file, at least.
    MIN_CHUNK_SIZE_IN_MERGED_FILE: u64 =
        "spark.shuffle.push.server.minChunkSizeInMergedShuffleFile", size(Byte).default("2m");

    /// Memory for index files of merged files. Has no effect: all index files share one cache.
    MERGED_INDEX_CACHE_SIZE: u64 = "spark.shuffle.push.server.mergedIndexCacheSize", size(Byte)
        .default("100m");

    /// Failures of the disk after which the merging of a partition is given up.
    IO_EXCEPTIONS_DURING_MERGE: u32 =
        "spark.shuffle.push.server.ioExceptionsThresholdDuringMerge", int().default("4");

    /// How long deleting may take when the service ends. Has no effect: files are deleted before it is answered.
    MERGED_FILE_CLEANER_SHUTDOWN: Duration =
        "spark.shuffle.push.server.mergedShuffleFileCleanerShutdownTimeout", time(Seconds)
        .default("60s");

    /// Must be 0 to 1.
    MEMORY_FRACTION: f64 = "spark.memory.fraction", of(Kind::Float)
        .default("0.6");

    /// Must be 0 to 1.
    MEMORY_STORAGE_FRACTION: f64 = "spark.memory.storageFraction", of(Kind::Float)
        .default("0.5");

    /// Must be `cluster` or `client`.
    SUBMIT_DEPLOY_MODE: String = "spark.submit.deployMode", text()
        .default("client");
}
