//! What is posted to a host.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::body::BodyBuf;
use crate::rpc::carrier::CarrierFrame;
use crate::rpc::error::ENV_STOPPED;
use crate::rpc::id::EndpointId;
use crate::rpc::id::MessageId;
use crate::rpc::parcel::AnyParcel;
use crate::rpc::peer::Peer;
use crate::rpc::reply_to::SendReply;

use super::Node;

/// A message on its way to a host.
pub(crate) enum Mail {
    /// Of a thread of this process.
    Parcel(Arc<dyn AnyParcel>),
    /// To be done when what was posted before has been delivered, and nothing posted later.
    Order(Order),
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
    pub(crate) endpoint: EndpointId,
    pub(crate) message: MessageId,
    pub(crate) token: Option<u64>,
    pub(crate) body: BodyBuf,
    pub(crate) peer: Arc<Peer>,
    pub(crate) reply: SendReply,
}

impl Mail {
    /// Nobody is there to take it.
    pub(crate) fn turn_away(self) {
        match self {
            Mail::Parcel(parcel) => parcel.turn_away(),
            Mail::Forwarded(forwarded) => forwarded.reply.fail(&ENV_STOPPED),
            // Its connection ends too; and whoever gave the order learns of the end elsewhere.
            Mail::Carried { .. } | Mail::Order(_) => {}
        }
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mail::Parcel(_) => "Parcel",
            Mail::Order(_) => "Order",
            Mail::Forwarded(_) => "Forwarded",
            Mail::Carried { .. } => "Carried",
        })
    }
}

/// Something to be done on a host's thread.
pub(crate) type Order = Box<dyn FnOnce(&Rc<Node>) + Send>;

/// Something that a host is to do, whatever else waits.
pub(crate) enum Errand {
    /// This.
    Run(Order),
    /// This, when the mail that is here has been delivered: an order for which it had no room. No other mail is taken
    /// before.
    RunAfterMail(Order),
    /// The future of an asynchronous handler can go on: the inbox's serial number.
    Wake(u64),
    /// Nobody waits for this reply any more.
    Cancel(u64),
}
