//! The serving side: handlers, replies, streams, and the listening server.

mod handler;
mod held;
mod responder;
mod streams;
#[path = "server.rs"]
mod transport_server;

pub use crate::conn::Pause;
pub use handler::{
    HandlerFactory, MergedBlocks, MergedBlocksRequest, NoRpcHandler, RpcHandler, ServerBootstrap,
    StreamManager, UploadSink, UploadStart,
};
pub use held::HeldResponder;
pub(crate) use responder::Answer;
pub use responder::{DeferredResponder, Responder};
pub use streams::OneForOneStreamManager;
pub use transport_server::TransportServer;
