//! Options of a chunk's fetch.

use std::time::Duration;

use crate::shard::conn::fetch::ChunkWish;

/// The part of a chunk to fetch, and the options of the fetch.
#[derive(Clone, Copy, Debug)]
pub struct ChunkOptions {
    /// Offset of the first byte wanted, in bytes: the end of an earlier, interrupted attempt.
    pub offset: u64,
    /// Upper bound on the bytes fetched.
    pub max_len: u64,
    /// Its length if known: memory is leased before the request leaves, which saves a round trip.
    pub len_hint: Option<u64>,
    /// Time limit for the answer; `None` for the configured request timeout.
    pub timeout: Option<Duration>,
    /// Take checksums (CRC32C) where the connection has them; `false` where a digest that is verified end to end
    /// covers the chunk, as BLAKE3 does in `ringrail fetch`.
    pub checksum: bool,
}

impl ChunkOptions {
    /// The part of them that the connection needs to know.
    pub(crate) fn wish(&self) -> ChunkWish {
        ChunkWish::new(self.len_hint, self.checksum)
    }
}

impl Default for ChunkOptions {
    fn default() -> Self {
        Self {
            offset: 0,
            max_len: u64::MAX,
            len_hint: None,
            timeout: None,
            checksum: true,
        }
    }
}
