//! A dispatcher and its connections: what comes in over them, what goes out, how they begin and end.

use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::RpcAddress;
use crate::rpc::body::BodyRef;
use crate::rpc::connection::Connection;
use crate::rpc::error::{ENV_STOPPED, RpcError};
use crate::rpc::event::NetworkEvent;
use crate::rpc::hello::is_reserved;
use crate::rpc::link::Link;
use crate::rpc::lost::LostMessage;
use crate::rpc::outbox::Outbox;
use crate::rpc::peer::Peer;
use crate::rpc::reply::{FromPeer, OnceCall, PeerMessage, Reply, SendReply};
use crate::rpc::target::{Place, RefTarget};
use crate::rpc::thread::{AnyPeerMessage, Job, PostError};
use crate::rpc::wire::Envelope;

use super::{AnyInbox, Dispatcher, hello};

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
            link.greet();
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

    /// A message came over a connection.
    #[inline(always)]
    pub(crate) fn receive(self: &Rc<Self>, message: &mut FromPeer<'_>) {
        let peer = message.peer;
        let Some((envelope, len)) = Envelope::read(message.body.bytes()) else {
            return no_envelope(message);
        };
        message.body = message.body.tail(len);
        if message.reply.is_one_way() && is_reserved(envelope.endpoint) {
            return hello::receive(self, peer, envelope.endpoint, message.body.bytes());
        }
        if !peer.is_trusted(envelope.message) {
            let error = hello::another_type(peer, envelope.message);
            return self.refuse(&envelope, message, &error);
        }
        if self.is_stalled(peer) || self.dispatch(&envelope, message).is_err() {
            self.stall(&envelope, message);
        }
    }

    /// Delivers a peer's message to its endpoint, or to the endpoint's thread.
    ///
    /// # Errors
    /// It wants no reply, and there is no room for it.
    #[inline]
    pub(super) fn dispatch(
        self: &Rc<Self>,
        envelope: &Envelope,
        message: &mut FromPeer<'_>,
    ) -> Result<(), RpcError> {
        match self.find_inbox(envelope.endpoint) {
            Some(inbox) => self.deliver(&inbox, envelope, message),
            None => self.forward(envelope, message),
        }
    }

    #[inline]
    fn deliver(
        self: &Rc<Self>,
        inbox: &Rc<dyn AnyInbox>,
        envelope: &Envelope,
        message: &mut FromPeer<'_>,
    ) -> Result<(), RpcError> {
        if let Some(token) = envelope.token
            && !self.admit(token, message)
        {
            return Ok(());
        }
        match inbox.receive(self, envelope.message, message) {
            Ok(()) => Ok(()),
            Err(error) => self.not_taken(message.peer, envelope, error),
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

    /// Whether the message is to be handled: one that was handled already is answered from memory.
    #[cold]
    fn admit(&self, token: u64, message: &mut FromPeer<'_>) -> bool {
        if message.reply.is_one_way() {
            return true;
        }
        let admitted = self.cache.admit(token, message.reply.take());
        let is_admitted = admitted.is_some();
        message.reply = admitted.unwrap_or_default();
        is_admitted
    }

    /// To the thread that the endpoint lives on.
    ///
    /// # Errors
    /// It wants no reply, and that thread's queue is full.
    #[cold]
    fn forward(
        self: &Rc<Self>,
        envelope: &Envelope,
        message: &mut FromPeer<'_>,
    ) -> Result<(), RpcError> {
        let peer = message.peer;
        let Some(host) = self.elsewhere(envelope.endpoint) else {
            let name = peer.endpoint_name(envelope.endpoint);
            self.refuse(envelope, message, &RpcError::CouldNotFind { name });
            return Ok(());
        };
        let one_way = message.reply.is_one_way();
        let posted = host.post(Job::Message(Box::new(PeerMessage {
            envelope: Some(*envelope),
            body: message.body.keep(),
            peer: Arc::clone(peer),
            reply: message.reply.take().send(self.handle()),
        })));
        let back = match posted {
            Ok(()) => return Ok(()),
            Err(PostError::Closed(_)) if one_way => {
                self.lost_of(peer, envelope, &ENV_STOPPED);
                return Ok(());
            }
            Err(PostError::Closed(job)) => {
                job.turn_away();
                return Ok(());
            }
            Err(PostError::Full(job)) => job,
        };
        let error = host.full("the mailbox of the endpoint's thread");
        match back {
            Job::Message(message) if !one_way => {
                message.fail(&error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// A peer's message came by another thread.
    fn receive_posted(self: &Rc<Self>, posted: PeerMessage) {
        let mut message = FromPeer {
            body: BodyRef::of_kept(&posted.body),
            peer: &posted.peer,
            reply: self.reply_of(posted.reply),
        };
        let message = &mut message;
        let Some(envelope) = posted.envelope else {
            return self.receive(message);
        };
        if self.is_stalled(&posted.peer) {
            return self.stall(&envelope, message);
        }
        // Not by a look at what is posted: that was posted after this.
        let delivered = match self.inbox(envelope.endpoint) {
            Some(inbox) => self.deliver(&inbox, &envelope, message),
            None => self.forward(&envelope, message),
        };
        if delivered.is_err() {
            self.stall(&envelope, message);
        }
    }

    /// The right to answer on this thread, which is the one that it names if it names one.
    pub(crate) fn reply_of(&self, reply: SendReply) -> Reply<'static> {
        match reply {
            SendReply::OneWay => Reply::OneWay,
            SendReply::Deferred(deferred) => Reply::Deferred(deferred),
            SendReply::Memory(answer) => Reply::Memory(answer),
            SendReply::Once { token, reply, .. } => {
                let reply = self.reply_of(*reply);
                Reply::Once(Box::new(OnceCall::new(&self.cache, token, reply)))
            }
            SendReply::Pending { key, .. } => self
                .table(key)
                .map_or(Reply::OneWay, |table| Reply::Pending(table, key)),
        }
    }

    /// Nobody takes a peer's message.
    #[cold]
    pub(super) fn refuse(
        self: &Rc<Self>,
        envelope: &Envelope,
        message: &mut FromPeer<'_>,
        error: &RpcError,
    ) {
        match message.reply.take() {
            Reply::OneWay => self.lost_of(message.peer, envelope, error),
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
        self.each_table(|table| table.fail_over(link.peer(), &error));
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
                None => Way::None(RpcError::disconnected(peer.address())),
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
                link.greet();
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

#[cold]
fn no_envelope(message: &mut FromPeer<'_>) {
    let error = RpcError::BadArchive {
        message: "a message without an envelope".into(),
        from: message.peer.address().to_string().into(),
        detail: format!("it has {} bytes", message.body.bytes().len()).into(),
    };
    if message.reply.is_one_way() {
        tracing::warn!(target: "ringrail::rpc", %error, "a one-way message is dropped");
    }
    message.reply.take().fail(&error);
}

/// How a target is reached.
pub(crate) enum Way {
    Link(Rc<Link>),
    Outbox(Rc<Outbox>),
    None(RpcError),
}

impl AnyPeerMessage for PeerMessage {
    fn deliver(self: Box<Self>, dispatcher: &Rc<Dispatcher>) {
        dispatcher.receive_posted(*self);
    }

    fn turn_away(self: Box<Self>) {
        let Some(envelope) = self.envelope else {
            // Its connection ends as well, and with it what was on its way.
            return;
        };
        let SendReply::OneWay = self.reply else {
            return self.reply.fail(&ENV_STOPPED);
        };
        self.peer.env().losses.note(&LostMessage::new(
            self.peer.endpoint_name(envelope.endpoint),
            self.peer.message_name(envelope.message),
            ENV_STOPPED,
        ));
    }

    fn fail(self: Box<Self>, error: &RpcError) {
        self.reply.fail(error);
    }
}
