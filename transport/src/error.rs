//! Errors of requests and connections, each with its remedy.
//!
//! One enum per kind of operation: [`RequestError`] for a request, [`ConnectError`] for getting a
//! connection, [`CloseReason`] for why a connection ended (shared by every request it took along),
//! [`EngineError`] for starting shards. [`RpcFailure`] is what a handler answers instead of a reply.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ringrail_codec::native::FrameError;

pub use crate::failure::RpcFailure;
use crate::sys::socket::Addr;

/// How far a request had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reached {
    /// Waiting in the shard's inbox or for its connection.
    Queued,
    /// Waiting for memory to receive the answer in.
    WaitingForMemory,
    /// Handed to the socket.
    Sent,
    /// The answer had begun to arrive.
    Receiving,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reached::Queued => "it was still queued here",
            Reached::WaitingForMemory => {
                "it waited for receive memory (raise ringrail.transport.poolBudget)"
            }
            Reached::Sent => "it was sent, no answer came",
            Reached::Receiving => "its answer had begun to arrive",
        })
    }
}

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The connection ended first.
    #[error("connection to {peer} closed: {reason}")]
    Closed {
        /// The peer.
        peer: Arc<Addr>,
        /// Why the connection ended.
        reason: Arc<CloseReason>,
    },
    /// No answer in time.
    #[error("no answer from {peer} in {after:?}: {reached}. This timeout is controlled by {key}")]
    TimedOut {
        /// The peer.
        peer: Arc<Addr>,
        /// The time allowed.
        after: Duration,
        /// How far the request had come.
        reached: Reached,
        /// The key that sets the time.
        key: &'static str,
    },
    /// The peer answered with a failure.
    #[error("{peer} answered: {failure}")]
    Remote {
        /// The peer.
        peer: Arc<Addr>,
        /// Its failure.
        failure: RpcFailure,
    },
    /// The connection had ended before the request reached it; nothing was sent.
    #[error("the connection had ended before the request was sent: open another one")]
    NotConnected,
    /// The peer's protocol has no such thing.
    #[error("Spark's protocol has no {what}: ask for the whole")]
    NotInProtocol {
        /// The operation that was asked for.
        what: &'static str,
    },
    /// The native protocol lacks this operation.
    #[error(
        "the native protocol has no {what}: ask on a connection that speaks Spark's, of create_spark_client_factory"
    )]
    NotInNative {
        /// The operation that was asked for.
        what: &'static str,
    },
    /// The caller cancelled the request.
    #[error("the request was cancelled")]
    Cancelled,
    /// A bound of this side is reached: try again when something has finished.
    #[error("{what} is full ({limit}): wait for answers, or raise {key}")]
    Busy {
        /// The queue or table that is full.
        what: &'static str,
        /// Its limit.
        limit: u64,
        /// The configuration key of the limit.
        key: &'static str,
    },
    /// The body is longer than the peer accepts.
    #[error("a body of {len} bytes is more than {peer} accepts ({limit}): {key} there sets it")]
    TooLarge {
        /// The peer.
        peer: Arc<Addr>,
        /// Bytes of the body.
        len: u64,
        /// The largest accepted value.
        limit: u64,
        /// The configuration key of the limit.
        key: &'static str,
    },
    /// The request cannot be written as an archive.
    #[error("the request cannot be serialised: {detail}")]
    Unserialisable {
        /// Why not.
        detail: Box<str>,
    },
    /// The body, that of the request or that of its answer, is longer than the memory of a shard.
    #[error(
        "a body of {len} bytes does not fit the shard's memory ({limit}): raise {key}, or send and \
         ask for parts"
    )]
    NoRoom {
        /// Bytes of the body.
        len: u64,
        /// The memory that there is for bodies.
        limit: u64,
        /// The key that sets it.
        key: &'static str,
    },
    /// A chunk that came by Spark's protocol, which knows no parts of chunks, is longer than the memory of a shard.
    #[error(
        "a chunk of {len} bytes does not fit the shard's memory ({limit}): open it as the stream \"{stream}\" \
         (TransportClient::stream), which comes in pieces, or raise {key}. A server that hands each chunk out once, \
         as Spark's does, is to be asked for its blocks again before"
    )]
    ChunkNoRoom {
        /// Bytes of the chunk.
        len: u64,
        /// The memory that there is for bodies.
        limit: u64,
        /// The key that sets it.
        key: &'static str,
        /// The name under which Spark's servers have the same chunk as a stream.
        stream: Box<str>,
    },
    /// The body to send could not be read: its file failed or ended early.
    #[error("what was to be sent to {peer} could not be read here: {failure}")]
    Source {
        /// The peer.
        peer: Arc<Addr>,
        /// The read failure.
        failure: RpcFailure,
    },
    /// The body of an answer does not match its checksum.
    #[error("the answer from {peer} is damaged: {detail}. Ask again")]
    Damaged {
        /// The peer.
        peer: Arc<Addr>,
        /// The announced and the computed checksum.
        detail: Box<str>,
    },
    /// The shard of this connection has stopped.
    #[error("the shard has stopped")]
    ShardStopped,
}

