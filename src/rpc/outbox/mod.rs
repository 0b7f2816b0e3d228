//! What is to be sent to one address, while there is no connection and when there is one (Spark:
//! `Outbox`).
//!
//! ```text
//! idle ──send──► connecting ──► connected ──its connection ends──► stopped
//!                     └────────────── no connection ──────────────► stopped
//! ```
//!
//! An outbox lives on one thread, that of its connection: one drainer and one connection, so messages
//! of one sender arrive in order. A stopped one is forgotten *before* its messages fail, so that the
//! next message makes a new one and connects again. A message that nobody waits for any more (timed
//! out, aborted, dropped) leaves the queue and is never sent.

mod link;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use super::endpoint_ref::RefTarget;
use super::error::RpcError;
use super::node::Node;
use super::{RpcAddress, settings};

pub(crate) use link::{Link, Pipe};

/// A message that is to go out over a connection.
pub(crate) trait Sendable {
    /// Whom it is for.
    fn target(&self) -> &Arc<RefTarget>;

    /// Whether it is still to be sent.
    fn is_wanted(&self, node: &Node) -> bool;

    /// It waits for a connection.
    fn waits(&self, node: &Node);

    /// Sends it.
    fn send(self: Box<Self>, node: &Rc<Node>, link: &Rc<Link>);

    /// It cannot be sent.
    fn fail(self: Box<Self>, node: &Node, error: RpcError);
}

enum State {
    Idle,
    Connecting,
    /// Connected, and not through with what had waited.
    Draining,
    Connected(Rc<Link>),
    Stopped,
}

/// The messages to one address.
pub(crate) struct Outbox {
    address: RpcAddress,
    state: RefCell<State>,
    queue: RefCell<VecDeque<Box<dyn Sendable>>>,
}

impl Outbox {
    pub(crate) fn new(address: RpcAddress) -> Self {
        Self {
            address,
            state: RefCell::new(State::Idle),
            queue: RefCell::default(),
        }
    }

    pub(crate) fn address(&self) -> &RpcAddress {
        &self.address
    }

    /// The connection, where nothing waits before it.
    #[inline]
    pub(crate) fn link(&self) -> Option<Rc<Link>> {
        match &*self.state.borrow() {
            State::Connected(link) => Some(Rc::clone(link)),
            _ => None,
        }
    }

    /// Sends a message, or queues it until there is a connection.
    pub(crate) fn send(self: &Rc<Self>, node: &Rc<Node>, message: Box<dyn Sendable>) {
        if let Some(link) = self.link() {
            return message.send(node, &link);
        }
        if matches!(*self.state.borrow(), State::Stopped) {
            return message.fail(node, RpcError::OutboxStopped);
        }
        let limit = node.env().settings().outbox_capacity;
        if self.queue.borrow().len() >= limit {
            return message.fail(
                node,
                RpcError::Busy {
                    what: "the outbox of the address",
                    limit: limit as u64,
                    key: settings::OUTBOX_KEY,
                },
            );
        }
        message.waits(node);
        self.queue.borrow_mut().push_back(message);
        let idle = matches!(*self.state.borrow(), State::Idle);
        if idle {
            *self.state.borrow_mut() = State::Connecting;
            node.env().connect(node.handle(), &self.address);
        }
    }

    /// The connection is there: what waited is sent, in order.
    pub(crate) fn connected(self: &Rc<Self>, node: &Rc<Node>, link: Rc<Link>) {
        if !matches!(*self.state.borrow(), State::Connecting) {
            link.close();
            return;
        }
        *self.state.borrow_mut() = State::Draining;
        loop {
            let next = self.queue.borrow_mut().pop_front();
            let Some(message) = next else {
                break;
            };
            if message.is_wanted(node) {
                message.send(node, &link);
            } else {
                message.fail(node, RpcError::OutboxStopped);
            }
        }
        let mut state = self.state.borrow_mut();
        if matches!(*state, State::Draining) {
            *state = State::Connected(link);
        }
    }

    /// Ends it; what waits fails with the cause, or because the outbox is stopped.
    pub(crate) fn stop(self: &Rc<Self>, node: &Rc<Node>, cause: Option<&RpcError>) {
        node.forget_outbox(self);
        let before = self.state.replace(State::Stopped);
        let waiting = self.queue.take();
        for message in waiting {
            message.fail(node, cause.cloned().unwrap_or(RpcError::OutboxStopped));
        }
        // Its connection may be others' too.
        drop(before);
    }

    /// One that never was anything else.
    pub(crate) fn stopped(&self) {
        *self.state.borrow_mut() = State::Stopped;
    }

    /// Messages that nobody waits for leave the queue.
    pub(crate) fn purge(&self, node: &Node) {
        if self.queue.borrow().is_empty() {
            return;
        }
        let queue = self.queue.take();
        let (wanted, unwanted): (Vec<_>, Vec<_>) = queue
            .into_iter()
            .partition(|message| message.is_wanted(node));
        self.queue.borrow_mut().extend(wanted);
        for message in unwanted {
            tracing::info!(
                target: "ringrail::rpc",
                to = %message.target(),
                "an ask that ended before there was a connection is not sent"
            );
        }
    }
}
