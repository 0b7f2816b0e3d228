//! Shards: one thread, one core, one loop, and what crosses between them.

pub mod inbox;
#[cfg(not(loom))]
pub mod spin;
#[cfg(not(loom))]
pub mod timer;
