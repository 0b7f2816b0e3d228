//! The io_uring engine of ringrail.

#[cfg(not(loom))]
pub mod metrics;
pub mod shard;
mod sync;
#[cfg(not(loom))]
pub mod sys;
