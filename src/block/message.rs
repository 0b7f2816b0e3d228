//! Requests of a fetcher and replies of a server: archives in the bodies of RPCs.
//!
//! Blocks are opened by an RPC that returns stream ids; their bytes are then sent as chunks of
//! those streams. An id is valid on the connection that opened it.

use rkyv::{Archive, Deserialize, Serialize};

use ringrail_transport::RpcFailure;

use super::digest::Digest;
use super::manifest::{Page, Stamp};

/// Most blocks that one request may open.
pub const MAX_OPEN_BATCH: usize = 256;

/// Most chunks whose digests one request may ask for.
pub const MAX_DIGEST_BATCH: usize = 1024;

/// A request to a block server.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum BlockRequest {
    /// Gives the payload back, from the shard itself: measures the way there and back.
    Ping {
        /// Anything.
        payload: Vec<u8>,
    },
    /// Describes a block, or a directory and all it holds. Answered by [`ManifestReply`].
    Manifest {
        /// Its name.
        id: Vec<u8>,
        /// Whether every file's digest is wanted too: each is read for it.
        digests: bool,
    },
    /// Opens blocks, [`MAX_OPEN_BATCH`] at most. Answered by [`OpenReply`].
    Open {
        /// Their names.
        ids: Vec<Vec<u8>>,
        /// How long their chunks shall be.
        chunk_len: u32,
    },
    /// Digests of chunks, [`MAX_DIGEST_BATCH`] at most. Answered by [`DigestReply`].
    Digests {
        /// Of which streams, and which chunks.
        of: Vec<ChunkRange>,
    },
    /// Closes streams. Sent one-way.
    Close {
        /// Their ids.
        streams: Vec<u64>,
    },
}

/// Consecutive chunks of a stream.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct ChunkRange {
    /// The stream.
    pub stream: u64,
    /// The first chunk.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The answer to [`BlockRequest::Manifest`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum ManifestReply {
    /// All of it.
    Inline(Page),
    /// It is long: each chunk of this stream is an archive of a [`Page`].
    Stream {
        /// The stream.
        stream: u64,
        /// Its chunks.
        pages: u32,
        /// Entries in all of them.
        entries: u64,
    },
}

/// The answer to [`BlockRequest::Open`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct OpenReply {
    /// One outcome per name, in their order.
    pub outcomes: Vec<Result<Opened, Refusal>>,
}

/// A block that was opened.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Opened {
    /// The stream whose chunks are the block's.
    pub stream: u64,
    /// The block as it is now.
    pub stamp: Stamp,
}

/// The answer to [`BlockRequest::Digests`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct DigestReply {
    /// One outcome per range, in their order: one digest per chunk.
    pub outcomes: Vec<Result<Vec<Digest>, Refusal>>,
}

/// Why one item of a batch failed.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Refusal {
    /// The number of a [`FailureCode`](ringrail_codec::native::FailureCode).
    pub code: u16,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// A message that names the event, its object and the remedy.
    pub message: String,
}

impl From<&RpcFailure> for Refusal {
    fn from(failure: &RpcFailure) -> Self {
        Self {
            code: failure.code().to_wire(),
            retryable: failure.retryable(),
            message: failure.message().to_owned(),
        }
    }
}