impl RequestError {
    /// Whether the same request, sent again, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            RequestError::Closed { .. }
            | RequestError::NotConnected
            | RequestError::TimedOut { .. }
            | RequestError::Busy { .. }
            | RequestError::Damaged { .. } => true,
            RequestError::Remote { failure, .. } | RequestError::Source { failure, .. } => {
                failure.retryable()
            }
            RequestError::Cancelled
            | RequestError::NotInProtocol { .. }
            | RequestError::NotInNative { .. }
            | RequestError::TooLarge { .. }
            | RequestError::NoRoom { .. }
            | RequestError::ChunkNoRoom { .. }
            | RequestError::Unserialisable { .. }
            | RequestError::ShardStopped => false,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer ended it.
    #[error("the peer closed it")]
    Peer,
    /// The peer drained it: it serves what it has and takes no more.
    #[error("the peer is draining: {text}")]
    Drained {
        /// The text that the peer sent.
        text: String,
    },
    /// This side closed the connection.
    #[error("closed here")]
    Local,
    /// This side's shard or server shut down.
    #[error("this side shut down")]
    Shutdown,
    /// The socket failed.
    #[error("{0}")]
    Io(io::Error),
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(FrameError),
    /// The peer broke Spark's protocol.
    #[error("the peer broke Spark's protocol: {0}")]
    Spark(ringrail_codec::spark::FrameError),
    /// The received bytes could not be decrypted.
    #[error("the encryption failed: {0}")]
    #[cfg(feature = "spark")]
    Unsealed(ringrail_codec::spark::auth::RecordError),
    /// The peer has not proved who it is, or this side could not.
    #[error("not authenticated: {0}")]
    Authentication(String),
    /// The peer broke a rule of the connection's state.
    #[error("the peer broke the protocol: {0}")]
    Misbehaved(String),
    /// The peer sent more of a body than it was granted.
    #[error("the peer broke the protocol: {received} bytes came where {granted} were granted")]
    BeyondCredit {
        /// Bytes that had come.
        received: u64,
        /// Bytes that might have.
        granted: u64,
    },
    /// The peer sent an archive that is none, where the protocol has one.
    #[error("the peer broke the protocol: {0}")]
    BadArchive(String),
    /// The peer speaks something else, or refused us.
    #[error("{0}")]
    Handshake(String),
    /// The connection did not come about in time.
    #[error(
        "not connected within {after:?}. This timeout is controlled by \
         ringrail.transport.connectionCreationTimeout"
    )]
    ConnectTimeout {
        /// The time allowed.
        after: Duration,
    },
    /// The handshake took too long.
    #[error(
        "no handshake within {after:?}. This timeout is controlled by \
         ringrail.transport.handshakeTimeout"
    )]
    HandshakeTimeout {
        /// The time allowed.
        after: Duration,
    },
    /// The peer said nothing, though it was pinged.
    #[error(
        "nothing came from the peer for {after:?}, not even the answer to a ping, with \
         {outstanding} requests outstanding. This timeout is controlled by \
         ringrail.transport.connectionTimeout"
    )]
    Stalled {
        /// The time allowed.
        after: Duration,
        /// How many requests waited.
        outstanding: usize,
    },
    /// A frame had begun to arrive, and did not go on.
    #[error(
        "a frame of the peer stood still for {after:?} before it was whole. This timeout is controlled by \
         ringrail.transport.progressTimeout"
    )]
    NoProgress {
        /// The time allowed.
        after: Duration,
    },
    /// The peer did not read what is sent to it.
    #[error(
        "the peer read nothing of what is sent to it for {after:?}. This timeout is controlled by \
         ringrail.transport.connectionTimeout"
    )]
    NotRead {
        /// The time allowed.
        after: Duration,
    },
    /// Nothing was asked for a while.
    #[error("idle for {after:?} (ringrail.transport.closeIdleConnections is on)")]
    Idle {
        /// The time allowed.
        after: Duration,
    },
    /// A file was shortened while it was sent: what its frame had promised cannot follow.
    #[error("a file was shortened by somebody while it was being sent")]
    FileShortened,
    /// A body could not be read to its end, and what had been sent of it had promised all.
    #[error("a body broke off while it was being sent: {0}")]
    BodyBroken(String),
    /// The shard ran out of something.
    #[error("{what} is full ({limit}): raise {key}")]
    Limit {
        /// The table that is full.
        what: &'static str,
        /// Its limit.
        limit: u64,
        /// The configuration key of the limit.
        key: &'static str,
    },
}

