//! A message from another thread, and its reply on the way back: one allocation per ask.
//!
//! The asker holds one end (an [`Ask`](super::Ask)), the host that the target lives on the other.
//! The one lock on the way is its own, held by two parties for the time of a move.

mod outgoing;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use super::dispatcher::{Dispatcher, Way, dispatcher_of};
use super::error::{ENV_STOPPED, RpcError};
use super::message::Message;
use super::received::Owned;
use super::replies::{Asked, Asking, NewAsk, Sink};
use super::shared::Timed;
use super::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Unpoisoned};
use super::target::{Place, RefTarget};
use super::thread::{AnyPendingAsk, Job, PostError, ThreadHandle};
use super::timeout::AskPhase;
use super::{RpcTimeout, clock};

pub(crate) use outgoing::Outgoing;

/// A message, and later its reply.
pub(crate) struct PendingAsk<M: Message> {
    asking: Asking,
    options: SendOptions,
    /// Its number among the host's outstanding asks, once it has one.
    entry: AtomicU64,
    state: Mutex<State<M>>,
}

struct State<M: Message> {
    message: Option<M>,
    outcome: Option<Result<Owned<M::Reply>, RpcError>>,
    /// The confirmation for its sender, where it wants no reply and is confirmed.
    taken: Option<Result<(), RpcError>>,
    waker: Option<Asker>,
}

/// The task that awaits a reply: its waker, and its thread where that has a dispatcher of the env.
type Asker = (Waker, Option<Arc<ThreadHandle>>);

/// Wakes it, on its own thread where that is known.
fn wake((waker, home): Asker) {
    match home {
        None => waker.wake(),
        Some(home) => home.wake(waker),
    }
}

/// How a message is to be sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct SendOptions {
    pub(crate) one_way: bool,
    /// Its sender waits until it is taken.
    pub(crate) confirms: bool,
    /// The caller's own time; the env's where `None`.
    pub(crate) timeout: Option<RpcTimeout>,
    pub(crate) token: Option<u64>,
}

impl SendOptions {
    /// An ask with a time of its own.
    pub(crate) fn within(timeout: RpcTimeout) -> Self {
        Self {
            timeout: Some(timeout),
            ..Self::default()
        }
    }
}

impl<M: Message> PendingAsk<M> {
    /// Posts a message to the host of its target; the asking end.
    ///
    /// # Errors
    /// It was not taken.
    pub(crate) fn post(
        target: &Arc<RefTarget>,
        message: M,
        options: SendOptions,
    ) -> Result<Arc<Self>, RpcError> {
        let pending = Self::new(target, message, options)?;
        pending.post_to_host()?;
        Ok(pending)
    }

    /// A pending ask that is yet to be posted.
    ///
    /// # Errors
    /// There is nobody to post it to.
    pub(crate) fn new(
        target: &Arc<RefTarget>,
        message: M,
        options: SendOptions,
    ) -> Result<Arc<Self>, RpcError> {
        let host = target.host()?;
        let settings = &target.env().settings;
        let timeout = options.timeout.as_ref().unwrap_or(&settings.ask_timeout);
        let deadline_ns = clock::now_ns().saturating_add(clock::ns(timeout.duration()));
        Ok(Arc::new(Self {
            asking: Asking {
                target: Arc::clone(target),
                host,
                deadline_ns,
                gone: AtomicBool::new(false),
            },
            options,
            entry: AtomicU64::new(0),
            state: Mutex::new(State {
                message: Some(message),
                outcome: None,
                taken: None,
                waker: None,
            }),
        }))
    }

    /// # Errors
    /// It was not taken, and may be posted again.
    pub(crate) fn post_to_host(self: &Arc<Self>) -> Result<(), RpcError> {
        match dispatcher_of(self.asking.target.env().id()) {
            // Its own thread's: nothing that this thread sends in another way may overtake it.
            Some(dispatcher) if Arc::ptr_eq(dispatcher.handle(), &self.asking.host) => {
                self.deliver_at_once(&dispatcher)
            }
            _ => self.post_to(&self.asking.host),
        }
    }

    /// Whether this is its host's thread.
    pub(crate) fn is_at_home(&self) -> bool {
        let dispatcher = dispatcher_of(self.asking.target.env().id());
        dispatcher.is_some_and(|dispatcher| Arc::ptr_eq(dispatcher.handle(), &self.asking.host))
    }

    /// It was not taken, and may be tried again.
    pub(crate) fn put_back(&self, message: M) {
        let before = self.lock().message.replace(message);
        assert!(before.is_none(), "what is put back was taken");
    }

