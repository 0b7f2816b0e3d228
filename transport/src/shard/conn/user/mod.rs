//! The parts of a shard that user code sees: handlers that the connections call, and the handles that they are given.
//!
//! [`client`](crate::client) and [`server`](crate::server) give these to programs under their own names.

mod callbacks;
mod chunk_options;
mod connection;
mod handler;
mod held;
mod responder;
mod stream;

pub use callbacks::ResponseContext;
pub use chunk_options::ChunkOptions;
pub use connection::{CallFuture, Connection};
pub use handler::{
    HandlerFactory, MergedBlocks, MergedBlocksRequest, NoRpcHandler, RpcHandler, ServerBootstrap,
    StreamManager, UploadSink, UploadStart,
};
pub use held::HeldResponder;
pub(crate) use responder::Answer;
pub use responder::{DeferredResponder, Responder};
pub(crate) use stream::StreamFeed;
pub use stream::StreamReader;
