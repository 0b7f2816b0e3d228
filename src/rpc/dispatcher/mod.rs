//! The part of an env on one thread: its endpoints there, their inboxes, and what they ask.
//!
//! Single-threaded, and knows nothing of sockets: connections ([`Link`]s) and other threads
//! ([`Job`]) bring messages, an [`Executor`] gives it turns and time.
//!
//! *Running.* While a handler or callback is on the stack the dispatcher is busy, and what is posted is
//! queued; whoever made it busy works the queue off before letting go. So nothing recurses, and a
//! message to a free endpoint is handled right where it is posted.

mod any_inbox;
mod current;
mod hello;
mod inboxes;
mod links;
mod locate;
mod plain_thread;
mod run;
mod shutdown;
mod stalls;

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};

use inboxes::Inboxes;
use locate::Locations;

use super::error::{ENV_STOPPED, RpcError};
use super::event::NetworkEvent;
use super::id::{EndpointId, IdMap};
use super::link::Link;
use super::message::{Message, Payload};
use super::outbox::Outbox;
use super::peer::Peer;
use super::replies::{self, AnyReplies, NewAsk, Replies};
use super::reply::{Reply, ReplyCache};
use super::shared::EnvShared;
use super::thread::{Executor, ThreadHandle};

pub(crate) use any_inbox::{AnyInbox, TypedRoute, Unrouted, typed_route};
pub(crate) use current::{dispatcher_of, is_host_thread, may_block, may_wait_for};
pub(crate) use links::Way;
pub(crate) use plain_thread::start_thread;

/// The least time between two looks for overdue asks, in ns.
const LEAST_GRAIN_NS: u64 = 1_000_000;

/// Cost of a look per outstanding ask, with a margin: in ns.
const LOOK_NS: u64 = 100;

/// How long after one look for overdue asks the next may come: a look walks through all that are outstanding, and
/// must not take more than a small part of the thread's time however many time out one after the other.
fn grain_ns(asks: usize) -> u64 {
    LEAST_GRAIN_NS.max(asks as u64 * LOOK_NS)
}

/// Wakes the future of an inbox: on its own thread at once, from others by the mailbox.
struct InboxWaker {
    env: u64,
    host: Arc<ThreadHandle>,
    serial: u64,
}

impl Wake for InboxWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match dispatcher_of(self.env) {
            Some(dispatcher) if Arc::ptr_eq(dispatcher.handle(), &self.host) => {
                dispatcher.wake_inbox(self.serial);
            }
            _ => self.host.wake_inbox(self.serial),
        }
    }
}

/// The part of an env on one thread.
pub(crate) struct Dispatcher {
    env: Arc<EnvShared>,
    handle: Arc<ThreadHandle>,
    host: Box<dyn Executor>,
    inboxes: Inboxes,
    /// Those that have not ended, by serial number, also where their names are others' by now.
    live: RefCell<IdMap<Rc<dyn AnyInbox>>>,
    located: RefCell<Locations>,
    /// Peers' messages that wait for room.
    stalls: RefCell<Vec<stalls::Stall>>,
    /// Outboxes whose connections have no room.
    waiting_outboxes: RefCell<Vec<Rc<Outbox>>>,
    runnable: RefCell<VecDeque<Rc<dyn AnyInbox>>>,
    /// A handler or callback is on the stack.
    busy: Cell<bool>,
    replies: RefCell<Vec<(TypeId, Rc<dyn AnyReplies>)>>,
    /// When asks are looked at for overdue ones.
    asks_due_ns: Cell<u64>,
    /// Not before then.
    asks_not_before_ns: Cell<u64>,
    /// When what waits for room is tried again.
    retry_at_ns: Cell<u64>,
    /// Asks that were let go since outboxes were last looked through.
    let_go: Cell<usize>,
    cache: Rc<ReplyCache>,
    links: RefCell<IdMap<Rc<Link>>>,
    outboxes: RefCell<IdMap<Rc<Outbox>>>,
    stopping: Cell<bool>,
    /// When its endpoints have ended, everything does.
    then_end: Cell<bool>,
    ended: Cell<bool>,
}

impl Dispatcher {
    /// The dispatcher of `env` on this thread.
    pub(crate) fn new(
        env: &Arc<EnvShared>,
        handle: Arc<ThreadHandle>,
        host: Box<dyn Executor>,
    ) -> Rc<Self> {
        let settings = &env.settings;
        let (remembered, remembered_len) = (settings.remembered, settings.remembered_len);
        let dispatcher = Rc::new(Self {
            env: Arc::clone(env),
            cache: ReplyCache::new(remembered, remembered_len),
            handle,
            host,
            inboxes: Inboxes::default(),
            live: RefCell::default(),
            located: RefCell::default(),
            stalls: RefCell::default(),
            waiting_outboxes: RefCell::default(),
            runnable: RefCell::default(),
            busy: Cell::new(false),
            replies: RefCell::default(),
            asks_due_ns: Cell::new(u64::MAX),
            asks_not_before_ns: Cell::new(0),
            retry_at_ns: Cell::new(u64::MAX),
            let_go: Cell::new(0),
            links: RefCell::default(),
            outboxes: RefCell::default(),
            stopping: Cell::new(false),
            then_end: Cell::new(false),
            ended: Cell::new(false),
        });
        current::enter(env.id(), &dispatcher);
        dispatcher
    }

