//! A peer's message: where it lies, whose it is, how it is answered.

use std::sync::Arc;

use crate::rpc::body::{BodyBuf, BodyRef};
use crate::rpc::peer::Peer;
use crate::rpc::wire::Envelope;

use super::{Reply, SendReply};

/// A peer's message, whose endpoint is known already.
pub(crate) struct FromPeer<'a> {
    pub(crate) body: BodyRef<'a>,
    pub(crate) peer: &'a Arc<Peer>,
    pub(crate) reply: Reply<'a>,
}

/// A peer's message that comes by another thread: over a connection in memory, or from the thread that its
/// connection lives on.
pub(crate) struct PeerMessage {
    /// Its envelope, where that was read and `body` is the archive alone: this env had the message before.
    pub(crate) envelope: Option<Envelope>,
    pub(crate) body: BodyBuf,
    pub(crate) peer: Arc<Peer>,
    pub(crate) reply: SendReply,
}
