//! What is posted to a host.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::body::BodyBuf;
use crate::rpc::carrier::CarrierFrame;
use crate::rpc::error::ENV_STOPPED;
use crate::rpc::lost::LostMessage;
use crate::rpc::parcel::AnyParcel;
use crate::rpc::peer::Peer;
use crate::rpc::reply_to::SendReply;
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
    /// Of a peer whose connection lives on another host.
    Forwarded(Box<Forwarded>),
    /// Of a connection that a [`Carrier`](crate::rpc::Carrier) brought about.
    Carried {
        /// Which connection.
        link: u64,
        /// What came.
        frame: CarrierFrame,
    },
}

/// A peer's message that goes to an endpoint on another host.
pub(crate) struct Forwarded {
    pub(crate) envelope: Envelope,
    pub(crate) body: BodyBuf,
    pub(crate) peer: Arc<Peer>,
    pub(crate) reply: SendReply,
}

impl Forwarded {
    fn turn_away(self) {
        let SendReply::OneWay = self.reply else {
            return self.reply.fail(&ENV_STOPPED);
        };
        self.peer.env().losses().note(&LostMessage {
            endpoint: self.peer.endpoint_name(self.envelope.endpoint),
            message: self.peer.message_name(self.envelope.message),
            cause: ENV_STOPPED,
        });
    }
}

impl Mail {
    /// Whether it is no message.
    pub(super) fn is_order(&self) -> bool {
        matches!(self, Mail::Order(_) | Mail::Wake(_) | Mail::Cancel(_))
    }

    /// Nobody is there to take it.
    pub(crate) fn turn_away(self) {
        match self {
            Mail::Parcel(parcel) => parcel.turn_away(),
            Mail::Forwarded(forwarded) => forwarded.turn_away(),
            // Its connection ends too; and an order that is dropped tells whoever waits for it.
            Mail::Carried { .. } | Mail::Order(_) | Mail::Wake(_) | Mail::Cancel(_) => {}
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
            Mail::Forwarded(_) => "Forwarded",
            Mail::Carried { .. } => "Carried",
        })
    }
}

/// Something to be done on a host's thread.
pub(crate) type Order = Box<dyn FnOnce(&Rc<Node>) + Send>;
