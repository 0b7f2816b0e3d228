//! One connection, on its thread: messages go out here, in their envelopes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringrail_transport::{RequestError, ResponseHandler};

use super::connection::{Connection, Paused};
use super::error::RpcError;
use super::hello::{Hello, Lost, Names, Notice, Schemas};
use super::id::{EndpointId, IdMap};
use super::lost::LostMessage;
use super::message::Message;
use super::peer::{MAX_PEER_NAMES, Peer};
use super::replies::{Replies, SentOn};
use super::schema::{self, Schema};
use super::target::RefTarget;
use super::wire::{Envelope, Enveloped};

/// One connection.
pub(crate) struct Link {
    connection: Connection,
    peer: Arc<Peer>,
    /// Names that the peer has been told.
    told: RefCell<IdMap<()>>,
    /// The last two of them, so that one sender costs no look-up.
    last_told: Cell<(u64, u64)>,
    over: Cell<bool>,
    /// The peer has been told who we are.
    greeted: Cell<bool>,
    /// Threads whose endpoints have no room for its messages.
    pauses: Cell<usize>,
    /// As long as there are any: the connection hands out no requests.
    paused: RefCell<Option<Paused>>,
}

/// How an ask is sent: its number, its deadline in ns, its token.
pub(crate) type Asking = (u64, u64, Option<u64>);

impl Link {
    pub(crate) fn new(connection: Connection, peer: Arc<Peer>) -> Self {
        Self {
            connection,
            peer,
            told: RefCell::default(),
            last_told: Cell::new((0, 0)),
            over: Cell::new(false),
            greeted: Cell::new(false),
            pauses: Cell::new(0),
            paused: RefCell::new(None),
        }
    }

