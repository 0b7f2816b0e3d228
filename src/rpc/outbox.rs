//! Messages to one address, while there is no connection and when there is one (Spark:
//! `Outbox`).
//!
//! ```text
//! idle ──send──► connecting ──► connected ──its connection ends──► stopped
//!                     │            ▲  │ no room
//!                     │       room │  ▼
//!                     │         backpressured
//!                     └────────────── no connection ──────────────► stopped
//! ```
//!
//! If the connection has no room for a message that wants no reply, that and everything after it waits here,
//! within the outbox's bound, and is tried again in the dispatcher's turns.
//!
//! An outbox lives on one thread, that of its connection: one drainer and one connection, so messages
//! of one sender arrive in order. A stopped one is forgotten *before* its messages fail, so that the
//! next message makes a new one and connects again. A message that nobody waits for any more (timed
//! out, aborted, dropped) leaves the queue and is never sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use super::dispatcher::Dispatcher;
use super::error::RpcError;
use super::link::Link;
use super::target::RefTarget;
use super::{RpcAddress, settings};

/// A message that is to go out over a connection.
pub(crate) trait Sendable {
    /// The target.
    fn target(&self) -> &Arc<RefTarget>;

    /// Whether it is still to be sent.
    fn is_wanted(&self, dispatcher: &Dispatcher) -> bool;

    /// It waits for a connection.
    fn waits(&self, dispatcher: &Dispatcher);

    /// Sends it. An ask that cannot be sent is failed.
    fn send(self: Box<Self>, dispatcher: &Rc<Dispatcher>, link: &Rc<Link>) -> Sent;

    /// It is not taken: fails an ask, gives the error back for a message that wants no reply.
    ///
    /// # Errors
    /// That one.
    fn refuse(self: Box<Self>, dispatcher: &Dispatcher, error: RpcError) -> Result<(), RpcError>;

    /// It was taken, and cannot be sent: fails an ask; a message that wants no reply is lost.
    fn fail(self: Box<Self>, dispatcher: &Dispatcher, error: RpcError);
}

/// The fate of a message.
pub(crate) enum Sent {
    /// It was sent, or, an ask, failed.
    Done,
    /// The connection has no room for a message that wants no reply.
    NoRoom(Box<dyn Sendable>),
    /// A message that wants no reply cannot be sent.
    Refused(Box<dyn Sendable>, RpcError),
}

enum State {
    Idle,
    Connecting,
    /// Connected, and not through with what had waited.
    Draining,
    /// Connected to one that had no room: what waits is tried again.
    Backpressured(Rc<Link>),
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

    /// The connection, where there is one.
    fn any_link(&self) -> Option<Rc<Link>> {
        match &*self.state.borrow() {
            State::Connected(link) | State::Backpressured(link) => Some(Rc::clone(link)),
            _ => None,
        }
    }

    /// Whether this is its connection.
    pub(crate) fn uses(&self, link: &Rc<Link>) -> bool {
        self.any_link().is_some_and(|its| Rc::ptr_eq(&its, link))
    }

    /// Sends a message, or queues it until there is a connection with room for it.
    ///
    /// # Errors
    /// It wants no reply, and was not taken; an ask is failed.
    pub(crate) fn send(
        self: &Rc<Self>,
        dispatcher: &Rc<Dispatcher>,
        message: Box<dyn Sendable>,
    ) -> Result<(), RpcError> {
        let message = match self.link() {
            None => message,
            Some(link) => match message.send(dispatcher, &link) {
                Sent::Done => return Ok(()),
                Sent::Refused(message, error) => return message.refuse(dispatcher, error),
                Sent::NoRoom(message) => {
                    *self.state.borrow_mut() = State::Backpressured(link);
                    dispatcher.outbox_waits(self);
                    message
                }
            },
        };
        if matches!(*self.state.borrow(), State::Stopped) {
            return message.refuse(dispatcher, RpcError::OutboxStopped);
        }
        let limit = dispatcher.env().settings.outbox_capacity;
        if self.queue.borrow().len() >= limit {
            // Asks that were let go have been in their places until now.
            dispatcher.purge_let_go();
        }
        if self.queue.borrow().len() >= limit {
            return message.refuse(
                dispatcher,
                RpcError::busy("the outbox of the address", limit, settings::OUTBOX_KEY),
            );
        }
        message.waits(dispatcher);
        self.queue.borrow_mut().push_back(message);
        assert!(
            self.queue.borrow().len() <= limit,
            "an outbox keeps its bound"
        );
        let idle = matches!(*self.state.borrow(), State::Idle);
        if idle {
            *self.state.borrow_mut() = State::Connecting;
            dispatcher.env().connect(dispatcher.handle(), &self.address);
        }
        Ok(())
    }

