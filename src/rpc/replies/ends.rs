//! The two ends of an ask, as the table that waits for its reply sees them: who asked, and what it went out over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use crate::rpc::error::RpcError;
use crate::rpc::message::Payload;
use crate::rpc::peer::Peer;
use crate::rpc::received::Owned;
use crate::rpc::shared::Timed;
use crate::rpc::sync::AtomicBool;
use crate::rpc::target::RefTarget;
use crate::rpc::thread::ThreadHandle;

/// A connection that an ask went out over.
pub(crate) trait SentOn {
    fn peer(&self) -> &Arc<Peer>;

    /// Retracts a request.
    fn cancel(&self, number: u64);
}

/// A request that was sent.
pub(crate) struct SentRequest {
    /// The connection's number for it.
    pub(crate) number: u64,
    /// The connection fails it when its time is up.
    pub(crate) timed: bool,
}

/// The state of a pending ask of another thread that does not depend on its message.
pub(crate) struct Asking {
    pub(crate) target: Arc<RefTarget>,
    /// The thread that has it.
    pub(crate) host: Arc<ThreadHandle>,
    /// When its time is up.
    pub(crate) deadline_ns: u64,
    /// Nobody waits any more.
    pub(crate) gone: AtomicBool,
}

impl Asking {
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

/// The asking end of a pending ask that waits for a reply of this type; its host answers it.
pub(crate) trait Asked<R: Payload>: Timed {
    fn asking(&self) -> &Asking;

    /// The reply, or why there is none. The first one counts.
    fn complete(&self, outcome: Result<Owned<R>, RpcError>);

    /// The outcome, if it is there.
    fn poll(&self, waker: &Waker) -> Poll<Result<Owned<R>, RpcError>>;

    /// Lets go: the message is not delivered, or not answered.
    fn abandon(&self);

    /// Fails it, and lets go of it.
    fn abort(&self, error: RpcError);
}
