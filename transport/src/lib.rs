//! The io_uring engine of ringrail.

pub mod buf;
pub mod shard;
mod sync;

