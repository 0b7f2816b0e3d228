//! Blocks: named pieces of data, served from a store and fetched over several connections.
//!
//! ```text
//! BlockStore (memory, directory) ◄── BlockServer ◄══ rail ══► BlockClient ◄── Fetcher ──► files
//! ```
//!
//! A [`BlockServer`] answers for a [`BlockStore`]; a [`BlockClient`] asks it, call by call; a
//! [`fetch::Fetcher`] brings a whole tree or file to disk: in parallel, resumed where it broke off,
//! verified against the server's digests. [`BlockRequest`] has what travels.

mod client;
pub mod digest;
pub mod fetch;
mod id;
mod manifest;
mod message;
mod server;
mod store;
mod uri;

pub use client::{Answer, BlockClient, BlockError};
pub use id::{BlockId, BlockIdError, MAX_COMPONENT_LEN, MAX_ID_LEN};
pub use manifest::{
    ArchivedEntry, ArchivedEntryKind, ArchivedPage, ArchivedStamp, Entry, EntryKind, PAGE_LEN,
    Page, Stamp,
};
pub use message::{
    ArchivedBlockRequest, ArchivedChunkRange, ArchivedDigestReply, ArchivedManifestReply,
    ArchivedOpenReply, ArchivedOpened, ArchivedRefusal, BlockRequest, ChunkRange, DigestReply,
    MAX_DIGEST_BATCH, MAX_OPEN_BATCH, ManifestReply, OpenReply, Opened, Refusal,
};
pub use server::{
    BlockHandler, BlockServer, BlockServerConf, MAX_MANIFEST_ENTRIES, MAX_STREAMS, STREAM_IDLE,
};
pub use store::{BlockStore, DirStore, MAX_OPEN_FILES, MemoryStore, OpenBlock, StoreError, Visit};
pub use uri::{RailUri, UriError};
