//! The queue of one endpoint's messages, which also runs their handlers (Spark: `Inbox`).
//!
//! ```text
//! peer ─► receive ─┬─ free: handled at once, in the receive buffer
//! thread ─► post ──┘
//!                  └─ else: queued (bounded) ─► run, a budget per turn ─► handler
//! ```
//!
//! One thread alone touches it. It is *free* where its endpoint has started, nothing waits and none of
//! its handlers is running; then nothing is queued, kept or allocated for a message.

mod item;
mod supervision;
mod work;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use item::{Item, RemoteItem};

use super::any::EndpointFace;
use super::dispatcher::{AnyInbox, Dispatcher, Unrouted};
use super::endpoint::RpcEndpoint;
use super::endpoint_ref::RpcEndpointRef;
use super::error::RpcError;
use super::event::NetworkEvent;
use super::id::{EndpointId, MessageId};
use super::message::Lane;
use super::metrics::InboxMetrics;
use super::reply::{FromPeer, Reply};
use super::route::RouteEntry;

pub(crate) use supervision::Supervisor;

/// Places for messages of the liveness lane, beside those of `ringrail.rpc.inbox.capacity`.
pub const LIVENESS_PLACES: usize = 1024;

/// The state of an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `on_start` is still to be called.
    Starting,
    /// Nothing.
    Ready,
    /// A handler or hook is on the stack.
    Handling,
    /// A handler's future is not done.
    Awaiting,
    /// `on_stop` has been called.
    /// A handler has panicked: the supervisor is next.
    Broken,
    Stopped,
}

/// The inbox of one endpoint.
pub(crate) struct Inbox<E: RpcEndpoint> {
    weak: Weak<Inbox<E>>,
    me: RpcEndpointRef<E>,
    serial: u64,
    endpoint: Rc<RefCell<Option<E>>>,
    face: EndpointFace,
    routes: Vec<RouteEntry<E>>,
    queue: Lines,
    urgent: Lines,
    depth: Cell<usize>,
    /// Events of connections among what waits, which take no message's place.
    events: Cell<usize>,
    capacity: usize,
    phase: Cell<Phase>,
    stopping: Cell<bool>,
    scheduled: Cell<bool>,
    supervisor: RefCell<Option<Supervisor<E>>>,
    /// A handler of a supervised endpoint has panicked.
    broken: Cell<bool>,
    future: Cell<Option<usize>>,
    /// The future has asked to be polled.
    woken: Cell<bool>,
    waker: Waker,
    metrics: Arc<InboxMetrics>,
}

/// The queue of one lane. Peers' messages are large and lie apart, so that items stay small.
#[derive(Default)]
struct Lines {
    items: RefCell<VecDeque<Queued>>,
    remote: RefCell<VecDeque<RemoteItem>>,
}

struct Queued {
    at_ns: u64,
    item: Item,
}

/// The parts of a new inbox.
pub(crate) struct NewInbox<E: RpcEndpoint> {
    pub(crate) me: RpcEndpointRef<E>,
    /// Of its registration.
    pub(crate) serial: u64,
    pub(crate) endpoint: E,
    pub(crate) supervisor: Option<Supervisor<E>>,
    pub(crate) capacity: usize,
    pub(crate) metrics: Arc<InboxMetrics>,
}

impl<E: RpcEndpoint> Inbox<E> {
    /// An inbox that is to be started by its first turn.
    pub(crate) fn new(dispatcher: &Rc<Dispatcher>, new: NewInbox<E>) -> Rc<Self> {
        let table = new.endpoint.routes();
        let serial = new.serial;
        let waker = dispatcher.inbox_waker(serial);
        Rc::new_cyclic(|weak| {
            let routes = table.build(weak);
            let face = EndpointFace {
                text: new.me.to_string().into(),
                has_routes: !routes.is_empty(),
                env: Arc::clone(dispatcher.env()),
            };
            Self {
                weak: weak.clone(),
                me: new.me,
                serial,
                endpoint: Rc::new(RefCell::new(Some(new.endpoint))),
                face,
                routes,
                queue: Lines::default(),
                urgent: Lines::default(),
                depth: Cell::new(0),
                events: Cell::new(0),
                capacity: new.capacity,
                phase: Cell::new(Phase::Starting),
                stopping: Cell::new(false),
                scheduled: Cell::new(false),
                supervisor: RefCell::new(new.supervisor),
                broken: Cell::new(false),
                future: Cell::new(None),
                woken: Cell::new(false),
                waker,
                metrics: new.metrics,
            }
        })
    }

