//! The io_uring engine of ringrail.

pub mod buf;
#[cfg(not(loom))]
pub mod metrics;
pub mod shard;
mod sync;
#[cfg(not(loom))]
pub mod sys;
