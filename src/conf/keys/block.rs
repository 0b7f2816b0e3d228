//! Keys of serving and fetching blocks: every field of `BlockServerConf` and `FetchConf`.

use std::time::Duration;

use super::entries;
use crate::block::fetch::Resume;
use crate::conf::alternate::{Alternate, mebibytes};
use crate::conf::entry::{choice, flag, int, size, time};
use crate::conf::size::ByteUnit::Byte;
use crate::conf::time::TimeUnit::Seconds;

/// The words of [`RESUME`].
const RESUME_WORDS: &[&str] = &["continue", "recheck", "fresh"];

entries! {
    /// Threads of a server that open, list and hash files; 0 for one per processor, up to four.
    SERVER_THREADS: usize = "ringrail.block.serverThreads", int()
        .default("0")
        .range("0", "1024");

    /// Requests that may wait for such a thread; further ones are refused as busy.
    SERVER_QUEUE: usize = "ringrail.block.serverQueue", int()
        .default("1024")
        .range("1", "16777216");

    /// Memory for manifests that are being fetched.
    MANIFEST_BUDGET: u64 = "ringrail.block.manifestBudget", size(Byte)
        .default("1g");

    /// Entries that one manifest may have.
    MAX_MANIFEST_ENTRIES: u64 = "ringrail.block.maxManifestEntries", int()
        .default("4000000");

    /// Streams that one connection may have open.
    MAX_STREAMS: u32 = "ringrail.block.maxStreams", int()
        .default("1024")
        .range("1", "4294967295");

    /// An idle stream is closed after this time, when others are opened.
    STREAM_IDLE: Duration = "ringrail.block.streamIdle", time(Seconds)
        .default("120s");

    /// Files that a server of a directory has open at a time.
    MAX_OPEN_FILES: usize = "ringrail.block.maxOpenFiles", int()
        .default("4096")
        .range("1", "16777216");

    /// Connections of a fetch.
    FETCH_CONNECTIONS: usize = "ringrail.block.fetchConnections", int()
        .default("4")
        .range("1", "256")
        .alternates(&[Alternate::same("spark.shuffle.io.numConnectionsPerPeer")]);

    /// Chunks in flight on each.
    FETCH_IN_FLIGHT: usize = "ringrail.block.fetchInFlight", int()
        .default("4")
        .range("1", "1024");

    /// Bytes of chunks that are in flight or being written, of all connections of a fetch together.
    MAX_BYTES_IN_FLIGHT: u64 = "ringrail.block.maxBytesInFlight", size(Byte)
        .default("64m")
        .alternates(&[Alternate::same("spark.reducer.maxSizeInFlight").translated(mebibytes)]);

    /// Bytes of a chunk.
    CHUNK_LEN: u32 = "ringrail.block.chunkLen", size(Byte)
        .default("4m")
        .range("16k", "64m")
        .rule(|len: &u32| len.is_power_of_two(), "a power of two");

    /// Whether every chunk is compared with the server's digest.
    VERIFY: bool = "ringrail.block.verify", flag()
        .default("true");

    /// The treatment of files that already exist at the destination: keep those of the same length and
    /// time and continue unfinished ones; keep files only if their digest is the server's; or fetch
    /// everything anew.
    RESUME: Resume = "ringrail.block.resume", choice(RESUME_WORDS)
        .default("continue");

    /// How often a connection or a file is tried again without success in between.
    MAX_RETRIES: u32 = "ringrail.block.maxRetries", int()
        .default("3")
        .alternates(&[Alternate::same("spark.shuffle.io.maxRetries")]);

    /// The wait before the first such attempt; doubled for each further one.
    RETRY_WAIT: Duration = "ringrail.block.retryWait", time(Seconds)
        .default("1s")
        .range("0", "365d")
        .alternates(&[Alternate::same("spark.shuffle.io.retryWait")]);

    /// Whether files are on the disk before they get their names.
    SYNC: bool = "ringrail.block.sync", flag()
        .default("false");
}
