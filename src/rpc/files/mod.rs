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

mod channel;
mod server;
mod streams;

pub use channel::RpcChannel;
pub use server::RpcEnvFileServer;

pub(crate) use streams::FileStreams;