    /// Whether the connection has ended.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    pub(crate) fn set_over(&self) {
        self.over.set(true);
    }

    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Sends one of the envs' own messages; that it cannot be sent is logged.
    fn tell<N: Notice>(&self, notice: &N) {
        if let Err(error) = self.send_raw(N::TO, notice) {
            let peer = self.peer.address();
            tracing::debug!(target: "ringrail::rpc", %peer, message = N::NAME, %error, "not told");
        }
    }

    /// Tells a new peer who we are, once.
    pub(crate) fn greet(&self) {
        if self.greeted.replace(true) {
            return;
        }
        let env = self.peer.env();
        let address = env.address();
        self.tell(&Hello {
            env: env.id(),
            name: env.name().to_owned(),
            address: address.map(|address| (address.host().to_owned(), address.port())),
        });
    }

    /// Tells the peer that a message of its env is lost.
    pub(crate) fn tell_lost(&self, lost: &LostMessage) {
        self.tell(&Lost {
            endpoint: lost.endpoint.to_string(),
            message: lost.message.to_string(),
            cause: lost.cause.to_string(),
            code: lost.cause.code().to_wire(),
        });
    }

    /// A thread has no room for its messages, or has room again.
    pub(crate) fn pause(&self, pause: bool) {
        let before = self.pauses.get();
        let now = match pause {
            true => before + 1,
            false => before.saturating_sub(1),
        };
        assert!(pause || before > 0, "a pause ends that has begun");
        self.pauses.set(now);
        if (before == 0) == (now == 0) {
            return;
        }
        let paused = pause.then(|| self.connection.pause());
        let ended = self.paused.replace(paused);
        assert_eq!(
            ended.is_some(),
            before > 0,
            "a link is paused as long as it has pauses"
        );
    }

    /// Whether it is one of the engine's.
    pub(crate) fn is_of_engine(&self) -> bool {
        self.connection.of_engine().is_some()
    }

    /// Sends an ask over one of the engine's connections; its reply goes to `sink`, with `token`.
    ///
    /// # Errors
    /// It was not sent.
    #[inline]
    pub(crate) fn ask_fast<M: Message>(
        &self,
        target: &RefTarget,
        message: &M,
        timeout: Duration,
        (sink, token): (&Rc<dyn ResponseHandler>, u64),
    ) -> Result<(), RpcError> {
        let Some(connection) = self.connection.of_engine() else {
            return Err(self.refused(RequestError::NotConnected.into()));
        };
        self.tell_names::<M>(target);
        let envelope = Envelope {
            endpoint: target.id(),
            message: M::ID,
            token: None,
        };
        let body = self.enveloped(envelope, message);
        match connection.send_archive_with(&body, Some(timeout), sink, token) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refused(error.into())),
        }
    }

    pub(crate) fn close(&self) {
        self.connection.close();
    }

    /// Sends an ask; its reply, or why it was not sent, goes to the table of its type.
    #[inline]
    pub(crate) fn ask<M: Message>(
        self: &Rc<Self>,
        (now_ns, replies): (u64, &Rc<Replies<M::Reply>>),
        target: &RefTarget,
        message: &M,
        (key, deadline_ns, token): Asking,
    ) {
        self.tell_names::<M>(target);
        let envelope = Envelope {
            endpoint: target.id(),
            message: M::ID,
            token,
        };
        let body = self.enveloped(envelope, message);
        let left = Duration::from_nanos(deadline_ns.saturating_sub(now_ns));
        let asked = (key, deadline_ns, left);
        match self.connection.request(&body, asked, replies) {
            Ok(sent) => replies.sent(key, Rc::clone(self) as Rc<dyn SentOn>, sent),
            Err(error) => replies.settle(key, Err(self.refused(error))),
        }
    }

    /// Sends a message that wants no reply.
    ///
    /// # Errors
    /// It was not sent.
    pub(crate) fn send_one_way<M: Message>(
        &self,
        target: &RefTarget,
        message: &M,
    ) -> Result<(), RpcError> {
        self.tell_names::<M>(target);
        self.send_raw(target.id(), message)
    }

    /// Sends a message to an endpoint that need not have a name.
    pub(crate) fn send_raw<M: Message>(
        &self,
        endpoint: EndpointId,
        message: &M,
    ) -> Result<(), RpcError> {
        let envelope = Envelope {
            endpoint,
            message: M::ID,
            token: None,
        };
        let body = self.enveloped(envelope, message);
        let sent = self.connection.send(&body);
        sent.map_err(|error| self.refused(error))
    }

    fn enveloped<'a, M: Message>(&self, envelope: Envelope, message: &'a M) -> Enveloped<'a, M> {
        let max_len = self.peer.env().settings.message_max;
        Enveloped {
            envelope,
            message,
            max_len,
        }
    }

    #[cold]
    fn refused(&self, error: RpcError) -> RpcError {
        match error {
            RpcError::Request(error) if matches!(*error, RequestError::NotConnected) => {
                let address = self.peer.address().clone();
                RpcError::Disconnected { address }
            }
            error => error,
        }
    }

    /// Tells the peer what endpoint and message are called, the first time, so that its errors can
    /// say so.
    #[inline]
    fn tell_names<M: Message>(&self, target: &RefTarget) {
        let pair = (target.id().to_wire(), M::ID.to_wire());
        if self.last_told.get() != pair {
            self.last_told.set(pair);
            self.tell_new_names(target, &Schema::of::<M>());
        }
    }

    #[cold]
    fn tell_new_names(&self, target: &RefTarget, schema: &Schema) {
        let (endpoint, message) = (target.id().to_wire(), schema.id.to_wire());
        let mut told = self.told.borrow_mut();
        let is_new = !told.contains_key(&message);
        let mut names = Vec::new();
        for (id, name) in [(endpoint, target.name()), (message, schema.name)] {
            if told.len() < MAX_PEER_NAMES && told.insert(id, ()).is_none() {
                names.push((id, name.to_owned()));
            }
        }
        drop(told);
        if !names.is_empty() {
            self.tell(&Names { names });
        }
        if is_new {
            if let Err(error) = schema::declare(*schema) {
                tracing::error!(target: "ringrail::rpc", %error, "a peer may take one for the other");
            }
            let schemas = vec![(message, schema.fingerprint)];
            self.tell(&Schemas { schemas });
        }
    }
}

impl SentOn for Link {
    fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    fn cancel(&self, number: u64) {
        self.connection.cancel(number);
    }
}
