//! Files that an env gives out, and the way to those of other envs (Spark: `RpcEnvFileServer`,
//! `openChannel`).
//!
//! ```text
//! RpcEnvFileServer ─► Registry (names, directories) ◄─ FileStreams ◄─ stream requests
//! open_channel ─► connections of its own ─► RpcChannel ─► reader
//! ```
//!
//! Files travel as streams of the data plane, over other connections than messages do: straight from
//! the page cache, without a copy in user space.

mod beneath;
mod channel;
mod registry;
mod server;
mod streams;
mod uri;

pub use channel::RpcChannel;
pub use server::{FileServerError, RpcEnvFileServer};

pub(crate) use registry::Registry as FileRegistry;
pub(crate) use streams::FileStreams;