    /// The connection is there: what waited is sent, in order.
    pub(crate) fn connected(self: &Rc<Self>, dispatcher: &Rc<Dispatcher>, link: Rc<Link>) {
        if !matches!(*self.state.borrow(), State::Connecting) {
            link.close();
            return;
        }
        self.drain(dispatcher, link);
    }

    /// Tries again what the connection had no room for; false where it still has none.
    pub(crate) fn try_again(self: &Rc<Self>, dispatcher: &Rc<Dispatcher>) -> bool {
        let link = match &*self.state.borrow() {
            State::Backpressured(link) => Rc::clone(link),
            _ => return true,
        };
        self.drain(dispatcher, link);
        !matches!(*self.state.borrow(), State::Backpressured(_))
    }

    fn drain(self: &Rc<Self>, dispatcher: &Rc<Dispatcher>, link: Rc<Link>) {
        let before = self.state.replace(State::Draining);
        assert!(
            matches!(before, State::Connecting | State::Backpressured(_)),
            "an outbox is drained once per connection, or when there is room"
        );
        drop(before);
        let mut end: fn(Rc<Link>) -> State = State::Connected;
        loop {
            let next = self.queue.borrow_mut().pop_front();
            let Some(message) = next else {
                break;
            };
            if !message.is_wanted(dispatcher) {
                message.fail(dispatcher, RpcError::OutboxStopped);
                continue;
            }
            match message.send(dispatcher, &link) {
                Sent::Done => {}
                Sent::Refused(message, error) => message.fail(dispatcher, error),
                Sent::NoRoom(message) => {
                    self.queue.borrow_mut().push_front(message);
                    end = State::Backpressured;
                    break;
                }
            }
        }
        let mut state = self.state.borrow_mut();
        // It may have been stopped from inside.
        if matches!(*state, State::Draining) {
            *state = end(link);
            let waits = matches!(*state, State::Backpressured(_));
            drop(state);
            if waits {
                dispatcher.outbox_waits(self);
            }
        }
    }

    /// Ends it; what waits fails with the cause, or because the outbox is stopped.
    pub(crate) fn stop(self: &Rc<Self>, dispatcher: &Rc<Dispatcher>, cause: Option<&RpcError>) {
        dispatcher.forget_outbox(self);
        let before = self.state.replace(State::Stopped);
        let waiting = self.queue.take();
        for message in waiting {
            message.fail(
                dispatcher,
                cause.cloned().unwrap_or(RpcError::OutboxStopped),
            );
        }
        // Its connection may be others' too.
        drop(before);
    }

    /// One that never was anything else.
    pub(crate) fn stopped(&self) {
        *self.state.borrow_mut() = State::Stopped;
    }

    /// Messages that nobody waits for leave the queue.
    pub(crate) fn purge(&self, dispatcher: &Dispatcher) {
        if self.queue.borrow().is_empty() {
            return;
        }
        let queue = self.queue.take();
        let (wanted, unwanted): (Vec<_>, Vec<_>) = queue
            .into_iter()
            .partition(|message| message.is_wanted(dispatcher));
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
