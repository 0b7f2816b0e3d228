//! Peers' messages that wait for room, and the backpressure on their connections.
//!
//! A message that wants no reply cannot be refused: its sender believes it sent. Where its inbox has no room
//! (or the queue of its endpoint's thread), it waits here, and with it everything that comes over the same
//! connection after it, so that nothing overtakes. Meanwhile the connection hands out no requests, which fills
//! its buffers and the sender's queues in turn: `send` is refused there.
//!
//! ```text
//! receive ─► inbox ── full ─► Stall ──► inbox, when there is room
//!                              │  └───► lost, after ringrail.rpc.inbox.maxStall: told to the sender's env
//!                              └─ pauses the connection until it is empty
//! ```

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::body::{BodyBuf, BodyRef};
use crate::rpc::clock;
use crate::rpc::error::{ENV_STOPPED, RpcError};
use crate::rpc::event::NetworkEvent;
use crate::rpc::link::Link;
use crate::rpc::lost::LostMessage;
use crate::rpc::peer::Peer;
use crate::rpc::reply::{FromPeer, Reply};
use crate::rpc::wire::Envelope;

use super::Dispatcher;

/// Messages and events of one connection that may wait for room on one thread. A paused connection hands out
/// next to nothing, so only what was on its way to the thread comes here.
const MAX_STALLED: usize = 4096;

/// How often what waits for room is tried, where nothing else gives the thread a turn: in ns.
const RETRY_NS: u64 = 1_000_000;

/// A message or an event that waits.
enum Stalled {
    Message {
        envelope: Envelope,
        body: BodyBuf,
        reply: Reply<'static>,
    },
    Event(NetworkEvent),
}

/// The queue of one connection.
pub(super) struct Stall {
    peer: Arc<Peer>,
    /// When the first of them began to wait, in ns.
    since_ns: u64,
    queue: VecDeque<Stalled>,
}

impl Dispatcher {
    /// Whether something of this peer waits here: what comes from it has to wait as well.
    #[inline]
    pub(super) fn is_stalled(&self, peer: &Arc<Peer>) -> bool {
        let stalls = self.stalls.borrow();
        !stalls.is_empty() && stalls.iter().any(|stall| Arc::ptr_eq(&stall.peer, peer))
    }

    /// Gives the queue of this peer to `then`, if it has one.
    fn with_stall<T>(&self, peer: &Arc<Peer>, then: impl FnOnce(&mut Stall) -> T) -> Option<T> {
        let mut stalls = self.stalls.borrow_mut();
        let its = stalls
            .iter_mut()
            .find(|stall| Arc::ptr_eq(&stall.peer, peer));
        its.map(then)
    }

    /// A peer's message has to wait.
    #[cold]
    pub(super) fn stall(self: &Rc<Self>, envelope: &Envelope, message: &mut FromPeer<'_>) {
        let waits = Stalled::Message {
            envelope: *envelope,
            body: message.body.keep(),
            reply: message.reply.take().hold(),
        };
        self.stall_with(message.peer, waits);
    }

    /// An event of a peer's connection happens behind what waits of it; the event where nothing does.
    pub(super) fn stall_event(
        self: &Rc<Self>,
        peer: &Arc<Peer>,
        event: NetworkEvent,
    ) -> Option<NetworkEvent> {
        if !self.is_stalled(peer) {
            return Some(event);
        }
        self.stall_with(peer, Stalled::Event(event));
        None
    }

    fn stall_with(self: &Rc<Self>, peer: &Arc<Peer>, what: Stalled) {
        if !self.is_stalled(peer) {
            self.stalls.borrow_mut().push(Stall {
                peer: Arc::clone(peer),
                since_ns: self.now_ns(),
                queue: VecDeque::from([what]),
            });
            self.on_link_of(peer, |link| link.pause(true));
            return self.retry_soon();
        }
        let full = self.with_stall(peer, |stall| {
            // A connection has a handful of events.
            if stall.queue.len() < MAX_STALLED || matches!(what, Stalled::Event(_)) {
                stall.queue.push_back(what);
                return None;
            }
            Some(what)
        });
        if let Some(what) = full.flatten() {
            let error = RpcError::too_many("the queue of messages that wait for room", MAX_STALLED);
            self.give_up_stalled(peer, what, &error);
        }
    }

    /// Runs `run` with the link of a peer, on its thread, if it is still there.
    fn on_link_of(self: &Rc<Self>, peer: &Peer, run: impl FnOnce(&Link) + Send + 'static) {
        let serial = peer.link();
        let run = move |dispatcher: &Rc<Dispatcher>| {
            if let Some(link) = dispatcher.link(serial) {
                run(&link);
            }
        };
        match Arc::ptr_eq(peer.host(), self.handle()) {
            true => run(self),
            false => drop(peer.host().run(run)),
        }
    }

