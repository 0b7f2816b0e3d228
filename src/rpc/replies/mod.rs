//! Asks that wait for a reply of one type: where the reply goes, and until when.
//!
//! One table per dispatcher and reply type. An ask has an entry while it is outstanding, whatever it is
//! asked of (an endpoint here, a peer) and whoever asks (a callback, a future on this thread, a
//! future elsewhere). Entries are used again, so an ask allocates nothing once the table has grown.

mod ends;
mod handler;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use ringrail_transport::{
    ReceivedBytes as WireBody, RequestError, ResponseContext, ResponseHandler, RpcFailure,
};
use slab::Slab;

use super::body::{BodyBuf, BodyRef};
use super::dispatcher::Dispatcher;
use super::error::RpcError;
use super::message::Payload;
use super::peer::Peer;
use super::received::{Owned, Received};
use super::target::LocalTarget;
use super::timeout::AskPhase;
use super::{RpcAddress, RpcTimeout};

pub(crate) use ends::{Asked, Asking, SentOn, SentRequest};
pub(crate) use handler::call_back;
pub use handler::{ReplyContext, ReplyHandler};

/// The receiver of a reply.
pub(crate) enum Sink<R: Payload> {
    Callback(Rc<dyn ReplyHandler<R>>, u64),
    Future(Option<Waker>),
    /// A future whose outcome is there.
    Ready,
    Foreign(Arc<dyn Asked<R>>),
}

/// An outstanding ask.
struct AskEntry<R: Payload> {
    sink: Sink<R>,
    generation: u32,
    deadline_ns: u64,
    /// The caller's own time; the env's default where `None`.
    timeout: Option<Box<RpcTimeout>>,
    /// The target, for errors; a foreign ask knows by itself.
    target: Option<Rc<LocalTarget>>,
    phase: AskPhase,
    /// The connection that it went out on, and its number there.
    sent_on: Option<(Rc<dyn SentOn>, u64)>,
    /// Told when nobody waits any more.
    retracted: Option<Arc<AtomicBool>>,
}

impl<R: Payload> AskEntry<R> {
    /// Tells other threads that nobody waits for the reply any more.
    #[inline]
    fn retract(&self) {
        if let Some(retracted) = &self.retracted {
            retracted.store(true, Ordering::Release);
        }
    }
}

/// The asks of one reply type.
pub(crate) struct Replies<R: Payload> {
    dispatcher: Weak<Dispatcher>,
    table: u64,
    pending: RefCell<Slab<AskEntry<R>>>,
    /// Outcomes for futures, by slot: kept apart, for replies may be large.
    outcomes: RefCell<Outcomes<R>>,
    generation: Cell<u32>,
}

type Outcomes<R> = Vec<Option<Result<Owned<R>, RpcError>>>;

const TABLE_SHIFT: u32 = 54;
const SLOT_SHIFT: u32 = 32;
const SLOT_MASK: u64 = (1 << (TABLE_SHIFT - SLOT_SHIFT)) - 1;

/// Reply types of one env, at most.
pub(crate) const MAX_REPLY_TYPES: usize = 1 << (64 - TABLE_SHIFT);

/// Asks of one reply type that one thread may have outstanding.
pub const MAX_OUTSTANDING: usize = SLOT_MASK as usize;

/// The table that a reply's number belongs to.
pub(crate) fn table_of(key: u64) -> usize {
    (key >> TABLE_SHIFT) as usize
}

fn slot_of(key: u64) -> usize {
    (key >> SLOT_SHIFT & SLOT_MASK) as usize
}

/// A new outstanding ask.
pub(crate) struct NewAsk<R: Payload> {
    pub(crate) sink: Sink<R>,
    pub(crate) deadline_ns: u64,
    pub(crate) timeout: Option<Box<RpcTimeout>>,
    pub(crate) target: Option<Rc<LocalTarget>>,
}

impl<R: Payload> Replies<R> {
    pub(crate) fn new(dispatcher: Weak<Dispatcher>, table: usize) -> Rc<Self> {
        assert!(table < MAX_REPLY_TYPES, "a table fits its number");
        Rc::new(Self {
            dispatcher,
            table: (table as u64) << TABLE_SHIFT,
            pending: RefCell::default(),
            outcomes: RefCell::default(),
            generation: Cell::new(0),
        })
    }

