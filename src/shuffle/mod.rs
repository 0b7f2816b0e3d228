//! Spark's external shuffle service: serves what executors have written, also when they are gone.
//!
//! ```text
//! shard:  message ─► who asks? ─┬─ open, fetch ─► table of streams ─► handle
//!                               └─ register, remove, diagnose ─► queue ─► helper thread ─► deferred reply
//! shard:  chunk ─► stream ─► executor ─► place ─► index (cached) ─► part of a data file ─► sendfile
//! ```
//!
//! A [`ShuffleService`] gives a [`TransportContext`](crate::TransportContext) its handlers; they speak the
//! messages of [`codec::spark::shuffle`](crate::codec::spark::shuffle). Executors tell where their files lie
//! (`executors`, kept on disk by `store`), readers ask for blocks by name or number (`requests`, `block`), and
//! a block's file follows from its name (`resolve`) below one of the service's own directories and nowhere else
//! (`roots`). A chunk's bytes go from the file to the socket by the transport; nothing here touches them.
//!
//! Push-based shuffle (`merge`) is off unless it is asked for: then it is refused with Spark's words, upon which Spark
//! goes on without it.

mod block;
mod conf;
mod diagnose;
mod error;
mod executors;
mod files;
mod handler;
mod housekeeping;
mod index_cache;
mod lookup;
#[cfg(test)]
mod lookup_tests;
mod merge;
pub mod metrics;
mod recovery;
mod requests;
mod resolve;
mod roots;
mod service;
#[cfg(test)]
mod slow_disk;
mod store;
mod streams;
mod tasks;

pub use conf::{ShuffleConf, ShuffleServiceError};
pub use executors::MAX_LOCAL_DIRS;
pub use handler::ShuffleHandler;
pub use merge::MergeConf;
pub use service::ShuffleService;
pub use streams::{MAX_CONNECTION_CHUNKS, MAX_CONNECTION_STREAMS};
