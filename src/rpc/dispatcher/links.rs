//! A dispatcher and its connections: what comes in over them, what goes out, how they begin and end.

use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::body::BodyRef;
use crate::rpc::connection::Connection;
use crate::rpc::endpoint_ref::{Place, RefTarget};
use crate::rpc::error::{ENV_STOPPED, RpcError};
use crate::rpc::inbox::{AnyInbox, NetworkEvent};
use crate::rpc::outbox::{Link, Outbox};
use crate::rpc::peer::Peer;
use crate::rpc::reply::{Reply, SendReply};
use crate::rpc::route::FromPeer;
use crate::rpc::wire::Envelope;
use crate::rpc::{RpcAddress, hello};

use super::{Dispatcher, Job, PeerMessage, PostError};

impl Dispatcher {
    /// A connection is there: tells the peer who we are, if it `greets`, and the endpoints that it is.
    pub(crate) fn add_link(
        self: &Rc<Self>,
        connection: Connection,
        peer: Arc<Peer>,
        greets: bool,
    ) -> Rc<Link> {
        assert!(
            Arc::ptr_eq(peer.host(), self.handle()),
            "a link lives on its peer's thread"
        );
        let (serial, socket) = (peer.link(), peer.socket().clone());
        let link = Rc::new(Link::new(connection, peer));
        let before = self.links.borrow_mut().insert(serial, Rc::clone(&link));
        assert!(
            before.is_none(),
            "two connections of a thread have one number"
        );
        if greets {
            hello::greet(&link);
        }
        self.broadcast(link.peer(), NetworkEvent::Connected(socket));
        link
    }

    pub(crate) fn link(&self, serial: u64) -> Option<Rc<Link>> {
        self.links.borrow().get(&serial).cloned()
    }

    /// A connection is over.
    pub(crate) fn remove_link(self: &Rc<Self>, serial: u64, cause: Option<RpcError>) {
        let Some(link) = self.links.borrow_mut().remove(&serial) else {
            return;
        };
        assert!(!link.is_over(), "a link in the table is not over");
        link.set_over();
        self.drop_outbox_of(&link);
        self.fail_asks_over(&link);
        let peer = link.peer();
        let advertised = peer
            .advertised()
            .filter(|address| *address != peer.socket());
        let addresses = [Some(peer.socket()), advertised];
        for address in addresses.into_iter().flatten() {
            if let Some(cause) = &cause {
                let failed = NetworkEvent::Failed(cause.clone(), address.clone());
                self.broadcast(peer, failed);
            }
            self.broadcast(peer, NetworkEvent::Disconnected(address.clone()));
        }
    }

    pub(super) fn close_links(&self) {
        let links: Vec<_> = self.links.borrow_mut().drain().collect();
        for (_, link) in links {
            link.set_over();
            link.close();
        }
    }

    /// A message came over a connection; `reply` answers it.
    #[inline(always)]
    pub(crate) fn receive(self: &Rc<Self>, peer: &Arc<Peer>, body: BodyRef<'_>, reply: Reply<'_>) {
        let Some((envelope, len)) = Envelope::read(body.bytes()) else {
            let error = RpcError::BadArchive {
                message: "a message without an envelope".into(),
                from: peer.address().to_string().into(),
                detail: format!("it has {} bytes", body.bytes().len()).into(),
            };
            if reply.is_one_way() {
                tracing::warn!(target: "ringrail::rpc", %error, "a one-way message is dropped");
            }
            return reply.fail(&error);
        };
        let body = body.tail(len);
        if reply.is_one_way() && hello::is_reserved(envelope.endpoint) {
            return hello::receive(self, peer, envelope.endpoint, body.bytes());
        }
        if !peer.is_trusted(envelope.message) {
            let error = hello::another_type(peer, envelope.message);
            return self.refuse(peer, &envelope, reply, &error);
        }
        if self.is_stalled(peer) {
            return self.stall(peer, envelope, body, reply);
        }
        if self.dispatch(peer, &envelope, body, reply).is_err() {
            self.stall(peer, envelope, body, Reply::OneWay);
        }
    }