    /// Takes an ask in; its number.
    ///
    /// # Errors
    /// Too many are outstanding.
    #[inline]
    pub(crate) fn insert(&self, ask: NewAsk<R>) -> Result<u64, RpcError> {
        let mut pending = self.pending.borrow_mut();
        if pending.len() >= MAX_OUTSTANDING {
            return Err(RpcError::too_many(
                "the table of outstanding asks",
                MAX_OUTSTANDING,
            ));
        }
        // Never 0, so that no ask's number is.
        let generation = self.generation.get().wrapping_add(1).max(1);
        self.generation.set(generation);
        let slot = pending.insert(AskEntry {
            sink: ask.sink,
            generation,
            deadline_ns: ask.deadline_ns,
            timeout: ask.timeout,
            target: ask.target,
            phase: AskPhase::Posted,
            sent_on: None,
            retracted: None,
        });
        debug_assert!(slot as u64 <= SLOT_MASK, "a slot fits its number");
        Ok(self.table | (slot as u64) << SLOT_SHIFT | u64::from(generation))
    }

    #[inline]
    fn with<T>(&self, key: u64, then: impl FnOnce(&mut AskEntry<R>) -> T) -> Option<T> {
        let slot = slot_of(key);
        let mut pending = self.pending.borrow_mut();
        let entry = pending.get_mut(slot)?;
        (entry.generation == key as u32).then(|| then(entry))
    }

    #[inline]
    fn remove(&self, key: u64) -> Option<AskEntry<R>> {
        let slot = slot_of(key);
        let mut pending = self.pending.borrow_mut();
        let entry = pending.get(slot)?;
        (entry.generation == key as u32).then(|| pending.remove(slot))
    }

    /// How far it has come.
    #[inline]
    pub(crate) fn reached(&self, key: u64, phase: AskPhase) {
        self.with(key, |entry| entry.phase = phase);
    }

    /// It went out on this connection.
    #[inline]
    pub(crate) fn sent(&self, key: u64, link: Rc<dyn SentOn>, sent: SentRequest) {
        self.with(key, |entry| {
            debug_assert!(entry.sent_on.is_none(), "an ask goes out once");
            entry.phase = AskPhase::Sent;
            entry.sent_on = Some((link, sent.number));
            if sent.timed {
                entry.deadline_ns = u64::MAX;
            }
        });
    }

    /// The reply is here, or never comes. Later ones find nobody.
    #[inline]
    pub(crate) fn settle(&self, key: u64, outcome: Result<Received<'_, R>, RpcError>) {
        let slot = slot_of(key);
        let mut pending = self.pending.borrow_mut();
        let Some(entry) = pending.get_mut(slot) else {
            return;
        };
        if entry.generation != key as u32 {
            return;
        }
        match &mut entry.sink {
            Sink::Callback(..) | Sink::Foreign(_) => {
                let entry = pending.remove(slot);
                drop(pending);
                self.finish(entry, outcome);
            }
            Sink::Future(waker) => {
                let waker = waker.take();
                entry.sink = Sink::Ready;
                entry.deadline_ns = u64::MAX;
                entry.retract();
                drop(pending);
                self.keep(slot, outcome.map(Received::keep), waker);
            }
            Sink::Ready => {}
        }
    }

    /// Leaves an outcome where its future finds it.
    fn keep(&self, slot: usize, outcome: Result<Owned<R>, RpcError>, waker: Option<Waker>) {
        let mut outcomes = self.outcomes.borrow_mut();
        if outcomes.len() <= slot {
            outcomes.resize_with(slot + 1, || None);
        }
        let before = outcomes[slot].replace(outcome);
        assert!(before.is_none(), "an ask has one outcome");
        drop(outcomes);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    #[inline]
    fn finish(&self, entry: AskEntry<R>, outcome: Result<Received<'_, R>, RpcError>) {
        entry.retract();
        match entry.sink {
            Sink::Callback(handler, token) => call_back(&self.dispatcher, &handler, token, outcome),
            Sink::Foreign(asker) => asker.complete(outcome.map(Received::keep)),
            // Settled in place.
            Sink::Future(_) | Sink::Ready => {}
        }
    }

    /// A future on this thread looks for its reply.
    pub(crate) fn poll(&self, key: u64, waker: &Waker) -> Poll<Result<Owned<R>, RpcError>> {
        let ready = self.with(key, |entry| match &mut entry.sink {
            Sink::Future(known) => {
                if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    *known = Some(waker.clone());
                }
                false
            }
            _ => true,
        });
        if ready == Some(false) {
            return Poll::Pending;
        }
        let found = self.remove(key).and_then(|_| self.take_outcome(key));
        Poll::Ready(found.unwrap_or(Err(crate::rpc::error::ENV_STOPPED)))
    }