impl CloseReason {
    /// A broken frame, boxed: results that carry a reason stay small on the path without one.
    #[cold]
    pub(crate) fn protocol(error: FrameError) -> Box<Self> {
        Box::new(CloseReason::Protocol(error))
    }

    /// A broken frame of Spark's protocol.
    #[cold]
    pub(crate) fn spark(error: ringrail_codec::spark::FrameError) -> Box<Self> {
        Box::new(CloseReason::Spark(error))
    }
}

/// Why no connection came about.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address cannot be understood or resolved.
    #[error("cannot resolve {address}: {detail}")]
    Resolve {
        /// The address as given.
        address: String,
        /// The reason.
        detail: String,
    },
    /// The socket could not be opened or connected.
    #[error("cannot connect to {peer}: {detail}")]
    Io {
        /// The peer.
        peer: Arc<Addr>,
        /// Why not, and what to do.
        detail: String,
    },
    /// It took too long.
    #[error("no connection to {peer} within {after:?}. This timeout is controlled by {key}")]
    TimedOut {
        /// The peer.
        peer: Arc<Addr>,
        /// The time allowed.
        after: Duration,
        /// The key that sets it.
        key: &'static str,
    },
    /// The connection ended in the handshake.
    #[error("no handshake with {peer}: {reason}")]
    Handshake {
        /// The peer.
        peer: Arc<Addr>,
        /// Why it ended.
        reason: Arc<CloseReason>,
    },
    /// A client bootstrap refused the connection.
    #[error("the bootstrap of the connection to {peer} failed: {detail}")]
    Bootstrap {
        /// The peer.
        peer: Arc<Addr>,
        /// The text that it returned.
        detail: String,
    },
    /// The peer failed a moment ago; no attempt was made (Spark's fast-fail window).
    #[error("{peer} failed {ago:?} ago; not tried again before ringrail.transport.retryWait")]
    FastFail {
        /// The peer.
        peer: Arc<Addr>,
        /// How long ago.
        ago: Duration,
    },
    /// A bound of this side is reached.
    #[error("{what} is full ({limit}): raise {key}")]
    Busy {
        /// The table that is full.
        what: &'static str,
        /// Its limit.
        limit: u64,
        /// The configuration key of the limit.
        key: &'static str,
    },
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

impl ConnectError {
    /// The peer that failed, where one was reached for.
    pub fn peer(&self) -> Option<&Arc<Addr>> {
        match self {
            ConnectError::Io { peer, .. }
            | ConnectError::TimedOut { peer, .. }
            | ConnectError::Handshake { peer, .. }
            | ConnectError::Bootstrap { peer, .. }
            | ConnectError::FastFail { peer, .. } => Some(peer),
            ConnectError::Resolve { .. } | ConnectError::Busy { .. } | ConnectError::Stopped => {
                None
            }
        }
    }
}

/// Why shards could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No ring.
    #[error(transparent)]
    Ring(#[from] crate::sys::uring::UringError),
    /// No epoll descriptor.
    #[error(
        "cannot set up epoll: {0}. If file descriptors are used up, raise `ulimit -n` (LimitNOFILE=)"
    )]
    Epoll(#[source] io::Error),
    /// No thread, runtime or pin.
    #[error("cannot start shard {shard}: {source}")]
    Thread {
        /// The index of the shard.
        shard: usize,
        /// The reason.
        source: io::Error,
    },
    /// A setting does not make sense.
    #[error("{0}")]
    Config(String),
}