    /// Whether its host has taken it, and whoever is to be woken when that is known.
    pub(crate) fn poll_taken(&self, waker: &Waker) -> Poll<Result<(), RpcError>> {
        let mut state = self.lock();
        if let Some(taken) = state.taken.take() {
            return Poll::Ready(taken);
        }
        state.waker = Some((waker.clone(), self.home()));
        Poll::Pending
    }

    /// Tells whoever waits for it whether it was taken; false where nobody does.
    fn confirm(&self, taken: Result<(), RpcError>) -> bool {
        if !self.options.confirms {
            return false;
        }
        let mut state = self.lock();
        let Some(asker) = state.waker.take() else {
            return false;
        };
        state.taken = Some(taken);
        drop(state);
        wake(asker);
        true
    }

    /// As [`deliver`](AnyPendingAsk::deliver), by the thread that sends it.
    ///
    /// # Errors
    /// It was not taken.
    fn deliver_at_once(self: &Arc<Self>, dispatcher: &Rc<Dispatcher>) -> Result<(), RpcError> {
        if let Place::Here(_) = self.asking.target.place() {
            // Its set-up may only have been posted.
            dispatcher.find_inbox(self.asking.target.id());
        }
        self.hand_over(dispatcher)
    }

    fn post_to(self: &Arc<Self>, host: &ThreadHandle) -> Result<(), RpcError> {
        match host.post(Job::Ask(Arc::clone(self) as Arc<dyn AnyPendingAsk>)) {
            Ok(()) => Ok(()),
            Err(PostError::Closed(_)) => Err(self.nobody()),
            Err(PostError::Full(_)) => Err(host.full("the mailbox of the target's thread")),
        }
    }

    /// Why nobody takes it on a thread that has ended.
    fn nobody(&self) -> RpcError {
        if self.asking.target.env().is_stopped() {
            return ENV_STOPPED;
        }
        RpcError::no_endpoint(&self.asking.target.name_arc())
    }

    /// Has its entry among the host's outstanding asks removed.
    fn retract(&self) {
        let key = self.entry.load(Ordering::SeqCst);
        if key != 0 {
            self.asking.host.cancel(key);
        }
    }

    /// The dispatcher of this thread, where replies are to be brought to it: one that never blocks, and is
    /// not where they are made.
    fn home(&self) -> Option<Arc<ThreadHandle>> {
        let dispatcher = dispatcher_of(self.asking.target.env().id())?;
        let home = dispatcher.handle();
        let elsewhere = !home.may_block() && !Arc::ptr_eq(home, &self.asking.host);
        elsewhere.then(|| Arc::clone(home))
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unpoisoned()
    }

    fn take_message(&self) -> Option<M> {
        self.lock().message.take()
    }

    /// Its place among the outstanding asks of `dispatcher`; none where it wants no reply.
    ///
    /// # Errors
    /// There is no room.
    fn enter(self: &Arc<Self>, dispatcher: &Dispatcher) -> Result<Option<u64>, RpcError> {
        if self.options.one_way {
            return Ok(None);
        }
        let ask = NewAsk {
            sink: Sink::Foreign(Arc::clone(self) as Arc<dyn Asked<M::Reply>>),
            deadline_ns: self.asking.deadline_ns,
            timeout: self.options.timeout.clone().map(Box::new),
            target: None,
        };
        let key = dispatcher.new_ask(&dispatcher.replies::<M::Reply>(), ask)?;
        if Arc::ptr_eq(&self.asking.host, dispatcher.handle()) {
            let before = self.entry.swap(key, Ordering::SeqCst);
            assert_eq!(before, 0, "an ask is entered once");
            // An asker that let go just before found no entry to retract.
            if self.asking.is_gone() {
                dispatcher.cancel(key);
            }
        }
        Ok(Some(key))
    }

    /// To the endpoint, or to the connection, on the thread of either.
    ///
    /// # Errors
    /// It was not taken.
    fn hand_over(self: &Arc<Self>, dispatcher: &Rc<Dispatcher>) -> Result<(), RpcError> {
        if let Place::Here(_) = self.asking.target.place() {
            return self.hand_over_here(dispatcher);
        }
        let key = self.enter(dispatcher)?;
        let Some(message) = self.take_message() else {
            return Ok(());
        };
        let out = Outgoing {
            message,
            target: Arc::clone(&self.asking.target),
            key,
            deadline_ns: self.asking.deadline_ns,
            token: self.options.token,
            from: self.options.confirms.then(|| Arc::clone(self)),
        };
        let error = match dispatcher.way_to(&self.asking.target) {
            Way::Outbox(outbox) => return outbox.send(dispatcher, Box::new(out)),
            Way::None(error) => error,
            Way::Link(link) => match out.transmit(dispatcher, &link) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
        };
        match self.asking.target.place() {
            // Behind it everything for this address waits until there is room.
            Place::Remote { address, .. } if error.wants_room() => {
                dispatcher.outbox(address).send(dispatcher, Box::new(out))
            }
            _ => out.give_back(dispatcher, error),
        }
    }

