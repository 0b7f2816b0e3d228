//! Everything that can be posted to a host.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use ringrail_transport::RpcFailure;

use crate::rpc::body::BodyBuf;
use crate::rpc::error::ENV_STOPPED;
use crate::rpc::lost::LostMessage;
use crate::rpc::parcel::AnyParcel;
use crate::rpc::peer::Peer;
use crate::rpc::reply::SendReply;
use crate::rpc::wire::Envelope;

use super::Node;

/// A message or an order on its way to a host.
pub(crate) enum Mail {
    /// Of a thread of this process.
    Parcel(Arc<dyn AnyParcel>),
    /// To be done when what was posted before has been delivered, and nothing posted later.
    Order(Order),
    /// The future of an asynchronous handler can go on: the inbox's serial number.
    Wake(u64),
    /// Nobody waits for this reply any more.
    Cancel(u64),
    /// The answer to an ask of this thread came over a connection in memory.
    Answer(u64, Box<Result<BodyBuf, RpcFailure>>),
    /// Of a peer.
    Message(Box<PeerMessage>),
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

impl PeerMessage {
    fn turn_away(self) {
        let Some(envelope) = self.envelope else {
            // Its connection ends as well, and with it what was on its way.
            return;
        };
        let SendReply::OneWay = self.reply else {
            return self.reply.fail(&ENV_STOPPED);
        };
        self.peer.env().losses().note(&LostMessage {
            endpoint: self.peer.endpoint_name(envelope.endpoint),
            message: self.peer.message_name(envelope.message),
            cause: ENV_STOPPED,
        });
    }
}

impl Mail {
    /// Whether it is no message.
    pub(super) fn is_order(&self) -> bool {
        !matches!(self, Mail::Parcel(_) | Mail::Message(_))
    }

    /// Nobody is there to take it.
    pub(crate) fn turn_away(self) {
        match self {
            Mail::Parcel(parcel) => parcel.turn_away(),
            Mail::Message(message) => message.turn_away(),
            // An order that is dropped tells whoever waits for it.
            Mail::Order(_) | Mail::Wake(_) | Mail::Cancel(_) | Mail::Answer(..) => {}
        }
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mail::Parcel(_) => "Parcel",
            Mail::Order(_) => "Order",
            Mail::Wake(_) => "Wake",
            Mail::Cancel(_) => "Cancel",
            Mail::Answer(..) => "Answer",
            Mail::Message(_) => "Message",
        })
    }
}

/// Something to be done on a host's thread.
pub(crate) type Order = Box<dyn FnOnce(&Rc<Node>) + Send>;
