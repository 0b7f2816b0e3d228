//! Asks over a connection of the same thread whose replies go straight from the transport to their
//! callback: no table of this layer has them, for the transport's has them already.
//!
//! Used by [`LocalRef::ask_with`](super::LocalRef::ask_with) where there is a connection of the engine.
//! Time, failures and the end of the connection are the transport's to tell.

use std::any::TypeId;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use ringrail_transport::{
    ReceivedBytes as WireBody, RequestError, ResponseContext, ResponseHandler,
};

use super::RpcError;
use super::body::BodyRef;
use super::dispatcher::Dispatcher;
use super::link::Link;
use super::message::Payload;
use super::peer::Peer;
use super::received::Received;
use super::replies::{ReplyHandler, call_back, translate};

/// The way of one callback's replies over one connection; kept by the ref for the asks that follow.
pub(super) struct FastPath {
    link: Rc<Link>,
    /// Identifies the callback: its address, and the type of its replies.
    of: (usize, TypeId),
    sink: Rc<dyn ResponseHandler>,
}

fn identity<R: Payload>(handler: &Rc<dyn ReplyHandler<R>>) -> (usize, TypeId) {
    // `sink` keeps the handler alive as long as this, so the address stays its own.
    let address = Rc::as_ptr(handler).cast::<()>().addr();
    (address, TypeId::of::<R>())
}

impl FastPath {
    /// The way over a connection; `None` where it is not one of the engine's.
    pub(super) fn over<R: Payload>(
        link: &Rc<Link>,
        dispatcher: &Rc<Dispatcher>,
        handler: &Rc<dyn ReplyHandler<R>>,
    ) -> Option<Self> {
        if !link.is_of_engine() {
            return None;
        }
        let sink = Port {
            dispatcher: Rc::downgrade(dispatcher),
            peer: Arc::clone(link.peer()),
            handler: Rc::clone(handler),
        };
        Some(Self {
            link: Rc::clone(link),
            of: identity(handler),
            sink: Rc::new(sink),
        })
    }

    /// The connection and the sink, if they are this callback's and still of use.
    #[inline]
    pub(super) fn of<R: Payload>(
        &self,
        handler: &Rc<dyn ReplyHandler<R>>,
    ) -> Option<(&Rc<Link>, &Rc<dyn ResponseHandler>)> {
        (self.of == identity(handler) && !self.link.is_over()).then_some((&self.link, &self.sink))
    }
}

/// A callback as the transport sees it.
struct Port<R: Payload> {
    dispatcher: Weak<Dispatcher>,
    peer: Arc<Peer>,
    handler: Rc<dyn ReplyHandler<R>>,
}

impl<R: Payload> Port<R> {
    #[cold]
    fn error(&self, error: RequestError) -> RpcError {
        let dispatcher = self.dispatcher.upgrade();
        translate(
            error,
            Some(self.peer.address().clone()),
            None,
            dispatcher.as_deref(),
        )
    }
}

impl<R: Payload> ResponseHandler for Port<R> {
    #[inline]
    fn on_response(
        &self,
        _: &ResponseContext<'_>,
        token: u64,
        outcome: Result<WireBody<'_>, RequestError>,
    ) {
        let outcome = match &outcome {
            Ok(body) => Received::archived(BodyRef::of_wire(body), Some(&self.peer))
                .map_err(|error| RpcError::bad_reply(Some(self.peer.address()), &error)),
            Err(error) => Err(self.error(error.clone())),
        };
        call_back(&self.dispatcher, &self.handler, token, outcome);
    }
}
