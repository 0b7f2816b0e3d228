//! [`ReplyHandler`]: callbacks that take replies on the thread that asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

use crate::rpc::dispatcher::Dispatcher;
use crate::rpc::error::RpcError;
use crate::rpc::message::Payload;
use crate::rpc::received::Received;

/// Takes replies on the thread that asked, without an allocation per ask: the fastest way.
///
/// One handler serves any number of asks; `token` is the caller's own number for each. A handler that
/// asks on does so through the context that it is called with, so it needs no reference to itself.
pub trait ReplyHandler<R: Payload> {
    /// The reply to the ask with this token, or why there is none. Called once per ask, on the
    /// thread that asked, never before [`ask_with`](crate::rpc::LocalRef::ask_with) was called, but
    /// perhaps before it returns. It may ask on, by `context`.
    fn on_reply(
        &self,
        context: ReplyContext<'_, R>,
        token: u64,
        outcome: Result<Received<'_, R>, RpcError>,
    );
}

/// The handler that is being called, for asks whose replies it shall get too.
pub struct ReplyContext<'a, R: Payload> {
    pub(crate) handler: &'a Rc<dyn ReplyHandler<R>>,
}

impl<'a, R: Payload> ReplyContext<'a, R> {
    /// The handler that is being called.
    pub fn handler(&self) -> &'a Rc<dyn ReplyHandler<R>> {
        self.handler
    }
}

/// Gives a reply to its handler, on the thread of `dispatcher`. A panic of the handler is logged.
#[inline]
pub(crate) fn call_back<R: Payload>(
    dispatcher: &Weak<Dispatcher>,
    handler: &Rc<dyn ReplyHandler<R>>,
    token: u64,
    outcome: Result<Received<'_, R>, RpcError>,
) {
    let context = ReplyContext { handler };
    let call = AssertUnwindSafe(|| handler.on_reply(context, token, outcome));
    let Some(dispatcher) = dispatcher.upgrade() else {
        // The thread is ending: it runs nothing after this call, and logs no panic of it.
        let _ = catch_unwind(call);
        return;
    };
    let entered = dispatcher.enter();
    if catch_unwind(call).is_err() {
        tracing::error!(target: "ringrail::rpc", "a reply's callback panicked");
    }
    if entered {
        dispatcher.leave();
    }
}

debug_text!([R: Payload] ReplyContext<'_, R>, |_this| "ReplyContext");
