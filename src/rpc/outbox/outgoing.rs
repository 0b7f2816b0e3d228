//! [`Outgoing`]: a message on the thread of its connection, with or without one.

use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::endpoint_ref::RefTarget;
use crate::rpc::error::{AskPhase, RpcError};
use crate::rpc::message::Message;
use crate::rpc::node::Node;
use crate::rpc::parcel::Parcel;

use super::{Link, Sendable, Sent};

/// A message that is to go out over a connection.
pub(crate) struct Outgoing<M: Message> {
    pub(crate) message: M,
    pub(crate) target: Arc<RefTarget>,
    /// Its place among the outstanding asks; `None` where it wants no reply.
    pub(crate) key: Option<u64>,
    pub(crate) deadline_ns: u64,
    pub(crate) token: Option<u64>,
    /// Gets the message back where it is not taken, for another try.
    pub(crate) from: Option<Arc<Parcel<M>>>,
}

impl<M: Message> Outgoing<M> {
    /// # Errors
    /// It wants no reply, and was not sent. An ask that cannot be sent is failed.
    pub(crate) fn transmit(&self, node: &Node, link: &Rc<Link>) -> Result<(), RpcError> {
        let Some(key) = self.key else {
            return link.send_one_way(&self.target, &self.message);
        };
        let (replies, asking) = (node.replies(), (key, self.deadline_ns, self.token));
        link.ask((node, &replies), &self.target, &self.message, asking);
        Ok(())
    }

    /// It is not taken: fails an ask, gives the error back for a message that wants no reply.
    ///
    /// # Errors
    /// That one.
    pub(crate) fn give_back(self, node: &Node, error: RpcError) -> Result<(), RpcError> {
        match self.key {
            Some(key) => {
                node.replies::<M::Reply>().settle(key, Err(error));
                Ok(())
            }
            None => {
                if let Some(from) = self.from {
                    from.put_back(self.message);
                }
                Err(error)
            }
        }
    }
}

impl<M: Message> Sendable for Outgoing<M> {
    fn target(&self) -> &Arc<RefTarget> {
        &self.target
    }

    fn is_wanted(&self, node: &Node) -> bool {
        self.key
            .is_none_or(|key| node.replies::<M::Reply>().is_wanted(key))
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
        self.give_back(node, error)
    }

    fn fail(self: Box<Self>, node: &Node, error: RpcError) {
        match self.key {
            Some(key) => node.replies::<M::Reply>().settle(key, Err(error)),
            None => node.env().lost(&self.target, M::NAME, error),
        }
    }
}