    fn take_outcome(&self, key: u64) -> Option<Result<Owned<R>, RpcError>> {
        self.outcomes.borrow_mut().get_mut(slot_of(key))?.take()
    }

    fn time_out(&self, key: u64, default: &RpcTimeout) {
        let Some((text, link)) = self.with(key, |entry| {
            let timeout = entry.timeout.as_deref().unwrap_or(default);
            let from = match (&entry.target, &entry.sink) {
                (Some(target), _) => target.place_text(),
                (None, Sink::Foreign(asker)) => asker.asking().target.place_text(),
                (None, _) => String::from("this env"),
            };
            let error = RpcError::timed_out(from, timeout, entry.phase);
            (error, entry.sent_on.take())
        }) else {
            return;
        };
        self.settle(key, Err(text));
        if let Some((link, call)) = link {
            link.cancel(call);
        }
    }

    fn keys(&self, which: impl Fn(&AskEntry<R>) -> bool) -> Vec<u64> {
        let pending = self.pending.borrow();
        let found = pending.iter().filter(|(_, entry)| which(entry));
        found
            .map(|(slot, entry)| {
                self.table | (slot as u64) << SLOT_SHIFT | u64::from(entry.generation)
            })
            .collect()
    }

    fn wire_error(&self, key: u64, error: RequestError) -> RpcError {
        let known = self.with(key, |entry| {
            let link = entry.sent_on.take().map(|(link, _)| link);
            (link, entry.timeout.clone())
        });
        let (link, timeout) = known.unwrap_or((None, None));
        let address = link.map(|link| link.peer().address().clone());
        let dispatcher = self.dispatcher.upgrade();
        translate(error, address, timeout, dispatcher.as_deref())
    }
}

/// An error of the transport, in this layer's words.
pub(crate) fn translate(
    error: RequestError,
    address: Option<RpcAddress>,
    timeout: Option<Box<RpcTimeout>>,
    dispatcher: Option<&Dispatcher>,
) -> RpcError {
    use ringrail_transport::Reached;
    match (error, address) {
        (RequestError::Remote { failure, .. }, Some(address)) => {
            RpcError::Remote { address, failure }
        }
        (RequestError::Remote { failure, .. }, None) => RpcError::Failure(failure),
        (RequestError::TimedOut { peer, reached, .. }, address) => {
            let phase = match reached {
                Reached::Queued => AskPhase::Posted,
                Reached::Sent => AskPhase::Sent,
                Reached::WaitingForMemory | Reached::Receiving => AskPhase::Receiving,
            };
            let from = address.map_or_else(|| peer.to_string(), |address| address.to_string());
            let default =
                dispatcher.map(|dispatcher| dispatcher.env().settings.ask_timeout.clone());
            match timeout.map(|timeout| *timeout).or(default) {
                Some(timeout) => RpcError::timed_out(from, &timeout, phase),
                None => RpcError::OutboxStopped,
            }
        }
        (error, _) => RpcError::from(error),
    }
}

impl<R: Payload> ResponseHandler for Replies<R> {
    fn on_response(
        &self,
        _: &ResponseContext<'_>,
        token: u64,
        outcome: Result<WireBody<'_>, RequestError>,
    ) {
        match outcome {
            Ok(body) => self.settle_body(token, BodyRef::of_wire(&body)),
            Err(error) => {
                let error = self.wire_error(token, error);
                self.settle(token, Err(error));
            }
        }
    }
}

