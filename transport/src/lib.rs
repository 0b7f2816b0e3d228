//! The io_uring engine of ringrail: shards, pooled buffers, connections, clients and servers.
//!
//! A shard is one thread that owns its ring, its memory and its connections; nothing on a
//! request's way takes a lock. Frames are parsed where the kernel put them, handlers read bodies
//! in place, bodies are sent from where they lie.
//!
//! Layers, each knowing only those before it in this list: [`buf`] (memory), [`sys`] (the kernel),
//! `conn` (the state of a connection, as machines without I/O), [`shard`] (the loop, and the connections
//! that act), [`server`] and [`client`] (what programs use), [`TransportContext`] (the way in).

pub mod buf;
#[cfg(not(loom))]
pub mod client;
#[cfg(not(loom))]
mod conf;
#[cfg(not(loom))]
mod conn;
#[cfg(not(loom))]
mod context;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod failure;
#[cfg(not(loom))]
pub mod metrics;
#[cfg(all(test, not(loom)))]
mod scenarios;
#[cfg(not(loom))]
pub mod server;
pub mod shard;
#[cfg(not(loom))]
pub mod spark;
mod sync;
#[cfg(not(loom))]
pub mod sys;

#[cfg(not(loom))]
pub use client::{
    ChunkOptions, Connection, ResponseContext, TransportClient, TransportClientFactory,
};
#[cfg(not(loom))]
pub use conf::{Checksum, IoDriver, ParkMode, Pin, TransportConf};
#[cfg(not(loom))]
pub use context::TransportContext;
#[cfg(not(loom))]
pub use error::{CloseReason, ConnectError, EngineError, Reached, RequestError, RpcFailure};
#[cfg(not(loom))]
pub use server::{Responder, RpcHandler, TransportServer};
#[cfg(not(loom))]
pub use shard::conn::{Outcome, ReceivedBytes, Reply, ResponseHandler};
#[cfg(not(loom))]
pub use shard::{Engine, ShardHandle};
#[cfg(not(loom))]
pub use sys::socket::Addr;
/// The runtime of [hosted](ParkMode::Hosted) shards, so that their futures use the version that drives them.
#[cfg(not(loom))]
pub use tokio_uring;
