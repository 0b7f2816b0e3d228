//! One connection, on its thread: messages go out here, in their envelopes.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringrail_codec::archive::Encode;
use ringrail_transport::server::Pause;
use ringrail_transport::{Connection, RequestError, ResponseHandler};

use crate::rpc::body::encode_aligned;
use crate::rpc::carrier::{CarrierFrame, CarrierLink};
use crate::rpc::endpoint_ref::RefTarget;
use crate::rpc::error::RpcError;
use crate::rpc::greeting;
use crate::rpc::id::EndpointId;
use crate::rpc::message::Message;
use crate::rpc::node::{IdMap, Replies};
use crate::rpc::peer::{MAX_PEER_NAMES, Peer};
use crate::rpc::schema::{self, Schema};
use crate::rpc::wire::{Envelope, Enveloped};

/// What a connection consists of.
pub(crate) enum Pipe {
    /// One of the engine's.
    Ring(Connection),
    /// One of a carrier's.
    Carried(Arc<dyn CarrierLink>),
}

/// One connection.
pub(crate) struct Link {
    pipe: Pipe,
    peer: Arc<Peer>,
    /// Names that the peer has been told.
    told: RefCell<IdMap<()>>,
    /// The last two of them, so that one sender costs no look-up.
    last_told: Cell<(u64, u64)>,
    /// Calls of a carrier's peer that are not answered.
    calls: RefCell<IdMap<Arc<AtomicBool>>>,
    over: Cell<bool>,
    /// The peer has been told who we are.
    greeted: Cell<bool>,
    /// Threads whose endpoints have no room for its messages.
    pauses: Cell<usize>,
    /// As long as there are any: the connection hands out no requests.
    paused: RefCell<Option<Pause>>,
    /// The same for a carrier's: its frames are refused.
    refuses: OnceCell<Arc<AtomicBool>>,
}

/// How an ask is sent: its number, the time it has left, its token.
pub(crate) type Asking = (u64, Duration, Option<u64>);

impl Link {
    pub(crate) fn new(pipe: Pipe, peer: Arc<Peer>) -> Self {
        Self {
            pipe,
            peer,
            told: RefCell::default(),
            last_told: Cell::new((0, 0)),
            calls: RefCell::default(),
            over: Cell::new(false),
            greeted: Cell::new(false),
            pauses: Cell::new(0),
            paused: RefCell::new(None),
            refuses: OnceCell::new(),
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

    /// True the first time.
    pub(crate) fn is_first_greeting(&self) -> bool {
        !self.greeted.replace(true)
    }

    /// The flag by which its frames are refused while it is paused.
    pub(crate) fn refuses_by(&self, flag: Arc<AtomicBool>) {
        // Set once, by whoever makes the link.
        let _ = self.refuses.set(flag);
    }

    /// A thread has no room for its messages, or has room again.
    pub(crate) fn pause(&self, pause: bool) {
        let before = self.pauses.get();
        let now = match pause {
            true => before + 1,
            false => before.saturating_sub(1),
        };
        self.pauses.set(now);
        if (before == 0) == (now == 0) {
            return;
        }
        if let Some(refuses) = self.refuses.get() {
            refuses.store(pause, Ordering::Release);
        }
        let paused = match &self.pipe {
            Pipe::Ring(connection) if pause => Some(connection.pause()),
            Pipe::Ring(_) | Pipe::Carried(_) => None,
        };
        let ended = self.paused.replace(paused);
        drop(ended);
    }

    /// Whether it is one of the engine's.
    pub(crate) fn is_of_engine(&self) -> bool {
        matches!(self.pipe, Pipe::Ring(_))
    }

    /// Sends an ask over one of the engine's connections; its reply goes to `sink`, with `token`.
    ///
    /// # Errors
    /// It was not sent.
    #[inline]
    pub(crate) fn ask_direct<M: Message>(
        &self,
        target: &RefTarget,
        message: &M,
        timeout: Duration,
        (sink, token): (&Rc<dyn ResponseHandler>, u64),
    ) -> Result<(), RpcError> {
        let Pipe::Ring(connection) = &self.pipe else {
            return Err(self.refused(RequestError::NotConnected));
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
            Err(error) => Err(self.refused(error)),
        }
    }

    /// The carrier's link, if it is one's.
    pub(crate) fn carried(&self) -> Option<Arc<dyn CarrierLink>> {
        match &self.pipe {
            Pipe::Ring(_) => None,
            Pipe::Carried(link) => Some(Arc::clone(link)),
        }
    }

    pub(crate) fn close(&self) {
        match &self.pipe {
            Pipe::Ring(connection) => connection.close(),
            Pipe::Carried(link) => link.close(),
        }
    }

    /// Sends an ask; its reply goes to the table of its type.
    ///
    /// # Errors
    /// It was not sent.
    #[inline]
    pub(crate) fn ask<M: Message>(
        self: &Rc<Self>,
        replies: &Rc<Replies<M::Reply>>,
        target: &RefTarget,
        message: &M,
        (key, left, token): Asking,
    ) -> Result<(), RpcError> {
        self.tell_names::<M>(target);
        let envelope = Envelope {
            endpoint: target.id(),
            message: M::ID,
            token,
        };
        let body = self.enveloped(envelope, message);
        match &self.pipe {
            Pipe::Ring(connection) => {
                let handler = Rc::clone(replies) as Rc<dyn ResponseHandler>;
                let sent = connection.send_archive_with(&body, Some(left), &handler, key);
                let call = sent.map_err(|error| self.refused(error))?;
                replies.sent(key, self, call, true);
            }
            Pipe::Carried(link) => {
                let body = Arc::new(encode::<M>(&body)?);
                replies.sent(key, self, key, false);
                link.send(CarrierFrame::Request {
                    id: key,
                    deadline_us: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
                    body,
                })?;
            }
        }
        Ok(())
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
        match &self.pipe {
            Pipe::Ring(connection) => connection
                .send_archive_one_way(&body)
                .map_err(|error| self.refused(error)),
            Pipe::Carried(link) => {
                let body = Arc::new(encode::<M>(&body)?);
                link.send(CarrierFrame::OneWay { body })
            }
        }
    }

    fn enveloped<'a, M: Message>(&self, envelope: Envelope, message: &'a M) -> Enveloped<'a, M> {
        let max_len = self.peer.env().settings().message_max;
        Enveloped {
            envelope,
            message,
            max_len,
        }
    }

