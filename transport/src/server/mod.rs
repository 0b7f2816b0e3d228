//! The serving side: handlers, replies, streams, and the listening server.

mod streams;
#[path = "server.rs"]
mod transport_server;

pub use crate::shard::conn::Pause;
pub use crate::shard::conn::user::{
    DeferredResponder, HandlerFactory, HeldResponder, MergedBlocks, MergedBlocksRequest,
    NoRpcHandler, Responder, RpcHandler, ServerBootstrap, StreamManager, UploadSink, UploadStart,
};
pub use streams::OneForOneStreamManager;
pub use transport_server::TransportServer;
