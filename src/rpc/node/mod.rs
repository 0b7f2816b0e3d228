//! The part of an env on one thread: its endpoints there, their inboxes, and what they ask.
//!
//! Single-threaded, and knows nothing of sockets: connections ([`Link`]s) and other threads
//! ([`Mail`]) bring messages, a [`Host`] gives it turns and time.
//!
//! *Running.* While a handler or callback is on the stack the node is busy, and what is posted is
//! queued; whoever made it busy works the queue off before letting go. So nothing recurses, and a
//! message to a free endpoint is handled right where it is posted.

mod current;
mod host;
mod links;
mod mail;
mod recent;
mod replies;
mod thread;

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::any::{AnyAnswerer, any_replies};
use super::env::EnvShared;
use super::error::{ENV_STOPPED, RpcError};
use super::id::EndpointId;
use super::inbox::{AnyInbox, NetworkEvent, Unrouted, typed_route};
use super::message::{Message, Payload};
use super::outbox::{Link, Outbox};

pub(crate) use current::{is_host_thread, may_block, node_of};
pub(crate) use host::{Bell, Host, HostHandle, PostError};
pub(crate) use links::Way;
pub(crate) use mail::{Errand, Forwarded, Mail};
pub(crate) use recent::Recent;
pub use recent::{MAX_REMEMBERED, MAX_REMEMBERED_LEN};
pub(crate) use replies::{AnyReplies, NewAsk, Replies, Sink};
pub use replies::{MAX_OUTSTANDING, ReplyHandler};
pub(crate) use thread::start_thread;

/// Turns of inboxes that are run in one go, before the thread looks at anything else.
const RUN_TURNS: usize = 64;

/// Mail that is delivered before anything of it is handled.
const MAIL_BATCH: usize = 256;

/// Hashes numbers that are hashes already.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = super::id::fnv1a(bytes);
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

/// A table by numbers that are hashes already.
pub(crate) type IdMap<T> = HashMap<u64, T, BuildHasherDefault<IdHasher>>;

/// The part of an env on one thread.
pub(crate) struct Node {
    env: Arc<EnvShared>,
    handle: Arc<HostHandle>,
    host: Box<dyn Host>,
    /// By the id of the endpoint's name.
    inboxes: RefCell<IdMap<Rc<dyn AnyInbox>>>,
    /// Those that have not ended, by serial number, also where their names are others' by now.
    live: RefCell<IdMap<Rc<dyn AnyInbox>>>,
    flying: RefCell<IdMap<Rc<dyn AnyInbox>>>,
    /// Errands that wait for the end of a delivery.
    postponed: RefCell<VecDeque<Errand>>,
    runnable: RefCell<VecDeque<Rc<dyn AnyInbox>>>,
    /// A handler or callback is on the stack.
    busy: Cell<bool>,
    replies: RefCell<Vec<(TypeId, Rc<dyn AnyReplies>)>>,
    next_due_ns: Cell<u64>,
    recent: Recent,
    links: RefCell<IdMap<Rc<Link>>>,
    outboxes: RefCell<IdMap<Rc<Outbox>>>,
    stopping: Cell<bool>,
    /// When its endpoints have ended, everything does.
    then_end: Cell<bool>,
    ended: Cell<bool>,
}

impl Node {
    /// The node of `env` on this thread.
    pub(crate) fn new(
        env: &Arc<EnvShared>,
        handle: Arc<HostHandle>,
        host: Box<dyn Host>,
    ) -> Rc<Self> {
        let node = Rc::new(Self {
            env: Arc::clone(env),
            handle,
            host,
            inboxes: RefCell::default(),
            live: RefCell::default(),
            flying: RefCell::default(),
            postponed: RefCell::default(),
            runnable: RefCell::default(),
            busy: Cell::new(false),
            replies: RefCell::default(),
            next_due_ns: Cell::new(u64::MAX),
            recent: Recent::default(),
            links: RefCell::default(),
            outboxes: RefCell::default(),
            stopping: Cell::new(false),
            then_end: Cell::new(false),
            ended: Cell::new(false),
        });
        current::enter(env.id(), &node);
        node
    }