    pub(crate) fn id(&self) -> EndpointId {
        self.me.target().id()
    }

    /// Nothing is in the way of handling a message at once.
    #[inline]
    pub(crate) fn is_free(&self) -> bool {
        self.phase.get() == Phase::Ready && self.depth.get() == 0 && !self.stopping.get()
    }

    /// Whether another message may be queued.
    ///
    /// # Errors
    /// The endpoint is stopped, or has as many waiting as it may.
    pub(crate) fn admit(&self, lane: Lane) -> Result<(), RpcError> {
        if self.stopping.get() {
            return Err(RpcError::no_endpoint(&self.me.target().name_arc()));
        }
        let (len, limit) = match lane {
            Lane::Normal => {
                let (waiting, events) = (self.queue.items.borrow().len(), self.events.get());
                assert!(events <= waiting, "events wait in the normal lane");
                (waiting - events, self.capacity)
            }
            Lane::Liveness => (self.urgent.items.borrow().len(), LIVENESS_PLACES),
        };
        if len < limit {
            return Ok(());
        }
        self.metrics.refused.add(1);
        Err(RpcError::busy(
            "the endpoint's inbox",
            limit,
            super::settings::INBOX_KEY,
        ))
    }

    /// A value was left in a route's queue.
    pub(crate) fn push_local(&self, dispatcher: &Rc<Dispatcher>, route: usize, lane: Lane) {
        self.push(dispatcher, Item::Local(route), lane);
    }

    fn push(&self, dispatcher: &Rc<Dispatcher>, item: Item, lane: Lane) {
        let at_ns = dispatcher.now_ns();
        let queued = Queued { at_ns, item };
        self.lines(lane).items.borrow_mut().push_back(queued);
        let depth = self.depth.get() + 1;
        self.depth.set(depth);
        debug_assert_eq!(depth, self.waiting(), "what waits is counted");
        self.metrics.queued(depth as u64);
        if depth == 1 {
            self.metrics.first_since(at_ns);
        }
        self.schedule(dispatcher);
    }

    /// The number of items in both lanes.
    fn waiting(&self) -> usize {
        self.queue.items.borrow().len() + self.urgent.items.borrow().len()
    }

    fn lines(&self, lane: Lane) -> &Lines {
        match lane {
            Lane::Normal => &self.queue,
            Lane::Liveness => &self.urgent,
        }
    }

    /// Has it run in the dispatcher's next round, unless it waits for something else.
    fn schedule(&self, dispatcher: &Rc<Dispatcher>) {
        let may_run = matches!(
            self.phase.get(),
            Phase::Starting | Phase::Ready | Phase::Broken
        );
        if may_run && !self.scheduled.replace(true) {
            self.surely_schedule(dispatcher);
        }
    }

    fn surely_schedule(&self, dispatcher: &Rc<Dispatcher>) {
        if let Some(this) = self.weak.upgrade() {
            dispatcher.schedule(this);
        }
    }

    /// The next of what waits, and the lane that it waited in.
    fn pop(&self) -> Option<(Queued, Lane)> {
        if self.depth.get() == 0 {
            debug_assert_eq!(self.waiting(), 0, "what waits is counted");
            return None;
        }
        let urgent = self.urgent.items.borrow_mut().pop_front();
        let next = match urgent {
            Some(next) => (next, Lane::Liveness),
            None => (self.queue.items.borrow_mut().pop_front()?, Lane::Normal),
        };
        if let Item::Event(_) = next.0.item {
            assert!(self.events.get() > 0, "an event that waits is counted");
            self.events.set(self.events.get() - 1);
        }
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        self.metrics.queued(depth as u64);
        let first = self.queue.items.borrow();
        let first = first.front().map_or(0, |first| first.at_ns);
        self.metrics.first_since(first);
        Some(next)
    }

