//! What carries the messages of envs that have no engine: the door for other transports.
//!
//! A [`Carrier`] listens and connects; a [`CarrierLink`] is one connection, which takes
//! [`CarrierFrame`]s out; an [`Incoming`] is the env's side of it, which takes them in. The in-process
//! backend ([`LocalFactory`](super::LocalFactory)) is one; an env over another is made by
//! [`RpcEnvConfig::carried_by`](super::RpcEnvConfig::carried_by).
//!
//! Frames between the same two sides arrive in the order in which they were sent, or the link closes.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use ringrail_transport::RpcFailure;

use super::body::AlignedBytes;
use super::{RpcAddress, RpcError};

/// One message of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CarrierFrame {
    /// Wants a reply with this id.
    Request {
        /// The asker's number for it.
        id: u64,
        /// Time that the asker gives it, in µs.
        deadline_us: u64,
        /// Envelope and archive.
        body: Arc<AlignedBytes>,
    },
    /// Wants none.
    OneWay {
        /// Envelope and archive.
        body: Arc<AlignedBytes>,
    },
    /// Answers the request of this id.
    Reply {
        /// The request's.
        id: u64,
        /// The archive.
        body: Arc<AlignedBytes>,
    },
    /// Answers the request of this id.
    Failure {
        /// The request's.
        id: u64,
        /// Why there is no reply.
        failure: RpcFailure,
    },
    /// Retracts the request of this id.
    Cancel {
        /// The request's.
        id: u64,
    },
}

/// Listens and connects (Spark: what an `RpcEnvFactory` chooses).
pub trait Carrier: Send + Sync + 'static {
    /// Listens at `address`, where port 0 means any; the address with its port. Connections that come
    /// are given to `doors`.
    ///
    /// # Errors
    /// The address is in use or cannot be had: [`ListenError`].
    fn listen(&self, address: &RpcAddress, doors: Arc<dyn Door>)
    -> Result<RpcAddress, ListenError>;

    /// Connects; blocks. What `door` gives takes in what comes from the peer.
    ///
    /// # Errors
    /// Why there is no connection.
    fn connect(&self, to: &RpcAddress, door: &Arc<dyn Door>) -> Result<(), RpcError>;

    /// Opens a file that the env at `to` gives out: see [`Door::open_file`].
    ///
    /// # Errors
    /// There is no such env; by default, that this carrier carries no files. The inner error is of
    /// the file.
    fn open_file(&self, to: &RpcAddress, name: &str) -> Result<io::Result<File>, RpcError> {
        let _ = name;
        Err(RpcError::Connect {
            address: to.clone(),
            detail: "this carrier carries no files".into(),
        })
    }

    /// Stops listening, and closes every connection.
    fn close(&self);
}

/// Why a carrier cannot listen.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct ListenError {
    /// Somebody else listens there: another port may do.
    pub in_use: bool,
    /// Why.
    pub text: String,
}

/// Where connections of a carrier come into an env.
pub trait Door: Send + Sync {
    /// A connection to a peer whose socket is at `socket` is there. What comes from it is to be given
    /// to the result.
    fn enter(&self, link: Arc<dyn CarrierLink>, socket: RpcAddress) -> Arc<dyn Incoming>;

    /// A file that the env gives out, by the path of its URI; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be opened.
    fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        let _ = name;
        Ok(None)
    }
}

/// One connection: where frames go out.
pub trait CarrierLink: Send + Sync + fmt::Debug {
    /// Sends a frame, or takes it into a bounded queue; does not block.
    ///
    /// # Errors
    /// The frame was not taken: the link is closed, or has no room.
    fn send(&self, frame: CarrierFrame) -> Result<(), RpcError>;

    /// Ends the connection; both sides are told.
    fn close(&self);
}

/// One connection: where frames come in.
pub trait Incoming: Send + Sync {
    /// A frame.
    ///
    /// # Errors
    /// There is no room for it: the sender's `send` fails with this.
    fn frame(&self, frame: CarrierFrame) -> Result<(), RpcError>;

    /// A frame that was sent, and taken, before this side of the connection was known: it is not refused for want
    /// of room, which its sender could not be told any more. There are few of them.
    ///
    /// # Errors
    /// The env has ended.
    fn early_frame(&self, frame: CarrierFrame) -> Result<(), RpcError> {
        self.frame(frame)
    }

    /// The connection is over; with the cause, where something failed.
    fn closed(&self, cause: Option<RpcError>);
}
