//! Commands from other threads to a shard.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::buf::{Body, ManagedBuffer};
use crate::error::RequestError;
use crate::shard::conn::fetch::ChunkWish;
use crate::shard::conn::user::StreamFeed;
use crate::shard::conn::user::{HandlerFactory, ServerBootstrap};
use crate::shard::conn::{Opened, Protocol};
use crate::sys::driver::Listening;
use crate::sys::socket::{Addr, SocketError};

use super::local::ConnKey;
use super::remote_sink::RemoteSink;

/// Names a listener of an engine on all its shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ListenerId(pub(crate) u64);

/// Parameters of one listener on one shard.
pub(crate) struct ListenOrder {
    pub(crate) id: ListenerId,
    pub(crate) on: Listening,
    pub(crate) handlers: Arc<HandlerFactory>,
    pub(crate) bootstraps: Arc<[Arc<dyn ServerBootstrap>]>,
    pub(crate) speaks: Protocol,
    pub(crate) done: oneshot::Sender<Result<Addr, SocketError>>,
}

/// Parameters of one outgoing connection.
pub(crate) struct ConnectOrder {
    pub(crate) addr: Addr,
    pub(crate) handlers: Arc<HandlerFactory>,
    pub(crate) speaks: Protocol,
    pub(crate) opened: Opened,
}

/// Parameters of a stream to open.
pub(crate) struct StreamOrder {
    pub(crate) name: String,
    pub(crate) offset: u64,
    pub(crate) credit: u64,
    pub(crate) timeout: Option<Duration>,
    pub(crate) feed: StreamFeed,
    pub(crate) begun: oneshot::Sender<Result<u64, RequestError>>,
}

/// The content of a request.
pub(crate) enum Ask {
    Rpc {
        body: Body,
    },
    Chunk {
        chunk: (u64, u32),
        range: (u64, u64),
        wish: ChunkWish,
    },
    Upload {
        meta: Vec<u8>,
        data: ManagedBuffer,
    },
}

/// A message to a shard.
pub(crate) enum Command {
    Connect(Box<ConnectOrder>),
    Listen(Box<ListenOrder>),
    Unlisten(ListenerId),
    /// The question lies in the cell that `sink` holds.
    Ask {
        key: ConnKey,
        sink: RemoteSink,
    },
    OneWay {
        key: ConnKey,
        body: Body,
    },
    Stream {
        key: ConnKey,
        order: Box<StreamOrder>,
    },
    Answer {
        key: ConnKey,
        id: u64,
        deadline_ns: u64,
        answer: crate::shard::conn::user::Answer,
    },
    Grant {
        key: ConnKey,
        id: u64,
        bytes: u64,
    },
    Cancel {
        key: ConnKey,
        id: u64,
    },
    Close {
        key: ConnKey,
    },
    /// A pause of this connection has ended.
    Resume {
        key: ConnKey,
    },
    /// Run this on the shard.
    Run(Box<dyn FnOnce(&super::ShardHandle) + Send>),
    /// Drain all connections; tell when none is left.
    Drain {
        done: oneshot::Sender<()>,
    },
    /// End the loop.
    Stop,
}

impl Command {
    /// The connection that it is for, if it is for one.
    pub(super) fn connection(&self) -> Option<ConnKey> {
        match self {
            Command::Ask { key, .. }
            | Command::OneWay { key, .. }
            | Command::Stream { key, .. }
            | Command::Answer { key, .. }
            | Command::Grant { key, .. }
            | Command::Cancel { key, .. }
            | Command::Close { key }
            | Command::Resume { key } => Some(*key),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::Connect(_) => "Connect",
            Command::Listen(_) => "Listen",
            Command::Unlisten(_) => "Unlisten",
            Command::Ask { .. } => "Ask",
            Command::OneWay { .. } => "OneWay",
            Command::Stream { .. } => "Stream",
            Command::Answer { .. } => "Answer",
            Command::Grant { .. } => "Grant",
            Command::Cancel { .. } => "Cancel",
            Command::Close { .. } => "Close",
            Command::Resume { .. } => "Resume",
            Command::Run(_) => "Run",
            Command::Drain { .. } => "Drain",
            Command::Stop => "Stop",
        })
    }
}
#[cfg(test)]
mod tests {
    use super::Command;

    /// The inbox is walked in a circle: what a place takes is what stays in the cache.
    #[test]
    fn a_command_takes_a_cache_line_at_most() {
        assert!(size_of::<Command>() <= 64, "{}", size_of::<Command>());
    }
}