    /// Delivers what has room by now; in every turn.
    pub(super) fn retry_stalled(self: &Rc<Self>) {
        let mut at = 0;
        loop {
            let peer = match self.stalls.borrow().get(at) {
                None => break,
                Some(stall) => Arc::clone(&stall.peer),
            };
            if self.retry_stall(&peer) {
                let gone = self.stalls.borrow_mut().remove(at);
                assert!(
                    gone.queue.is_empty(),
                    "a connection goes on when nothing of it waits"
                );
                self.on_link_of(&peer, |link| link.pause(false));
            } else {
                at += 1;
            }
        }
    }

    /// Whether anything waits for room, here or in an outbox: the thread has to look again.
    fn waits_for_room(&self) -> bool {
        !self.stalls.borrow().is_empty() || !self.waiting_outboxes.borrow().is_empty()
    }

    /// Tries again what outboxes could not send, and what had no room here.
    #[inline]
    pub(super) fn retry(self: &Rc<Self>) {
        if self.waits_for_room() {
            self.retry_now();
        }
    }

    #[cold]
    fn retry_now(self: &Rc<Self>) {
        let outboxes = self.waiting_outboxes.take();
        for outbox in outboxes {
            // One that still has to wait enters itself again.
            outbox.try_again(self);
        }
        self.retry_stalled();
        self.retry_at_ns.set(u64::MAX);
        if self.waits_for_room() {
            self.retry_soon();
        }
    }

    fn retry_soon(&self) {
        let at_ns = self.now_ns().saturating_add(RETRY_NS);
        if at_ns < self.retry_at_ns.get() {
            self.retry_at_ns.set(at_ns);
            self.arm();
        }
    }

    /// Delivers what waits of one connection, in order; false where something still has no room.
    fn retry_stall(self: &Rc<Self>, peer: &Arc<Peer>) -> bool {
        let limit_ns = clock::ns(self.env().settings.max_stall);
        while let Some((next, since_ns)) = self
            .with_stall(peer, |stall| {
                Some((stall.queue.pop_front()?, stall.since_ns))
            })
            .flatten()
        {
            let now_ns = self.now_ns();
            match self.retry_one(peer, next) {
                None => {
                    self.with_stall(peer, |stall| stall.since_ns = now_ns);
                }
                Some((waits, _)) if now_ns.saturating_sub(since_ns) < limit_ns => {
                    self.with_stall(peer, |stall| stall.queue.push_front(waits));
                    return false;
                }
                Some((waits, error)) => self.give_up_stalled(peer, waits, &error),
            }
        }
        true
    }

    /// Delivers one; gives it back where it still has no room.
    fn retry_one(self: &Rc<Self>, peer: &Arc<Peer>, what: Stalled) -> Option<(Stalled, RpcError)> {
        match what {
            Stalled::Event(event) => {
                self.tell_all(event);
                None
            }
            Stalled::Message {
                envelope,
                body,
                reply,
            } => {
                let delivered = self.dispatch(
                    &envelope,
                    &mut FromPeer {
                        body: BodyRef::of_kept(&body),
                        peer,
                        reply,
                    },
                );
                let error = delivered.err()?;
                let reply = Reply::OneWay;
                let waits = Stalled::Message {
                    envelope,
                    body,
                    reply,
                };
                Some((waits, error))
            }
        }
    }

    fn give_up_stalled(self: &Rc<Self>, peer: &Arc<Peer>, what: Stalled, error: &RpcError) {
        match what {
            Stalled::Event(event) => self.tell_all(event),
            Stalled::Message {
                envelope, reply, ..
            } => match reply {
                Reply::OneWay => self.lost_of(peer, &envelope, error),
                reply => reply.fail(error),
            },
        }
    }

    /// A peer's message that wanted no reply is lost: this env notes it, and tells the peer's.
    #[cold]
    pub(super) fn lost_of(
        self: &Rc<Self>,
        peer: &Arc<Peer>,
        envelope: &Envelope,
        error: &RpcError,
    ) {
        let lost = LostMessage::new(
            peer.endpoint_name(envelope.endpoint),
            peer.message_name(envelope.message),
            error.clone(),
        );
        self.env().losses.note(&lost);
        self.on_link_of(peer, move |link| link.tell_lost(&lost));
    }

    /// The dispatcher ends: nothing that waits is delivered any more.
    pub(super) fn drop_stalled(self: &Rc<Self>) {
        let stalls = self.stalls.take();
        for stall in stalls {
            for what in stall.queue {
                self.give_up_stalled(&stall.peer, what, &ENV_STOPPED);
            }
        }
        self.waiting_outboxes.take();
    }
}