    /// Delivers a peer's message to its endpoint, or to the endpoint's thread.
    ///
    /// # Errors
    /// It wants no reply, and there is no room for it.
    #[inline]
    pub(super) fn dispatch(
        self: &Rc<Self>,
        peer: &Arc<Peer>,
        envelope: &Envelope,
        body: BodyRef<'_>,
        reply: Reply<'_>,
    ) -> Result<(), RpcError> {
        match self.find_inbox(envelope.endpoint) {
            Some(inbox) => self.deliver(&inbox, peer, envelope, (body, reply)),
            None => self.forward(peer, envelope, body, reply),
        }
    }

    #[inline]
    fn deliver(
        self: &Rc<Self>,
        inbox: &Rc<dyn AnyInbox>,
        peer: &Arc<Peer>,
        envelope: &Envelope,
        (body, reply): (BodyRef<'_>, Reply<'_>),
    ) -> Result<(), RpcError> {
        let Some(reply) = self.admit(envelope.token, reply) else {
            return Ok(());
        };
        let mut message = FromPeer { body, peer, reply };
        match inbox.receive(self, envelope.message, &mut message) {
            Ok(()) => Ok(()),
            Err(error) => self.not_taken(peer, envelope, error),
        }
    }

    /// A message that wanted no reply was not taken.
    ///
    /// # Errors
    /// There may be room for it later.
    #[cold]
    fn not_taken(
        self: &Rc<Self>,
        peer: &Arc<Peer>,
        envelope: &Envelope,
        error: RpcError,
    ) -> Result<(), RpcError> {
        if error.wants_room() {
            return Err(error);
        }
        self.lost_of(peer, envelope, &error);
        Ok(())
    }

