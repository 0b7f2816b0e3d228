//! Parcels on the thread of a connection: sent over it, or waiting for it in the outbox of its address.

use std::rc::Rc;
use std::sync::Arc;

use super::super::endpoint_ref::RefTarget;
use super::super::error::{AskPhase, RpcError};
use super::super::message::Message;
use super::super::node::Node;
use super::super::outbox::{Link, Sendable, Sent};
use super::{Answering, AnyParcel, Parcel};

/// A parcel that is to go out over a connection.
pub(super) struct ParcelOut<M: Message> {
    pub(super) parcel: Arc<Parcel<M>>,
    pub(super) key: Option<u64>,
}

impl<M: Message> Sendable for ParcelOut<M> {
    fn target(&self) -> &Arc<RefTarget> {
        &self.parcel.target
    }

    fn is_wanted(&self, _node: &Node) -> bool {
        self.parcel.one_way || !self.parcel.is_gone()
    }

    fn waits(&self, node: &Node) {
        if let Some(key) = self.key {
            node.replies::<M::Reply>()
                .reached(key, AskPhase::Connecting);
        }
    }

    fn send(self: Box<Self>, node: &Rc<Node>, link: &Rc<Link>) -> Sent {
        match self.transmit(node, link) {
            Ok(()) => Sent::Done,
            Err(error) if error.wants_room() => Sent::NoRoom(self),
            Err(error) => Sent::Refused(self, error),
        }
    }

    fn refuse(self: Box<Self>, node: &Node, error: RpcError) -> Result<(), RpcError> {
        self.give_up(node, error)
    }

    fn fail(self: Box<Self>, node: &Node, error: RpcError) {
        if let Err(error) = self.give_up(node, error) {
            self.parcel.fail(error);
        }
    }
}

impl<M: Message> ParcelOut<M> {
    /// # Errors
    /// It wants no reply, and was not taken: it is still in the parcel.
    pub(super) fn transmit(&self, node: &Rc<Node>, link: &Rc<Link>) -> Result<(), RpcError> {
        let Some(message) = self.parcel.take_message() else {
            return Ok(());
        };
        let parcel = &self.parcel;
        if let Some(key) = self.key {
            let replies = node.replies::<M::Reply>();
            let asking = (key, parcel.deadline_ns, parcel.token);
            link.ask((node, &replies), parcel.target(), &message, asking);
            return Ok(());
        }
        let sent = link.send_one_way(parcel.target(), &message);
        if sent.is_err() {
            // It may be tried again.
            self.parcel.lock().message = Some(message);
        }
        sent
    }

    /// Fails an ask; gives the error back for a message that wants no reply.
    pub(super) fn give_up(&self, node: &Node, error: RpcError) -> Result<(), RpcError> {
        match self.key {
            Some(key) => node.replies::<M::Reply>().settle(key, Err(error)),
            None => return Err(error),
        }
        Ok(())
    }
}
