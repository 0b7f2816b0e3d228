//! Everything that can be posted to a host.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use ringrail_transport::RpcFailure;

use crate::rpc::body::BodyBuf;
use crate::rpc::error::ENV_STOPPED;
use crate::rpc::lost::LostMessage;
use crate::rpc::peer::Peer;
use crate::rpc::pending_ask::AnyPendingAsk;
use crate::rpc::reply::SendReply;
use crate::rpc::wire::Envelope;

use super::Dispatcher;

/// A message or an order on its way to a host.
pub(crate) enum Job {
    /// Of a thread of this process.
    Ask(Arc<dyn AnyPendingAsk>),
    /// To be done when what was posted before has been delivered, and nothing posted later.
    Control(ControlMessage),
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

impl Job {
    /// Whether it is no message.
    pub(super) fn is_control(&self) -> bool {
        !matches!(self, Job::Ask(_) | Job::Message(_))
    }

    /// Nobody is there to take it.
    pub(crate) fn turn_away(self) {
        match self {
            Job::Ask(pending) => pending.turn_away(),
            Job::Message(message) => message.turn_away(),
            // An order that is dropped tells whoever waits for it.
            Job::Control(_) | Job::Wake(_) | Job::Cancel(_) | Job::Answer(..) => {}
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Job::Ask(_) => "Ask",
            Job::Control(_) => "Control",
            Job::Wake(_) => "Wake",
            Job::Cancel(_) => "Cancel",
            Job::Answer(..) => "Answer",
            Job::Message(_) => "Message",
        })
    }
}

/// Something to be done on a host's thread.
pub(crate) type ControlMessage = Box<dyn FnOnce(&Rc<Dispatcher>) + Send>;