    pub(crate) fn env(&self) -> &Arc<EnvShared> {
        &self.env
    }

    pub(crate) fn handle(&self) -> &Arc<ThreadHandle> {
        &self.handle
    }

    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.host.now_ns()
    }

    /// Nothing more will be done here.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Whether a turn would find something.
    pub(crate) fn has_work(&self) -> bool {
        !self.runnable.borrow().is_empty()
            || (!self.ended.get() && (self.handle.has_post() || self.handle.is_cut_off()))
    }

    /// A new endpoint.
    pub(crate) fn add_inbox(&self, id: EndpointId, inbox: Rc<dyn AnyInbox>) {
        let live = &self.live;
        let before = live.borrow_mut().insert(inbox.serial(), Rc::clone(&inbox));
        assert!(before.is_none(), "two inboxes have one serial number");
        self.inboxes.insert(id, Rc::clone(&inbox));
        self.schedule(inbox);
    }

    /// The endpoint cannot be found any more: the next of its name takes its place.
    pub(crate) fn remove_inbox(&self, id: EndpointId, serial: u64) {
        self.inboxes.remove(id, serial);
    }

    #[inline]
    pub(crate) fn inbox(&self, id: EndpointId) -> Option<Rc<dyn AnyInbox>> {
        self.inboxes.get(id)
    }

    /// Stops the endpoint with this serial number.
    pub(crate) fn stop_inbox(self: &Rc<Self>, serial: u64) {
        let inbox = self.live.borrow().get(&serial).cloned();
        if let Some(inbox) = inbox {
            inbox.stop(self);
        }
    }

    /// Leaves a value with an endpoint of this thread.
    ///
    /// # Errors
    /// It wants no reply, and was not taken; an ask is failed.
    pub(crate) fn post_local<M: Message>(
        self: &Rc<Self>,
        inbox: &Rc<dyn AnyInbox>,
        message: M,
        key: Option<u64>,
    ) -> Result<(), RpcError> {
        let posted = match typed_route::<M>(&**inbox) {
            Some(route) => route.post(self, message, key),
            None => inbox.post_unrouted(
                self,
                Unrouted {
                    id: M::ID,
                    lane: M::LANE,
                    name: M::NAME,
                    value: Box::new(message),
                    reply: key.map_or(Reply::OneWay, |key| {
                        Reply::Pending(self.replies::<M::Reply>(), key)
                    }),
                },
            ),
        };
        match (posted, key) {
            (Err(error), Some(key)) => {
                self.replies::<M::Reply>().settle(key, Err(error));
                Ok(())
            }
            (posted, _) => posted,
        }
    }

    /// The asks with replies of this type.
    #[inline]
    pub(crate) fn replies<R: Payload>(&self) -> Rc<Replies<R>> {
        let id = TypeId::of::<R>();
        let known = {
            let tables = self.replies.borrow();
            let found = tables.iter().find(|(of, _)| *of == id);
            found.map(|(_, table)| Rc::clone(table))
        };
        let table: Rc<dyn Any> = match known {
            Some(table) => table,
            None => return self.add_replies::<R>(id),
        };
        match table.downcast() {
            Ok(table) => table,
            Err(_) => unreachable!("a table is found by the type of its replies"),
        }
    }

    #[cold]
    fn add_replies<R: Payload>(&self, id: TypeId) -> Rc<Replies<R>> {
        let mut tables = self.replies.borrow_mut();
        assert!(
            tables.len() < replies::MAX_REPLY_TYPES,
            "an env has more than {} types of replies",
            replies::MAX_REPLY_TYPES
        );
        let this = current::dispatcher_of(self.env.id());
        let weak = this.as_ref().map(Rc::downgrade).unwrap_or_default();
        let table = Replies::<R>::new(weak, tables.len());
        tables.push((id, Rc::clone(&table) as Rc<dyn AnyReplies>));
        table
    }

    /// The table that an ask's number belongs to.
    pub(crate) fn table(&self, key: u64) -> Option<Rc<dyn AnyReplies>> {
        let tables = self.replies.borrow();
        let (_, table) = tables.get(replies::table_of(key))?;
        Some(Rc::clone(table))
    }

    /// Runs `each` for every table of asks; callbacks that run inside may ask, and add tables.
    pub(super) fn each_table(&self, mut each: impl FnMut(&Rc<dyn AnyReplies>)) {
        let table = |at| {
            let tables = self.replies.borrow();
            tables
                .get(at)
                .map(|(_, table): &(_, Rc<_>)| Rc::clone(table))
        };
        let mut at = 0;
        while let Some(table) = table(at) {
            each(&table);
            at += 1;
        }
    }

    /// Takes an ask in.
    ///
    /// # Errors
    /// Too many are outstanding, or the env has been stopped.
    #[inline]
    pub(crate) fn new_ask<R: Payload>(
        &self,
        replies: &Replies<R>,
        ask: NewAsk<R>,
    ) -> Result<u64, RpcError> {
        if self.ended.get() {
            return Err(ENV_STOPPED);
        }
        let deadline_ns = ask.deadline_ns;
        let key = replies.insert(ask)?;
        debug_assert_ne!(key, 0, "0 stands for no ask");
        if deadline_ns < self.asks_due_ns.get() {
            self.asks_due_by(deadline_ns);
        }
        Ok(key)
    }

    #[cold]
    fn asks_due_by(&self, deadline_ns: u64) {
        let due_ns = deadline_ns.max(self.asks_not_before_ns.get());
        if due_ns < self.asks_due_ns.get() {
            self.asks_due_ns.set(due_ns);
            self.arm();
        }
    }

    /// Has the host look at the dispatcher's times at the earliest of them.
    fn arm(&self) {
        let due_ns = self.asks_due_ns.get().min(self.retry_at_ns.get());
        self.host.arm((due_ns != u64::MAX).then_some(due_ns));
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn cancel(&self, key: u64) {
        self.let_go.set(self.let_go.get() + 1);
        if let Some(table) = self.table(key) {
            table.cancel(key);
        }
    }

    fn expire(self: &Rc<Self>) {
        let now_ns = self.now_ns();
        let default = &self.env.settings.ask_timeout;
        // Asks that callbacks make from here on set it themselves.
        self.asks_due_ns.set(u64::MAX);
        let (mut next_ns, mut asks) = (u64::MAX, 0);
        self.each_table(|table| {
            next_ns = next_ns.min(table.expire(now_ns, default));
            asks += table.len();
        });
        let not_before_ns = now_ns.saturating_add(grain_ns(asks));
        self.asks_not_before_ns.set(not_before_ns);
        let due_ns = next_ns.min(self.asks_due_ns.get()).max(not_before_ns);
        let due_ns = if next_ns == u64::MAX && self.asks_due_ns.get() == u64::MAX {
            u64::MAX
        } else {
            due_ns
        };
        self.asks_due_ns.set(due_ns);
        self.arm();
        self.purge_outboxes();
    }

    /// The waker of the futures that the inbox of this number runs.
    pub(crate) fn inbox_waker(&self, serial: u64) -> Waker {
        Waker::from(Arc::new(InboxWaker {
            env: self.env.id(),
            host: Arc::clone(&self.handle),
            serial,
        }))
    }

    /// The future of an inbox can go on.
    fn wake_inbox(self: &Rc<Self>, serial: u64) {
        let inbox = self.live.borrow().get(&serial).cloned();
        if let Some(inbox) = inbox {
            inbox.wake(self);
        }
    }

    /// Tells every endpoint of the env of something that happened to the connection to `peer`.
    pub(crate) fn broadcast(self: &Rc<Self>, peer: &Arc<Peer>, event: NetworkEvent) {
        for host in self.env.hosts() {
            if !Arc::ptr_eq(&host, &self.handle) {
                let (peer, event) = (Arc::clone(peer), event.clone());
                host.run(move |dispatcher| dispatcher.tell_of(&peer, event));
            }
        }
        self.tell_of(peer, event);
    }

    /// Tells every endpoint of this thread, behind the messages of that peer that wait here.
    fn tell_of(self: &Rc<Self>, peer: &Arc<Peer>, event: NetworkEvent) {
        if let Some(event) = self.stall_event(peer, event) {
            self.tell_all(event);
        }
    }

    /// An outbox waits for room on its connection.
    pub(crate) fn outbox_waits(&self, outbox: &Rc<Outbox>) {
        self.waiting_outboxes.borrow_mut().push(Rc::clone(outbox));
        self.host.rouse();
    }

    /// Tells every endpoint of this thread.
    fn tell_all(self: &Rc<Self>, event: NetworkEvent) {
        let event = Rc::new(event);
        for inbox in self.inboxes.all() {
            inbox.post_event(self, &event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::MAX_OUTSTANDING;

    #[test]
    fn looking_for_overdue_asks_takes_a_bounded_part_of_the_time() {
        assert_eq!(grain_ns(0), 1_000_000);
        assert_eq!(grain_ns(1000), 1_000_000);
        assert_eq!(
            grain_ns(MAX_OUTSTANDING),
            419_430_300,
            "0.4 s, of an ask's 120 s"
        );
    }
}
