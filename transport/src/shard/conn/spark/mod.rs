//! A connection whose peer speaks Spark's protocol.
//!
//! The same connection with another wire format: requests, answers, handlers, sinks and limits are
//! those of the native protocol; this module reads and writes Spark's frames for them. [`SparkState`] is
//! the state that such a connection has in addition. Frames that Spark's protocol lacks are not
//! sent: credit, cancels, deadlines, pings, drains. Bodies are sent whole, one after the other, so
//! TCP's flow control takes the place of credit.
//!
//! ```text
//! rx ── frames ─┬─ requests ── asked: wire identity ↔ id ── handler ── answer ──┐
//!               └─ answers ─── calls: by id, by chunk, in order ── sink         │
//! pump ◄─ seal ◄─ compose ◄─ tx: frames, then bodies, each whole ◄── calls ◄────┘
//! ```
//!
//! `auth` has the handshakes that come first, `seal` the encryption afterwards; without the feature
//! `spark`, `plain` takes the place of both.

mod answers;
#[cfg(feature = "spark")]
mod auth;
mod bodies;
mod compose;
mod frames;
mod merged;
mod open;
#[cfg(not(feature = "spark"))]
mod plain;
mod requests;
#[cfg(feature = "spark")]
mod seal;
mod stray;
mod write;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use ringrail_codec::spark::Limits;
#[cfg(feature = "spark")]
use ringrail_codec::spark::auth::{Opener, Sealer};

use crate::buf::Gather;
use crate::conn::spark::chunk_calls::ChunkCalls;
use crate::conn::spark::requests::PeerRequests;
use crate::conn::wire::Wire;

#[cfg(feature = "spark")]
use auth::Auth;
pub(crate) use bodies::{PiecesOf, Plan, WholeOf};
pub(crate) use merged::ChunkCount;
use merged::MergedCalls;
pub(crate) use open::Protocol;
#[cfg(not(feature = "spark"))]
use plain::{Auth, Opener, Sealer, comes_in_segments};
#[cfg(feature = "spark")]
use seal::comes_in_segments;

use super::Conn;

/// The state of a connection that speaks Spark's protocol.
pub(crate) struct SparkState {
    pub(crate) limits: Limits,
    /// Outstanding requests of the peer, by this side's number for each.
    asked: RefCell<PeerRequests>,
    /// Outstanding chunk requests of this side, oldest first.
    chunks: RefCell<ChunkCalls>,
    /// Pending streams of this side: answers arrive in that order.
    streams: RefCell<VecDeque<u64>>,
    /// Pending requests of this side for merged blocks.
    merged: RefCell<MergedCalls>,
    /// The handshake, while the connection has to authenticate.
    auth: RefCell<Option<Auth>>,
    /// Decrypts all received bytes, once the handshake has agreed on encryption.
    opener: RefCell<Option<Opener>>,
    /// Encrypts all sent bytes, once the handshake has agreed on encryption.
    sealer: RefCell<Option<Sealer>>,
    /// The opener was installed by the frame just handled: the bytes after that frame are
    /// encrypted.
    fresh: Cell<bool>,
    /// Data taken for sending that awaits memory for its encrypted form.
    unsealed: RefCell<Option<Gather>>,
}

impl SparkState {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            asked: RefCell::default(),
            chunks: RefCell::default(),
            streams: RefCell::default(),
            merged: RefCell::default(),
            auth: RefCell::new(None),
            opener: RefCell::new(None),
            sealer: RefCell::new(None),
            fresh: Cell::new(false),
            unsealed: RefCell::new(None),
        }
    }

    /// True if sends are encrypted: then no body is sent directly from its source.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealer.borrow().is_some()
    }

    /// True if data waits to be encrypted.
    pub(crate) fn is_sealing(&self) -> bool {
        self.unsealed.borrow().is_some()
    }

    /// True if received bytes differ from those of the frames.
    pub(crate) fn opens_records(&self) -> bool {
        self.opener.borrow().as_ref().is_some_and(comes_in_segments)
    }

    /// True once, directly after the frame from which on everything received is encrypted.
    #[inline]
    pub(crate) fn takes_records_up(&self) -> bool {
        self.fresh.take()
    }

    /// True until the peer has authenticated, if it has to.
    pub(crate) fn awaits_auth(&self) -> bool {
        self.auth.borrow().is_some()
    }
}

impl Conn {
    /// The Spark state of the connection, if the peer speaks Spark's protocol.
    #[inline]
    pub(crate) fn spark(&self) -> Option<&SparkState> {
        self.spark.get().map(|side| &**side)
    }

    /// The protocol of the connection, by what it can say.
    #[inline(always)]
    pub(crate) fn wire(&self) -> Wire {
        match self.spark.get() {
            None => Wire::Native,
            Some(_) => Wire::Spark,
        }
    }

    /// True if bodies must pass through memory of this side before they are sent.
    #[inline]
    pub(crate) fn seals(&self) -> bool {
        self.spark().is_some_and(SparkState::is_sealed)
    }
}
