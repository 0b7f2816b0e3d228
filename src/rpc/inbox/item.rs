//! The items of an inbox.

use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::body::{BodyBuf, BodyRef};
use crate::rpc::dispatcher::{Dispatcher, Unrouted};
use crate::rpc::event::NetworkEvent;
use crate::rpc::id::MessageId;
use crate::rpc::lost::LostMessage;
use crate::rpc::peer::Peer;
use crate::rpc::reply::{FromPeer, Reply};
use crate::rpc::target::RefTarget;

/// One thing that an endpoint is to handle.
pub(super) enum Item {
    /// The first value in the queue of this route.
    Local(usize),
    /// A value that no route takes.
    Unrouted(Box<Unrouted>),
    /// The first of the peers' messages.
    Remote,
    /// Something happened to a connection.
    Event(Rc<NetworkEvent>),
}

/// A peer's message that is kept until its turn comes.
pub(super) struct RemoteItem {
    pub(super) route: Option<usize>,
    pub(super) id: MessageId,
    pub(super) body: BodyBuf,
    pub(super) peer: Arc<Peer>,
    pub(super) reply: Reply<'static>,
}

impl RemoteItem {
    pub(super) fn keep(route: Option<usize>, id: MessageId, message: &mut FromPeer<'_>) -> Self {
        Self {
            route,
            id,
            body: message.body.keep(),
            peer: Arc::clone(message.peer),
            reply: message.reply.take().hold(),
        }
    }

    /// Whether the peer still waits.
    pub(super) fn is_wanted(&self, now_ns: u64) -> bool {
        self.reply.is_wanted(now_ns)
    }

    /// Nobody will handle it.
    pub(super) fn abandon(self, dispatcher: &Dispatcher, endpoint: &RefTarget) {
        match self.reply {
            reply if !reply.is_one_way() => reply.fail(&dispatcher.cause_of_end()),
            _ => dispatcher.env().losses.note(&LostMessage::new(
                endpoint.to_string(),
                self.peer.message_name(self.id),
                dispatcher.cause_of_end(),
            )),
        }
    }

    /// Hands it to its handler.
    pub(super) fn with(self, handle: impl FnOnce(&mut FromPeer<'_>)) {
        let (body, peer) = (&self.body, &self.peer);
        match self.reply {
            // As if it had just come: answered without the detour over its entry.
            Reply::Held(held) => held.respond(|responder| {
                handle(&mut from_peer(body, peer, Reply::Responder(responder)));
            }),
            reply => handle(&mut from_peer(body, peer, reply)),
        }
    }
}

fn from_peer<'a>(body: &'a BodyBuf, peer: &'a Arc<Peer>, reply: Reply<'a>) -> FromPeer<'a> {
    let body = BodyRef::of_kept(body);
    FromPeer { body, peer, reply }
}