impl<R: Payload> Replies<R> {
    fn settle_body(&self, key: u64, body: BodyRef<'_>) {
        let link = self.with(key, |entry| entry.sent_on.take()).flatten();
        let peer = link.as_ref().map(|(link, _)| link.peer());
        let outcome = Received::archived(body, peer)
            .map_err(|error| RpcError::bad_reply(peer.map(|peer| peer.address()), &error));
        self.settle(key, outcome);
    }
}

/// A table of any reply type.
pub(crate) trait AnyReplies: Any {
    /// Fails what is overdue; when the next will be.
    fn expire(&self, now_ns: u64, default: &RpcTimeout) -> u64;

    /// Asks that are outstanding.
    fn len(&self) -> usize;

    /// Fails everything.
    fn fail_all(&self, error: &RpcError);

    /// The answer came over a connection in memory.
    fn answered(&self, key: u64, outcome: Result<BodyBuf, RpcFailure>);

    /// There is no reply.
    fn fail(&self, key: u64, error: RpcError);

    /// Whether somebody waits for this reply.
    fn is_wanted(&self, key: u64) -> bool;

    /// The deadline of the ask that waits for this reply, in ns of the monotonic clock.
    fn deadline_ns(&self, key: u64) -> u64;

    /// True once nobody waits for the reply any more.
    fn retraction(&self, key: u64) -> Arc<AtomicBool>;

    /// Fails what was sent over this connection.
    fn fail_over(&self, peer: &Arc<Peer>, error: &RpcError);

    /// The asker lets go.
    fn cancel(&self, key: u64);
}

impl<R: Payload> AnyReplies for Replies<R> {
    fn expire(&self, now_ns: u64, default: &RpcTimeout) -> u64 {
        for key in self.keys(|entry| entry.deadline_ns <= now_ns) {
            self.time_out(key, default);
        }
        let pending = self.pending.borrow();
        let deadlines = pending.iter().map(|(_, entry)| entry.deadline_ns);
        deadlines.min().unwrap_or(u64::MAX)
    }

    fn len(&self) -> usize {
        self.pending.borrow().len()
    }

    fn fail_all(&self, error: &RpcError) {
        for key in self.keys(|entry| !matches!(entry.sink, Sink::Ready)) {
            self.settle(key, Err(error.clone()));
        }
    }

    fn answered(&self, key: u64, outcome: Result<BodyBuf, RpcFailure>) {
        match outcome {
            Ok(body) => self.settle_body(key, BodyRef::of_kept(&body)),
            Err(failure) => {
                let link = self.with(key, |entry| entry.sent_on.take()).flatten();
                let error = match link {
                    Some((link, _)) => RpcError::Remote {
                        address: link.peer().address().clone(),
                        failure,
                    },
                    None => RpcError::Failure(failure),
                };
                self.settle(key, Err(error));
            }
        }
    }

    fn fail(&self, key: u64, error: RpcError) {
        self.settle(key, Err(error));
    }

    fn is_wanted(&self, key: u64) -> bool {
        self.with(key, |entry| match &entry.sink {
            Sink::Callback(..) | Sink::Future(_) => true,
            Sink::Ready => false,
            Sink::Foreign(asker) => !asker.asking().is_gone(),
        })
        .unwrap_or(false)
    }

    fn deadline_ns(&self, key: u64) -> u64 {
        self.with(key, |entry| entry.deadline_ns)
            .unwrap_or(u64::MAX)
    }

    fn retraction(&self, key: u64) -> Arc<AtomicBool> {
        self.with(key, |entry| {
            let flag = entry.retracted.get_or_insert_with(Arc::default);
            Arc::clone(flag)
        })
        .unwrap_or_else(|| Arc::new(AtomicBool::new(true)))
    }

    fn fail_over(&self, peer: &Arc<Peer>, error: &RpcError) {
        let sent_on = |entry: &AskEntry<R>| {
            let on = entry.sent_on.as_ref();
            on.is_some_and(|(on, _)| Arc::ptr_eq(on.peer(), peer))
        };
        for key in self.keys(sent_on) {
            self.settle(key, Err(error.clone()));
        }
    }

    fn cancel(&self, key: u64) {
        let Some(entry) = self.remove(key) else {
            return;
        };
        if matches!(entry.sink, Sink::Ready) {
            drop(self.take_outcome(key));
        }
        entry.retract();
        if let Some((link, call)) = &entry.sent_on {
            link.cancel(*call);
        }
    }
}
