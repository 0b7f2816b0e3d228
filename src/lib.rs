//! ringrail: a zero-copy io_uring transport engine for Linux.
#![forbid(unsafe_code)]

pub use ringrail_codec as codec;
pub use ringrail_transport as transport;

pub use ringrail_transport::*;

pub mod block;
