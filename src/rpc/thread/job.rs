//! Everything that can be posted to a thread that runs endpoints.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use ringrail_transport::RpcFailure;

use crate::rpc::RpcError;
use crate::rpc::body::BodyBuf;
use crate::rpc::dispatcher::Dispatcher;

/// A message or a control message on its way to a thread.
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
    Message(Box<dyn AnyPeerMessage>),
}

/// Something to be done on a thread that runs endpoints.
pub(crate) type ControlMessage = Box<dyn FnOnce(&Rc<Dispatcher>) + Send>;

/// A pending ask of any message type, on its way to a thread.
pub(crate) trait AnyPendingAsk: Send + Sync {
    /// It is on its thread: goes to its endpoint, or to the connection.
    fn deliver(self: Arc<Self>, dispatcher: &Rc<Dispatcher>);

    /// The thread that it was posted to has ended.
    fn turn_away(self: Arc<Self>);

    /// It cannot be delivered.
    fn fail(&self, error: RpcError);
}

/// A peer's message that comes by another thread.
pub(crate) trait AnyPeerMessage: Send {
    /// It is on its thread: goes to its endpoint.
    fn deliver(self: Box<Self>, dispatcher: &Rc<Dispatcher>);

    /// The thread that it was posted to has ended.
    fn turn_away(self: Box<Self>);

    /// It cannot be delivered: fails its caller.
    fn fail(self: Box<Self>, error: &RpcError);
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
            // A control message that is dropped tells whoever waits for it.
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
