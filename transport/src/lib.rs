//! The io_uring engine of ringrail.

pub mod shard;
mod sync;