    #[cold]
    fn refused(&self, error: RequestError) -> RpcError {
        match error {
            RequestError::NotConnected => RpcError::Disconnected {
                address: self.peer.address().clone(),
            },
            error => RpcError::from(error),
        }
    }

    /// Retracts an ask.
    pub(crate) fn cancel(&self, call: u64) {
        match &self.pipe {
            Pipe::Ring(connection) => connection.cancel(call),
            Pipe::Carried(link) => {
                // A peer that is gone has nothing to cancel.
                let _ = link.send(CarrierFrame::Cancel { id: call });
            }
        }
    }

    /// Tells the peer what endpoint and message are called, the first time, so that its errors can
    /// say so.
    #[inline]
    fn tell_names<M: Message>(&self, target: &RefTarget) {
        let pair = (target.id().to_wire(), M::ID.to_wire());
        if self.last_told.get() != pair {
            self.last_told.set(pair);
            self.tell(target, &Schema::of::<M>());
        }
    }

    #[cold]
    fn tell(&self, target: &RefTarget, schema: &Schema) {
        let (endpoint, message) = (target.id().to_wire(), schema.id.to_wire());
        let is_new = !self.told.borrow().contains_key(&message);
        let mut new = Vec::new();
        {
            let mut told = self.told.borrow_mut();
            for (id, name) in [(endpoint, target.name()), (message, schema.name)] {
                if told.len() < MAX_PEER_NAMES && told.insert(id, ()).is_none() {
                    new.push((id, name.to_owned()));
                }
            }
        }
        if !new.is_empty() {
            greeting::tell_names(self, new);
        }
        if is_new {
            if let Err(error) = schema::declare(*schema) {
                tracing::error!(target: "ringrail::rpc", %error, "a peer may take one for the other");
            }
            greeting::tell_schema(self, schema);
        }
    }

    /// A carrier's peer has asked something.
    pub(crate) fn note_call(&self, id: u64, retracted: &Arc<AtomicBool>) {
        let mut calls = self.calls.borrow_mut();
        if calls.len() >= calls.capacity() {
            // Those that were answered are marked, and swept before the table grows.
            calls.retain(|_, retracted| !retracted.load(Ordering::Acquire));
        }
        calls.insert(id, Arc::clone(retracted));
    }

    /// A carrier's peer retracts what it asked.
    pub(crate) fn retract_call(&self, id: u64) {
        if let Some(retracted) = self.calls.borrow_mut().remove(&id) {
            retracted.store(true, Ordering::Release);
        }
    }

    pub(crate) fn retract_all(&self) {
        for (_, retracted) in self.calls.borrow_mut().drain() {
            retracted.store(true, Ordering::Release);
        }
    }
}

fn encode<M: Message>(body: &impl Encode) -> Result<crate::rpc::body::AlignedBytes, RpcError> {
    encode_aligned(body).map_err(|error| RpcError::Encode {
        message: M::NAME,
        detail: error.to_string().into(),
    })
}
