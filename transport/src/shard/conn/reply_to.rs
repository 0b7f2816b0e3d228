//! The destination of an answer: a callback on the shard, a future on the shard, or another thread.

use std::rc::Rc;

use crate::buf::Lease;
use crate::conn::pending::Waiter;
use crate::error::RequestError;
use crate::shard::conn::user::{ResponseContext, StreamFeed};
use crate::shard::executor::Wakeup;
use crate::shard::remote_sink::RemoteSink;

use super::Conn;
use super::received::{ReceivedBytes, Reply};

/// The result of a request.
pub type Outcome = Result<Reply, RequestError>;

/// Takes answers on the shard without an allocation per request: the fastest way to call.
///
/// One handler serves any number of requests; `token` is the caller's own number for each
/// (Spark: `RpcResponseCallback`, `ChunkReceivedCallback`).
///
/// The transport keeps the handler while one of its requests is outstanding. A handler sends further
/// requests by the context that it is called with, so it needs no reference to itself.
pub trait ResponseHandler {
    /// The answer to the request with this token, or the error. `context` is the connection
    /// that the request was sent on; it sends further requests with this handler.
    ///
    /// Called once per request that was taken and not [retracted](crate::Connection::cancel), on the
    /// shard's thread, never before the call that sent the request has returned. When the connection
    /// closes, and when the engine stops, it is called for every outstanding request with
    /// [`RequestError::Closed`]; a further request is refused then.
    fn on_response(
        &self,
        context: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    );
}

/// The sink of one request.
pub(crate) enum ReplyTo {
    /// A callback on the shard.
    Callback {
        handler: Rc<dyn ResponseHandler>,
        token: u64,
    },
    /// A pending future on the shard.
    Future(Option<Wakeup>),
    /// A future on the shard, whose answer has arrived.
    Ready(Result<Lease, Box<RequestError>>),
    /// A caller on another thread.
    Remote(RemoteSink),
    /// A stream: slices go to its reader.
    Stream(StreamFeed),
}

impl Waiter for ReplyTo {
    #[inline]
    fn none() -> Self {
        ReplyTo::Future(None)
    }

    #[inline]
    fn has_answer(&self) -> bool {
        matches!(self, ReplyTo::Ready(_))
    }
}

impl ReplyTo {
    /// Delivers a body that is in a receive buffer; `keep` takes it out if it must outlive the
    /// call.
    #[inline]
    pub(crate) fn deliver(
        self,
        conn: &Rc<Conn>,
        body: ReceivedBytes<'_>,
        keep: impl FnOnce() -> Lease,
    ) {
        match self {
            ReplyTo::Callback { handler, token } => {
                handler.on_response(&ResponseContext::new(conn, &handler), token, Ok(body));
            }
            other => other.settle(Ok(Reply::new(keep()))),
        }
    }

    /// Delivers a body in a lease of its own.
    pub(crate) fn deliver_lease(self, conn: &Rc<Conn>, lease: Lease) {
        match self {
            ReplyTo::Callback { handler, token } => {
                let body = ReceivedBytes::new(&lease, &lease);
                handler.on_response(&ResponseContext::new(conn, &handler), token, Ok(body));
            }
            other => other.settle(Ok(Reply::new(lease))),
        }
    }

    /// Delivers a failure.
    pub(crate) fn fail(self, conn: &Rc<Conn>, error: RequestError) {
        match self {
            ReplyTo::Callback { handler, token } => {
                handler.on_response(&ResponseContext::new(conn, &handler), token, Err(error));
            }
            other => other.settle(Err(error)),
        }
    }

    fn settle(self, outcome: Outcome) {
        match self {
            ReplyTo::Remote(sink) => sink.send(outcome),
            ReplyTo::Stream(feed) => feed.end(outcome.map(|_| ())),
            ReplyTo::Future(_) | ReplyTo::Ready(_) | ReplyTo::Callback { .. } => {
                unreachable!("futures on the shard find their answer in the table")
            }
        }
    }
}
