//! [`Outgoing`]: a message on the thread of its connection, with or without one.

use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::dispatcher::Dispatcher;
use crate::rpc::error::RpcError;
use crate::rpc::link::Link;
use crate::rpc::message::Message;
use crate::rpc::outbox::{Sendable, Sent};
use crate::rpc::replies::AnyReplies;
use crate::rpc::target::RefTarget;
use crate::rpc::timeout::AskPhase;

use super::PendingAsk;

/// A message that is to go out over a connection.
pub(crate) struct Outgoing<M: Message> {
    pub(crate) message: M,
    pub(crate) target: Arc<RefTarget>,
    /// Its place among the outstanding asks; `None` where it wants no reply.
    pub(crate) key: Option<u64>,
    pub(crate) deadline_ns: u64,
    pub(crate) token: Option<u64>,
    /// Gets the message back where it is not taken, for another try.
    pub(crate) from: Option<Arc<PendingAsk<M>>>,
}

impl<M: Message> Outgoing<M> {
    /// # Errors
    /// It wants no reply, and was not sent. An ask that cannot be sent is failed.
    pub(crate) fn transmit(
        &self,
        dispatcher: &Dispatcher,
        link: &Rc<Link>,
    ) -> Result<(), RpcError> {
        let Some(key) = self.key else {
            return link.send_one_way(&self.target, &self.message);
        };
        let (replies, asking) = (dispatcher.replies(), (key, self.deadline_ns, self.token));
        link.ask(
            (dispatcher.now_ns(), &replies),
            &self.target,
            &self.message,
            asking,
        );
        Ok(())
    }

    /// It is not taken: fails an ask, gives the error back for a message that wants no reply.
    ///
    /// # Errors
    /// That one.
    pub(crate) fn give_back(
        self,
        dispatcher: &Dispatcher,
        error: RpcError,
    ) -> Result<(), RpcError> {
        match self.key {
            Some(key) => {
                dispatcher.replies::<M::Reply>().settle(key, Err(error));
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

    fn is_wanted(&self, dispatcher: &Dispatcher) -> bool {
        self.key
            .is_none_or(|key| dispatcher.replies::<M::Reply>().is_wanted(key))
    }

    fn waits(&self, dispatcher: &Dispatcher) {
        if let Some(key) = self.key {
            dispatcher
                .replies::<M::Reply>()
                .reached(key, AskPhase::Connecting);
        }
    }

    fn send(self: Box<Self>, dispatcher: &Rc<Dispatcher>, link: &Rc<Link>) -> Sent {
        match self.transmit(dispatcher, link) {
            Ok(()) => Sent::Done,
            Err(error) if error.wants_room() => Sent::NoRoom(self),
            Err(error) => Sent::Refused(self, error),
        }
    }

    fn refuse(self: Box<Self>, dispatcher: &Dispatcher, error: RpcError) -> Result<(), RpcError> {
        self.give_back(dispatcher, error)
    }

    fn fail(self: Box<Self>, dispatcher: &Dispatcher, error: RpcError) {
        match self.key {
            Some(key) => dispatcher.replies::<M::Reply>().settle(key, Err(error)),
            None => dispatcher.env().lost(&self.target, M::NAME, error),
        }
    }
}