    pub(crate) fn env(&self) -> &Arc<EnvShared> {
        &self.env
    }

    pub(crate) fn handle(&self) -> &Arc<HostHandle> {
        &self.handle
    }

    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
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
            || !self.postponed.borrow().is_empty()
            || (!self.ended.get() && self.handle.has_post())
    }

    /// One turn: mail, errands, inboxes, overdue asks.
    pub(crate) fn turn(self: &Rc<Self>) {
        self.take_all_mail();
        self.do_errands();
        self.run_now();
        if self.next_due_ns.get() <= self.now_ns() {
            self.expire();
        }
    }

    /// Delivers the mail that is here now. What has piled up goes to the inboxes first, where urgent
    /// messages overtake others, and is handled then; a single message is handled at once.
    fn take_all_mail(self: &Rc<Self>) {
        let mut left = self.handle.mail_len();
        while left > 0 {
            let batch = left.min(MAIL_BATCH);
            left -= batch;
            let entered = batch > 1 && self.enter();
            for _ in 0..batch {
                if let Some(mail) = self.handle.take_mail() {
                    self.take(mail);
                }
            }
            if entered {
                self.leave();
            }
        }
    }

    fn take(self: &Rc<Self>, mail: Mail) {
        match mail {
            Mail::Parcel(parcel) => parcel.deliver(self),
            Mail::Forwarded(forwarded) => self.receive_forwarded(*forwarded),
            Mail::Carried { link, frame } => self.receive_carried(link, frame),
        }
    }

    /// Does what has been ordered.
    fn do_errands(self: &Rc<Self>) {
        loop {
            let postponed = self.postponed.borrow_mut().pop_front();
            let Some(errand) = postponed.or_else(|| self.handle.take_errand()) else {
                return;
            };
            self.do_errand(errand);
        }
    }

    fn do_errand(self: &Rc<Self>, errand: Errand) {
        match errand {
            Errand::Run(run) => run(self),
            Errand::RunAfterMail(run) => {
                self.take_all_mail();
                run(self);
            }
            Errand::Wake(serial) => {
                let inbox = self.flying.borrow().get(&serial).cloned();
                if let Some(inbox) = inbox {
                    inbox.wake(self);
                }
            }
            Errand::Cancel(key) => {
                self.cancel(key);
                self.purge_outboxes();
            }
        }
    }

    /// What `find` finds, also where it has only been ordered. What must wait for the mail that is
    /// being delivered right now is put off.
    fn find_ordered<T>(self: &Rc<Self>, find: impl Fn(&Self) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = find(self) {
                return Some(found);
            }
            match self.handle.take_errand()? {
                after @ Errand::RunAfterMail(_) => self.postponed.borrow_mut().push_back(after),
                errand => self.do_errand(errand),
            }
        }
    }

    /// Makes the node busy; false where it is.
    #[inline]
    pub(crate) fn enter(&self) -> bool {
        !self.busy.replace(true)
    }

    /// Works off what was queued meanwhile, and lets go.
    #[inline]
    pub(crate) fn leave(self: &Rc<Self>) {
        if self.runnable.borrow().is_empty() {
            self.busy.set(false);
            return;
        }
        self.work_off();
    }

    fn work_off(self: &Rc<Self>) {
        let budget = self.env.settings().inbox_budget;
        for _ in 0..RUN_TURNS {
            let next = self.runnable.borrow_mut().pop_front();
            let Some(inbox) = next else {
                break;
            };
            if inbox.run(self, budget) {
                self.runnable.borrow_mut().push_back(inbox);
            }
        }
        self.busy.set(false);
        if !self.runnable.borrow().is_empty() {
            self.host.rouse();
        }
    }

    /// Works off what is queued, unless somebody further down the stack will.
    pub(crate) fn run_now(self: &Rc<Self>) {
        if self.enter() {
            self.leave();
        }
    }

    /// Has an inbox run.
    pub(crate) fn schedule(&self, inbox: Rc<dyn AnyInbox>) {
        self.runnable.borrow_mut().push_back(inbox);
        if !self.busy.get() {
            self.host.rouse();
        }
    }

    /// A new endpoint.
    pub(crate) fn add_inbox(&self, id: EndpointId, inbox: Rc<dyn AnyInbox>) {
        self.live
            .borrow_mut()
            .insert(inbox.serial(), Rc::clone(&inbox));
        self.inboxes
            .borrow_mut()
            .insert(id.to_wire(), Rc::clone(&inbox));
        self.schedule(inbox);
    }

    /// The endpoint cannot be found any more.
    pub(crate) fn remove_inbox(&self, id: EndpointId, serial: u64) {
        let mut inboxes = self.inboxes.borrow_mut();
        let there = inboxes.get(&id.to_wire());
        if there.is_some_and(|inbox| inbox.serial() == serial) {
            inboxes.remove(&id.to_wire());
        }
    }

    /// An endpoint's `on_stop` has returned.
    pub(crate) fn inbox_ended(&self, serial: u64) {
        let ended = self.live.borrow_mut().remove(&serial);
        drop(ended);
        self.look_for_the_end();
    }

    fn look_for_the_end(&self) {
        if !self.live.borrow().is_empty() || !self.stopping.get() {
            return;
        }
        if self.then_end.get() {
            // Not from inside of its last inbox.
            self.handle.run(|node| node.end());
        }
        self.handle.set_quiet();
        self.env.ending().changed();
    }

    #[inline]
    pub(crate) fn inbox(&self, id: EndpointId) -> Option<Rc<dyn AnyInbox>> {
        self.inboxes.borrow().get(&id.to_wire()).cloned()
    }

    /// The endpoint with this id, also where its set-up has only been ordered.
    pub(crate) fn find_inbox(self: &Rc<Self>, id: EndpointId) -> Option<Rc<dyn AnyInbox>> {
        self.find_ordered(|node| node.inbox(id))
    }

    /// The host of an endpoint that lives on another thread.
    pub(crate) fn elsewhere(&self, id: EndpointId) -> Option<Arc<HostHandle>> {
        let host = self.env.registry().host_of(id)?;
        (!Arc::ptr_eq(&host, &self.handle)).then_some(host)
    }

    /// Stops the endpoint with this serial number.
    pub(crate) fn stop_inbox(self: &Rc<Self>, serial: u64) {
        let inbox = self.live.borrow().get(&serial).cloned();
        if let Some(inbox) = inbox {
            inbox.stop(self);
        }
    }

    /// Leaves a value with an endpoint of this thread.
    pub(crate) fn post_local<M: Message>(
        self: &Rc<Self>,
        inbox: &Rc<dyn AnyInbox>,
        message: M,
        key: Option<u64>,
    ) {
        let posted = match typed_route::<M>(&**inbox) {
            Some(route) => route.post(self, message, key),
            None => inbox.post_unrouted(
                self,
                Unrouted {
                    id: M::ID,
                    lane: M::LANE,
                    name: M::NAME,
                    value: Box::new(message),
                    call: key.map(|key| AnyAnswerer::Pending {
                        replies: any_replies::<M::Reply>(self),
                        key,
                    }),
                },
            ),
        };
        if let Err(error) = posted {
            match key {
                Some(key) => self.replies::<M::Reply>().settle(key, Err(error)),
                None => {
                    tracing::warn!(target: "ringrail::rpc", message = M::NAME, %error, "message dropped");
                }
            }
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
            // The type is the table's key.
            Err(_) => self.add_replies::<R>(id),
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
        let this = current::node_of(self.env.id());
        let weak = this.as_ref().map(Rc::downgrade).unwrap_or_default();
        let table = Replies::<R>::new(weak, tables.len());
        tables.push((id, Rc::clone(&table) as Rc<dyn AnyReplies>));
        table
    }

    /// The table that an ask's number belongs to.
    fn table(&self, key: u64) -> Option<Rc<dyn AnyReplies>> {
        let tables = self.replies.borrow();
        let (_, table) = tables.get(replies::table_of(key))?;
        Some(Rc::clone(table))
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
        if deadline_ns < self.next_due_ns.get() {
            self.next_due_ns.set(deadline_ns);
            self.host.arm(Some(deadline_ns));
        }
        Ok(key)
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn cancel(&self, key: u64) {
        if let Some(table) = self.table(key) {
            table.cancel_any(key);
        }
    }

    fn expire(self: &Rc<Self>) {
        let now_ns = self.now_ns();
        let default = &self.env.settings().ask_timeout;
        let mut next_ns = u64::MAX;
        let mut at = 0;
        // Callbacks may ask, and add tables.
        while let Some(table) = self
            .replies
            .borrow()
            .get(at)
            .map(|(_, table)| Rc::clone(table))
        {
            next_ns = next_ns.min(table.expire(now_ns, default));
            at += 1;
        }
        self.next_due_ns.set(next_ns);
        self.host.arm((next_ns != u64::MAX).then_some(next_ns));
        self.purge_outboxes();
    }

    /// Wakes the future of an inbox's handler.
    pub(crate) fn inbox_waker(&self, serial: u64) -> Waker {
        struct InboxWaker {
            host: Arc<HostHandle>,
            serial: u64,
        }
        impl Wake for InboxWaker {
            fn wake(self: Arc<Self>) {
                self.wake_by_ref();
            }
            fn wake_by_ref(self: &Arc<Self>) {
                self.host.errand(Errand::Wake(self.serial));
            }
        }
        let host = Arc::clone(&self.handle);
        Waker::from(Arc::new(InboxWaker { host, serial }))
    }

    pub(crate) fn begin_flight(&self, serial: u64, inbox: Option<Rc<dyn AnyInbox>>) {
        if let Some(inbox) = inbox {
            self.flying.borrow_mut().insert(serial, inbox);
        }
    }

    pub(crate) fn end_flight(&self, serial: u64) {
        let inbox = self.flying.borrow_mut().remove(&serial);
        // Its last reference may be this one.
        drop(inbox);
    }

    /// Tells every endpoint of the env.
    pub(crate) fn broadcast(self: &Rc<Self>, event: NetworkEvent) {
        for host in self.env.hosts() {
            if !Arc::ptr_eq(&host, &self.handle) {
                let event = event.clone();
                host.run(move |node| node.tell_all(event));
            }
        }
        self.tell_all(event);
    }

    /// Tells every endpoint of this thread.
    fn tell_all(self: &Rc<Self>, event: NetworkEvent) {
        let event = Rc::new(event);
        let inboxes: Vec<_> = self.inboxes.borrow().values().cloned().collect();
        for inbox in inboxes {
            inbox.post_event(self, &event);
        }
    }

    /// Stops every endpoint; when the last has ended, so does everything here if `then_end` says so,
    /// else the env is told.
    pub(crate) fn shut_down(self: &Rc<Self>, then_end: bool) {
        self.then_end.set(then_end);
        if self.stopping.replace(true) {
            return;
        }
        self.stop_outboxes();
        let inboxes: Vec<_> = self.live.borrow().values().cloned().collect();
        for inbox in &inboxes {
            inbox.stop(self);
        }
        self.look_for_the_end();
    }

    /// Ends every endpoint that has not ended by itself.
    pub(crate) fn abandon(self: &Rc<Self>) {
        self.stopping.set(true);
        let inboxes: Vec<_> = self.live.borrow().values().cloned().collect();
        for inbox in inboxes {
            inbox.abandon(self);
        }
        self.end();
    }

    fn end(self: &Rc<Self>) {
        if self.ended.replace(true) {
            return;
        }
        self.stop_outboxes();
        let mut at = 0;
        while let Some(table) = self
            .replies
            .borrow()
            .get(at)
            .map(|(_, table)| Rc::clone(table))
        {
            table.fail_all(&ENV_STOPPED);
            at += 1;
        }
        self.close_links();
        self.runnable.borrow_mut().clear();
        self.inboxes.borrow_mut().clear();
        self.live.borrow_mut().clear();
        self.handle.close();
        current::leave(self);
        self.env.host_ended(&self.handle);
    }
}