    /// To an endpoint of this env.
    fn hand_over_here(self: &Arc<Self>, dispatcher: &Rc<Dispatcher>) -> Result<(), RpcError> {
        let Some(inbox) = dispatcher.inbox(self.asking.target.id()) else {
            return match dispatcher.elsewhere(self.asking.target.id()) {
                Some(host) => self.post_to(&host),
                None => Err(self.nobody()),
            };
        };
        if self.options.confirms {
            // A sender that waits for room tries again, and needs the message for it.
            inbox.check_room(M::LANE)?;
        }
        let key = self.enter(dispatcher)?;
        match self.take_message() {
            Some(message) => dispatcher.post_local(&inbox, message, key),
            None => Ok(()),
        }
    }

    fn forward(self: Arc<Self>, host: &ThreadHandle) {
        if let Err(error) = self.post_to(host) {
            self.fail(error);
        }
    }
}

impl<M: Message> AnyPendingAsk for PendingAsk<M> {
    fn deliver(self: Arc<Self>, dispatcher: &Rc<Dispatcher>) {
        debug_assert!(
            Arc::ptr_eq(&self.asking.host, dispatcher.handle())
                || matches!(self.asking.target.place(), Place::Here(_)),
            "only endpoints move, connections do not"
        );
        if self.asking.is_gone() {
            return;
        }
        if !self.options.one_way && self.asking.deadline_ns <= dispatcher.now_ns() {
            return self.time_out();
        }
        match self.hand_over(dispatcher) {
            Ok(()) => {
                self.confirm(Ok(()));
            }
            Err(error) => self.fail(error),
        }
    }

    fn turn_away(self: Arc<Self>) {
        let registry = &self.asking.target.env().registry;
        let next = match self.asking.target.place() {
            Place::Here(_) => registry.host_of(self.asking.target.id()),
            _ => None,
        };
        match next.filter(|next| !next.is_closed()) {
            Some(next) => self.forward(&next),
            None => self.fail(self.nobody()),
        }
    }

    fn fail(&self, error: RpcError) {
        if self.options.one_way {
            if self.confirm(Err(error.clone())) {
                return;
            }
            let message = self.lock().message.take();
            drop(message);
            self.asking
                .target
                .env()
                .lost(&self.asking.target, M::NAME, error);
        } else {
            self.complete(Err(error));
        }
    }
}

impl<M: Message> Asked<M::Reply> for PendingAsk<M> {
    fn asking(&self) -> &Asking {
        &self.asking
    }

    fn complete(&self, outcome: Result<Owned<M::Reply>, RpcError>) {
        let mut state = self.lock();
        // Dropped outside of the lock.
        let _message = state.message.take();
        if state.outcome.is_some() || self.asking.gone.swap(true, Ordering::AcqRel) {
            return;
        }
        state.outcome = Some(outcome);
        let asker = state.waker.take();
        drop(state);
        if let Some(asker) = asker {
            wake(asker);
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<Result<Owned<M::Reply>, RpcError>> {
        let mut state = self.lock();
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(outcome);
        }
        if !state
            .waker
            .as_ref()
            .is_some_and(|(known, _)| known.will_wake(waker))
        {
            state.waker = Some((waker.clone(), self.home()));
        }
        Poll::Pending
    }

    fn abandon(&self) {
        if self.asking.gone.swap(true, Ordering::SeqCst) {
            return;
        }
        // Dropped outside of the lock.
        let message = self.lock().message.take();
        drop(message);
        self.retract();
    }

    fn abort(&self, error: RpcError) {
        self.complete(Err(error));
        self.retract();
    }
}

impl<M: Message> Timed for PendingAsk<M> {
    fn time_out(&self) {
        let settings = &self.asking.target.env().settings;
        let timeout = self
            .options
            .timeout
            .as_ref()
            .unwrap_or(&settings.ask_timeout);
        let phase = if self.lock().message.is_some() {
            AskPhase::Posted
        } else if matches!(self.asking.target.place(), Place::Here(_)) {
            AskPhase::Delivered
        } else {
            AskPhase::Sent
        };
        let error = RpcError::timed_out(self.asking.target.place_text(), timeout, phase);
        self.complete(Err(error));
    }

    fn env_ended(&self) {
        if !self.confirm(Err(ENV_STOPPED)) {
            self.complete(Err(ENV_STOPPED));
        }
    }
}