    /// The call again, if it is to be handled: one that was handled already is answered from memory.
    #[inline]
    fn admit<'a>(&self, token: Option<u64>, reply: Reply<'a>) -> Option<Reply<'a>> {
        match token {
            Some(token) if !reply.is_one_way() => self.cache.admit(token, reply),
            _ => Some(reply),
        }
    }

    /// To the thread that the endpoint lives on.
    ///
    /// # Errors
    /// It wants no reply, and that thread's queue is full.
    #[cold]
    fn forward(
        self: &Rc<Self>,
        peer: &Arc<Peer>,
        envelope: &Envelope,
        body: BodyRef<'_>,
        reply: Reply<'_>,
    ) -> Result<(), RpcError> {
        let Some(host) = self.elsewhere(envelope.endpoint) else {
            let name = peer.endpoint_name(envelope.endpoint);
            self.refuse(peer, envelope, reply, &RpcError::CouldNotFind { name });
            return Ok(());
        };
        let one_way = reply.is_one_way();
        let message = PeerMessage {
            envelope: Some(*envelope),
            body: body.keep(),
            peer: Arc::clone(peer),
            reply: reply.send(self.handle()),
        };
        let reply = match host.post(Job::Message(Box::new(message))) {
            Ok(()) => return Ok(()),
            Err(PostError::Closed(_)) if one_way => {
                self.lost_of(peer, envelope, &ENV_STOPPED);
                return Ok(());
            }
            Err(PostError::Closed(job)) => {
                job.turn_away();
                return Ok(());
            }
            Err(PostError::Full(Job::Message(message))) => message.reply,
            Err(PostError::Full(_)) => SendReply::OneWay,
        };
        let error = host.full("the mailbox of the endpoint's thread");
        if one_way {
            return Err(error);
        }
        reply.fail(&error);
        Ok(())
    }

    /// A peer's message came by another thread.
    pub(super) fn receive_posted(self: &Rc<Self>, message: PeerMessage) {
        let PeerMessage {
            envelope,
            body,
            peer,
            reply,
        } = message;
        let (body, reply) = (BodyRef::of_kept(&body), reply.arrived(self));
        let Some(envelope) = envelope else {
            return self.receive(&peer, body, reply);
        };
        if self.is_stalled(&peer) {
            return self.stall(&peer, envelope, body, reply);
        }
        // Not by a look at what is posted: that was posted after this.
        let delivered = match self.inbox(envelope.endpoint) {
            Some(inbox) => self.deliver(&inbox, &peer, &envelope, (body, reply)),
            None => self.forward(&peer, &envelope, body, reply),
        };
        if delivered.is_err() {
            self.stall(&peer, envelope, body, Reply::OneWay);
        }
    }

    /// Nobody takes a peer's message.
    #[cold]
    pub(super) fn refuse(
        self: &Rc<Self>,
        peer: &Arc<Peer>,
        envelope: &Envelope,
        reply: Reply<'_>,
        error: &RpcError,
    ) {
        match reply {
            Reply::OneWay => self.lost_of(peer, envelope, error),
            reply => reply.fail(error),
        }
    }

    /// Fails the asks sent over a connection that is over. The engine's connections do so themselves.
    fn fail_asks_over(&self, link: &Rc<Link>) {
        if link.is_of_engine() {
            return;
        }
        let address = link.peer().address().clone();
        let error = RpcError::Disconnected { address };
        self.each_table(|table| table.fail_link(link, &error));
    }

    /// How a target of another env is reached from this thread.
    pub(crate) fn way_to(self: &Rc<Self>, target: &RefTarget) -> Way {
        match target.place() {
            Place::Remote { address, .. } => {
                let outbox = self.outbox(address);
                match outbox.link() {
                    Some(link) => Way::Link(link),
                    None => Way::Outbox(outbox),
                }
            }
            Place::Connection(peer) => match self.link(peer.link()) {
                Some(link) => Way::Link(link),
                None => Way::None(RpcError::Disconnected {
                    address: peer.address().clone(),
                }),
            },
            Place::Here(_) | Place::Nowhere => Way::None(RpcError::NoListenAddress),
        }
    }

    /// The outbox for an address; a new one where the last has stopped.
    pub(crate) fn outbox(&self, address: &RpcAddress) -> Rc<Outbox> {
        let known = self.outboxes.borrow().get(&address.key()).cloned();
        if let Some(outbox) = known
            && outbox.address() == address
        {
            return outbox;
        }
        let outbox = Rc::new(Outbox::new(address.clone()));
        if self.stopping.get() {
            outbox.stopped();
        } else {
            let place = &mut self.outboxes.borrow_mut();
            place.insert(address.key(), Rc::clone(&outbox));
        }
        outbox
    }

    /// The outbox is no longer the one for its address.
    pub(crate) fn forget_outbox(&self, outbox: &Rc<Outbox>) {
        let mut outboxes = self.outboxes.borrow_mut();
        let key = outbox.address().key();
        if outboxes
            .get(&key)
            .is_some_and(|known| Rc::ptr_eq(known, outbox))
        {
            outboxes.remove(&key);
        }
    }

    fn drop_outbox_of(self: &Rc<Self>, link: &Rc<Link>) {
        let outboxes: Vec<_> = self.outboxes.borrow().values().cloned().collect();
        if let Some(outbox) = outboxes.iter().find(|outbox| outbox.uses(link)) {
            outbox.stop(self, None);
        }
    }

    pub(super) fn stop_outboxes(self: &Rc<Self>) {
        let outboxes: Vec<_> = self.outboxes.borrow().values().cloned().collect();
        for outbox in outboxes {
            outbox.stop(self, None);
        }
    }

    /// The connection that an outbox waits for is there, or is not to be had.
    pub(crate) fn connected(self: &Rc<Self>, to: &RpcAddress, outcome: Result<Rc<Link>, RpcError>) {
        let outbox = self.outboxes.borrow().get(&to.key()).cloned();
        match (outbox, outcome) {
            (Some(outbox), Ok(link)) => {
                hello::greet(&link);
                outbox.connected(self, link);
            }
            (Some(outbox), Err(error)) => outbox.stop(self, Some(&error)),
            (None, Ok(link)) => link.close(),
            (None, Err(_)) => {}
        }
    }

    /// As [`purge_outboxes`](Self::purge_outboxes), where any ask was let go since that was last done.
    pub(crate) fn purge_let_go(&self) {
        if self.let_go.get() > 0 {
            self.purge_outboxes();
        }
    }

    /// Messages that nobody waits for leave the outboxes.
    pub(super) fn purge_outboxes(&self) {
        self.let_go.set(0);
        let outboxes: Vec<_> = self.outboxes.borrow().values().cloned().collect();
        for outbox in outboxes {
            outbox.purge(self);
        }
    }
}

/// How a target is reached.
pub(crate) enum Way {
    Link(Rc<Link>),
    Outbox(Rc<Outbox>),
    None(RpcError),
}
