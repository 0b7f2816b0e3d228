//! Storage of blocks: the trait that a server reads through, and two stores.

mod dir;
mod memory;
mod open_files;

use std::io;

use ringrail_codec::native::FailureCode;
use ringrail_transport::RpcFailure;
use ringrail_transport::buf::ManagedBuffer;

use super::{BlockId, Entry, Stamp};

pub use dir::DirStore;
pub use memory::MemoryStore;
pub use open_files::MAX_OPEN_FILES;

/// A block, ready to be sent.
#[derive(Clone, Debug)]
pub struct OpenBlock {
    /// Its bytes: memory, or an open file.
    pub data: ManagedBuffer,
    /// Its length, mode and time.
    pub stamp: Stamp,
}

/// The callback that receives a walk's entries. An error ends the walk.
pub type Visit<'a> = dyn FnMut(Entry) -> Result<(), StoreError> + 'a;

/// A collection of blocks by name (Spark: `BlockDataManager`).
///
/// Called on the server's helper threads, never on a shard, so it may block.
pub trait BlockStore: Send + Sync + 'static {
    /// Opens a block.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    fn open(&self, id: &BlockId) -> Result<OpenBlock, StoreError>;

    /// Describes `id` and, where it is a directory, everything in it: a directory before what it
    /// holds, names in byte order. Paths of entries are relative to `id`.
    ///
    /// # Errors
    /// There is nothing of that name, or `visit` ended the walk. A part of the tree that cannot be
    /// read is no error but an entry of kind [`Unreadable`](super::EntryKind::Unreadable).
    fn walk(&self, id: &BlockId, visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// The reason why a store cannot do the request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is nothing of that name.
    #[error("there is no {id} here")]
    NotFound {
        /// The name.
        id: BlockId,
    },
    /// The name exists, but is no block.
    #[error("{id} is {what}, which cannot be opened as a block")]
    NotABlock {
        /// The name.
        id: BlockId,
        /// The kind of file.
        what: &'static str,
    },
    /// The name resolves outside the served directory.
    #[error("{id} leads out of the directory that is served: a symbolic link points there")]
    Escapes {
        /// The name.
        id: BlockId,
    },
    /// This process may not read it.
    #[error("{id} cannot be read here: {source}")]
    Denied {
        /// The name.
        id: BlockId,
        /// The kernel's error.
        source: io::Error,
    },
    /// Reading failed.
    #[error("{id}: {source}")]
    Io {
        /// The name.
        id: BlockId,
        /// The kernel's error.
        source: io::Error,
    },
    /// A limit is reached; a later attempt may succeed.
    #[error("{what} is full ({limit}): try again later, or raise {key}")]
    Busy {
        /// The table that is full.
        what: &'static str,
        /// Its limit.
        limit: u64,
        /// The configuration key of the limit.
        key: &'static str,
    },
    /// The request exceeds a limit of this side.
    #[error("{what} is more than {limit}: ask for less at once, or raise {key} there")]
    TooLarge {
        /// The value that is too large.
        what: &'static str,
        /// Its limit.
        limit: u64,
        /// The configuration key of the limit.
        key: &'static str,
    },
    /// The request was cancelled.
    #[error("the request was retracted")]
    Retracted,
}

impl StoreError {
    fn code(&self) -> FailureCode {
        match self {
            StoreError::NotFound { .. } => FailureCode::NotFound,
            StoreError::NotABlock { .. } => FailureCode::InvalidArgument,
            StoreError::Escapes { .. } | StoreError::Denied { .. } => FailureCode::Unauthorized,
            StoreError::Io { .. } => FailureCode::SourceIo,
            StoreError::Busy { .. } => FailureCode::Busy,
            StoreError::TooLarge { .. } => FailureCode::TooLarge,
            StoreError::Retracted => FailureCode::Cancelled,
        }
    }
}

impl From<StoreError> for RpcFailure {
    fn from(error: StoreError) -> Self {
        RpcFailure::new(error.code(), error.to_string())
    }
}
