//! The client side: connections, requests, streams, pools of connections.
//!
//! [`Connection`] is for code on the shard itself: no allocation per request, callbacks or
//! futures. [`TransportClient`] is for all other code: `Send + Sync`, cheap to clone, usable from
//! any executor and from plain threads. [`TransportClientFactory`] pools connections per peer.

mod factory;
mod future;
mod merged;
mod resolve;
mod transport_client;

pub use crate::shard::conn::user::{
    CallFuture, ChunkOptions, Connection, ResponseContext, StreamReader,
};
pub use factory::{ClientBootstrap, TransportClientFactory};
pub use future::RequestFuture;
pub use merged::{MergedBlockMeta, MergedBlockMetaFuture};
pub use transport_client::TransportClient;