    /// Queues a peer's message.
    #[inline(never)]
    fn receive_later(
        &self,
        dispatcher: &Rc<Dispatcher>,
        (id, route): (MessageId, Option<usize>),
        message: &mut FromPeer<'_>,
    ) -> Result<(), RpcError> {
        let lane = route.map_or(Lane::Normal, |at| self.routes[at].lane);
        match self.admit(lane) {
            Ok(()) => {
                let item = RemoteItem::keep(route, id, message);
                self.lines(lane).remote.borrow_mut().push_back(item);
                self.push(dispatcher, Item::Remote, lane);
            }
            Err(error) => match message.reply.take() {
                Reply::OneWay => return Err(error),
                reply => reply.fail(&error),
            },
        }
        Ok(())
    }

    #[inline]
    fn find(&self, id: MessageId) -> Option<usize> {
        self.routes.iter().position(|route| route.id == id)
    }
}

impl<E: RpcEndpoint> AnyInbox for Inbox<E> {
    fn serial(&self) -> u64 {
        self.serial
    }

    fn receive(
        &self,
        dispatcher: &Rc<Dispatcher>,
        id: MessageId,
        message: &mut FromPeer<'_>,
    ) -> Result<(), RpcError> {
        let route = self.find(id);
        if self.is_free() && dispatcher.enter() {
            match route {
                Some(at) => self.routes[at].route.run_remote(self, dispatcher, message),
                None => self.run_any_remote(dispatcher, id, message),
            }
            dispatcher.leave();
            return Ok(());
        }
        self.receive_later(dispatcher, (id, route), message)
    }

    fn check_room(&self, lane: Lane) -> Result<(), RpcError> {
        self.admit(lane)
    }

    fn typed(&self, id: MessageId) -> Option<&dyn Any> {
        let at = self.find(id)?;
        Some(&*self.routes[at].typed)
    }

    fn post_unrouted(
        &self,
        dispatcher: &Rc<Dispatcher>,
        message: Unrouted,
    ) -> Result<(), RpcError> {
        self.admit(message.lane)?;
        let lane = message.lane;
        self.push(dispatcher, Item::Unrouted(Box::new(message)), lane);
        dispatcher.run_now();
        Ok(())
    }

    fn post_event(&self, dispatcher: &Rc<Dispatcher>, event: &Rc<NetworkEvent>) {
        // Not refused for want of room: there are as many as connections, not as messages.
        if !self.stopping.get() {
            self.events.set(self.events.get() + 1);
            self.push(dispatcher, Item::Event(Rc::clone(event)), Lane::Normal);
        }
    }

    fn run(&self, dispatcher: &Rc<Dispatcher>, budget: usize) -> bool {
        self.work(dispatcher, budget)
    }

    fn stop(&self, dispatcher: &Rc<Dispatcher>) {
        if !self.stopping.replace(true) {
            dispatcher.remove_inbox(self.id(), self.serial);
            self.schedule(dispatcher);
        }
    }

    fn abandon(&self, dispatcher: &Rc<Dispatcher>) {
        self.stopping.set(true);
        dispatcher.remove_inbox(self.id(), self.serial);
        self.give_up(dispatcher);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    fn wake(&self, dispatcher: &Rc<Dispatcher>) {
        if self.phase.get() != Phase::Awaiting {
            return;
        }
        if self.future.get().is_none() {
            // It wakes itself while it is polled: it goes on in the next turn, so others are served in between.
            return dispatcher.handle().wake_inbox(self.serial);
        }
        self.woken.set(true);
        if !self.scheduled.replace(true) {
            self.surely_schedule(dispatcher);
        }
    }
}
