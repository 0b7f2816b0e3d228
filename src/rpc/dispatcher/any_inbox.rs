//! An inbox as its thread's dispatcher sees it, without the type of its endpoint.

use std::any::Any;
use std::rc::Rc;

use crate::rpc::RpcError;
use crate::rpc::event::NetworkEvent;
use crate::rpc::id::MessageId;
use crate::rpc::message::{Lane, Message};
use crate::rpc::reply::{FromPeer, Reply};

use super::Dispatcher;

/// An inbox of an endpoint of any type.
pub(crate) trait AnyInbox {
    /// The number of its registration, which no other inbox of its thread has.
    fn serial(&self) -> u64;

    /// A peer's message; its call is taken out. By reference, for it passes through several hands.
    ///
    /// # Errors
    /// It wants no reply, and was not taken; an ask is failed.
    fn receive(
        &self,
        dispatcher: &Rc<Dispatcher>,
        id: MessageId,
        message: &mut FromPeer<'_>,
    ) -> Result<(), RpcError>;

    /// Whether another message may be queued.
    ///
    /// # Errors
    /// The endpoint is stopped, or has as many waiting as it may.
    fn check_room(&self, lane: Lane) -> Result<(), RpcError>;

    /// The `Rc<dyn TypedRoute<M>>` of the message with this id.
    fn typed(&self, id: MessageId) -> Option<&dyn Any>;

    /// A value of this process that no route takes.
    fn post_unrouted(&self, dispatcher: &Rc<Dispatcher>, message: Unrouted)
    -> Result<(), RpcError>;

    /// Something happened to a connection.
    fn post_event(&self, dispatcher: &Rc<Dispatcher>, event: &Rc<NetworkEvent>);

    /// Handles up to `budget` messages; true where more wait.
    fn run(&self, dispatcher: &Rc<Dispatcher>, budget: usize) -> bool;

    /// Handles what waits, then `on_stop`.
    fn stop(&self, dispatcher: &Rc<Dispatcher>);

    /// Ends at once: fails what waits.
    fn abandon(&self, dispatcher: &Rc<Dispatcher>);

    /// Takes no more.
    fn is_stopping(&self) -> bool;

    /// A future of its handlers can go on.
    fn wake(&self, dispatcher: &Rc<Dispatcher>);
}

/// A value of this process that the endpoint has no route for.
pub(crate) struct Unrouted {
    pub(crate) id: MessageId,
    pub(crate) lane: Lane,
    pub(crate) name: &'static str,
    pub(crate) value: Box<dyn Any>,
    pub(crate) reply: Reply<'static>,
}

/// A route without its endpoint's type.
pub(crate) trait TypedRoute<M: Message> {
    /// Handles a value of this process now, if nothing is in the way, or queues it. `key` is the
    /// ask's.
    ///
    /// # Errors
    /// The endpoint is stopped, or its inbox is full.
    fn post(
        &self,
        dispatcher: &Rc<Dispatcher>,
        message: M,
        key: Option<u64>,
    ) -> Result<(), RpcError>;
}

/// The route of `M`, where the endpoint has one.
#[inline]
pub(crate) fn typed_route<M: Message>(inbox: &dyn AnyInbox) -> Option<&Rc<dyn TypedRoute<M>>> {
    inbox.typed(M::ID)?.downcast_ref()
}
