//! From a message's number to its handler: the routes of an endpoint.
//!
//! A [`Route`] is one message type of one endpoint: it knows both types, so that nothing is boxed on
//! the way. The inbox sees it without the message's type (to run what comes from peers, and what waits
//! in its queue), whoever sends on the same thread sees it without the endpoint's (to leave a value).

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Context;

use ringrail_codec::archive::ArchiveError;

use super::RpcError;
use super::call::{HeldCall, RpcCallContext, let_go};
use super::dispatcher::{Dispatcher, TypedRoute};
use super::endpoint::{Handle, HandleAsync, RpcEndpoint};
use super::handler_future::{Begin, BoxedHandler};
use super::id::MessageId;
use super::inbox::Inbox;
use super::message::{Lane, Message};
use super::peer::Peer;
use super::received::Received;
use super::replies::{AnyReplies, Replies};
use super::reply::{FromPeer, Reply};
use super::schema::{self, Schema};

/// Marks a message in [`RpcEndpoint::Messages`] that is handled by a future
/// ([`HandleAsync`]).
#[derive(Clone, Copy, Debug)]
pub struct Async<M>(PhantomData<fn() -> M>);

/// The messages that an endpoint handles: a tuple.
pub trait MessageSet<E: RpcEndpoint> {
    /// Adds their routes.
    #[doc(hidden)]
    fn add_to(table: &mut RouteTable<E>);
}

/// One message in a [`MessageSet`]: `M` or [`Async<M>`].
pub trait MessageEntry<E: RpcEndpoint> {
    /// The numbers of its messages on the wire.
    const IDS: &'static [MessageId];

    /// Adds its route.
    #[doc(hidden)]
    fn add_to(table: &mut RouteTable<E>);
}

impl<E: RpcEndpoint + Handle<M>, M: Message> MessageEntry<E> for M {
    const IDS: &'static [MessageId] = &[M::ID];

    fn add_to(table: &mut RouteTable<E>) {
        table.add::<M>(Run::Now(|endpoint, _, message, call| {
            <E as Handle<M>>::handle(endpoint, message, call)
        }));
    }
}

impl<E: RpcEndpoint + HandleAsync<M>, M: Message> MessageEntry<E> for Async<M> {
    const IDS: &'static [MessageId] = &[M::ID];

    fn add_to(table: &mut RouteTable<E>) {
        <E as HandleAsync<M>>::add_to(table);
    }
}

/// Fails the build where two messages of one endpoint are called the same on the wire.
const fn check_distinct(entries: &[&[MessageId]]) {
    let (mut at, mut within) = (0, 0);
    while at < entries.len() {
        if within == entries[at].len() {
            (at, within) = (at + 1, 0);
            continue;
        }
        let id = entries[at][within].to_wire();
        within += 1;
        let (mut later, mut from) = (at, within);
        while later < entries.len() {
            while from < entries[later].len() {
                assert!(
                    entries[later][from].to_wire() != id,
                    "two messages of this endpoint have one name on the wire: call one of them something else"
                );
                from += 1;
            }
            (later, from) = (later + 1, 0);
        }
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<E: RpcEndpoint, $($name: MessageEntry<E>),*> MessageSet<E> for ($($name,)*) {
            #[allow(unused_variables)]
            fn add_to(table: &mut RouteTable<E>) {
                const { check_distinct(&[$(<$name as MessageEntry<E>>::IDS),*]) };
                $(<$name as MessageEntry<E>>::add_to(table);)*
            }
        }
    };
}

tuples!();
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D F);
tuples!(A B C D F G);
tuples!(A B C D F G H);
tuples!(A B C D F G H I);
tuples!(A B C D F G H I J);
tuples!(A B C D F G H I J K);
tuples!(A B C D F G H I J K L);
tuples!(A B C D F G H I J K L M);
tuples!(A B C D F G H I J K L M N);
tuples!(A B C D F G H I J K L M N O);
tuples!(A B C D F G H I J K L M N O P);
tuples!(A B C D F G H I J K L M N O P Q);

/// How an endpoint handles one message type.
pub(crate) enum Run<E, M: Message> {
    /// At once. The number is for endpoints that have several functions.
    Now(RunNow<E, M>),
    /// By a future.
    Future(BoxedHandler<E, M>),
}

pub(crate) type RunNow<E, M> = fn(
    &mut E,
    usize,
    Received<'_, M>,
    RpcCallContext<'_, <M as Message>::Reply>,
) -> Result<(), RpcError>;

/// Makes a route, for its inbox.
type Maker<E> = Box<dyn FnOnce(&Weak<Inbox<E>>) -> RouteEntry<E>>;

/// The routes of an endpoint that is yet to be set up.
pub struct RouteTable<E: RpcEndpoint> {
    makers: Vec<Maker<E>>,
    schemas: Vec<Schema>,
}

impl<E: RpcEndpoint> RouteTable<E> {
    pub(crate) fn new() -> Self {
        Self {
            makers: Vec::new(),
            schemas: Vec::new(),
        }
    }

    pub(crate) fn add<M: Message>(&mut self, run: Run<E, M>) {
        let index = self.makers.len();
        self.schemas.push(Schema::of::<M>());
        self.makers.push(Box::new(move |inbox| {
            let route = Rc::new(Route {
                inbox: inbox.clone(),
                index,
                run,
                queue: RefCell::default(),
                held: Cell::default(),
                replies: OnceCell::new(),
            });
            RouteEntry {
                id: M::ID,
                lane: M::LANE,
                route: Rc::clone(&route) as Rc<dyn AnyRoute<E>>,
                typed: Box::new(route as Rc<dyn TypedRoute<M>>),
            }
        }));
    }

    /// # Errors
    /// A message of the endpoint is called as another type of this program.
    pub(crate) fn declare(&self) -> Result<(), RpcError> {
        schema::declare_all(&self.schemas)
    }

    pub(crate) fn build(self, inbox: &Weak<Inbox<E>>) -> Vec<RouteEntry<E>> {
        self.makers.into_iter().map(|make| make(inbox)).collect()
    }
}

debug_text!([E: RpcEndpoint] RouteTable<E>, |this| "RouteTable({} routes)", this.makers.len());

/// One route of an inbox.
pub(crate) struct RouteEntry<E: RpcEndpoint> {
    pub(crate) id: MessageId,
    pub(crate) lane: Lane,
    pub(crate) route: Rc<dyn AnyRoute<E>>,
    /// An `Rc<dyn TypedRoute<M>>`.
    pub(crate) typed: Box<dyn Any>,
}

/// A route without its message's type.
pub(crate) trait AnyRoute<E: RpcEndpoint> {
    /// Handles a peer's message.
    fn run_remote(&self, inbox: &Inbox<E>, dispatcher: &Rc<Dispatcher>, message: &mut FromPeer<'_>);

    /// Handles the first value in its queue.
    fn run_local(&self, inbox: &Inbox<E>, dispatcher: &Rc<Dispatcher>);

    /// Drives the future of its handler, which has been woken.
    fn go_on(&self, inbox: &Inbox<E>, dispatcher: &Rc<Dispatcher>);

    /// Drops the future of its handler, and fails its caller.
    fn drop_future(&self);

    /// Drops the first value in its queue; its message's name where it wanted no reply.
    fn drop_local(&self) -> Option<&'static str>;
}

/// One message type of one endpoint.
struct Route<E: RpcEndpoint, M: Message> {
    inbox: Weak<Inbox<E>>,
    index: usize,
    run: Run<E, M>,
    queue: RefCell<VecDeque<(M, Option<u64>)>>,
    /// The call whose handler's future is pending.
    held: Cell<Reply<'static>>,
    /// The dispatcher's table of asks with its replies, once it was needed.
    replies: OnceCell<Rc<Replies<M::Reply>>>,
}

impl<E: RpcEndpoint, M: Message> Route<E, M> {
    #[inline]
    fn run(
        &self,
        inbox: &Inbox<E>,
        dispatcher: &Rc<Dispatcher>,
        message: Received<'_, M>,
        (reply, peer): (Reply<'_>, Option<&Arc<Peer>>),
    ) {
        match &self.run {
            Run::Now(run) => {
                inbox.run_now(dispatcher, (reply, peer), M::NAME, |endpoint, call| {
                    run(endpoint, self.index, message, call)
                });
            }
            Run::Future(handler) => self.begin(inbox, dispatcher, handler, message, reply),
        }
    }

    /// Begins the future of a handler, and drives it as far as it goes.
    fn begin(
        &self,
        inbox: &Inbox<E>,
        dispatcher: &Rc<Dispatcher>,
        handler: &BoxedHandler<E, M>,
        message: Received<'_, M>,
        mut reply: Reply<'_>,
    ) {
        let deadline_ns = reply.deadline_ns();
        let holds_call = handler.borrow().holds_call();
        let call = holds_call.then(|| HeldCall::new(Rc::clone(dispatcher), reply.take().hold()));
        handler.borrow_mut().begin(Begin {
            endpoint: inbox.begin_future(),
            message: message.keep(),
            call,
            deadline_ns,
        });
        self.drive(inbox, dispatcher, handler, reply);
    }

    fn drive(
        &self,
        inbox: &Inbox<E>,
        dispatcher: &Rc<Dispatcher>,
        handler: &BoxedHandler<E, M>,
        reply: Reply<'_>,
    ) {
        let poll = |cx: &mut Context<'_>| handler.borrow_mut().poll(cx);
        let of = (self.index, M::NAME);
        if let Some(reply) = inbox.drive_future(dispatcher, of, reply, poll) {
            self.held.set(reply.hold());
        }
    }

    /// An inbox has one dispatcher all its life.
    #[inline]
    fn replies(&self, dispatcher: &Dispatcher) -> &Rc<Replies<M::Reply>> {
        self.replies.get_or_init(|| dispatcher.replies())
    }

    #[inline]
    fn run_value(
        &self,
        inbox: &Inbox<E>,
        dispatcher: &Rc<Dispatcher>,
        message: M,
        key: Option<u64>,
    ) {
        let reply = match key {
            None => Reply::OneWay,
            Some(key) => {
                let replies = Rc::clone(self.replies(dispatcher));
                Reply::Pending(replies, key)
            }
        };
        self.run(inbox, dispatcher, Received::local(message), (reply, None));
    }
}

impl<E: RpcEndpoint, M: Message> AnyRoute<E> for Route<E, M> {
    fn run_remote(
        &self,
        inbox: &Inbox<E>,
        dispatcher: &Rc<Dispatcher>,
        message: &mut FromPeer<'_>,
    ) {
        let peer = message.peer;
        let received = match Received::archived(message.body, Some(peer)) {
            Ok(received) => received,
            Err(error) => return refuse_archive::<E, M>(inbox, message, &error),
        };
        match (&self.run, message.reply.take()) {
            (Run::Now(run), Reply::Responder(responder)) => {
                let from = (responder, Some(peer));
                inbox.run_now(dispatcher, from, M::NAME, |endpoint, call| {
                    run(endpoint, self.index, received, call)
                });
            }
            (_, reply) => self.run(inbox, dispatcher, received, (reply, Some(peer))),
        }
    }

    fn run_local(&self, inbox: &Inbox<E>, dispatcher: &Rc<Dispatcher>) {
        let first = self.queue.borrow_mut().pop_front();
        let Some((message, key)) = first else {
            unreachable!("a value waits in the queue of its route");
        };
        if let Some(key) = key
            && !self.replies(dispatcher).is_wanted(key)
        {
            dispatcher.cancel(key);
            return;
        }
        self.run_value(inbox, dispatcher, message, key);
    }

    fn go_on(&self, inbox: &Inbox<E>, dispatcher: &Rc<Dispatcher>) {
        if let Run::Future(handler) = &self.run {
            self.drive(inbox, dispatcher, handler, self.held.take());
        }
    }

    fn drop_future(&self) {
        if let Run::Future(handler) = &self.run {
            handler.borrow_mut().clear();
        }
        let reply = self.held.take();
        if !reply.is_one_way() {
            reply.fail(&let_go());
        }
    }

    fn drop_local(&self) -> Option<&'static str> {
        let (message, key) = self.queue.borrow_mut().pop_front()?;
        drop(message);
        key.is_none().then_some(M::NAME)
    }
}

/// A peer's message is no archive of an `M`.
#[cold]
fn refuse_archive<E: RpcEndpoint, M: Message>(
    inbox: &Inbox<E>,
    message: &mut FromPeer<'_>,
    error: &ArchiveError,
) {
    let error = RpcError::bad_archive(M::NAME, message.peer.address(), error);
    message.reply.take().fail(&error);
    inbox.on_error(error);
}

impl<E: RpcEndpoint, M: Message> TypedRoute<M> for Route<E, M> {
    #[inline]
    fn post(
        &self,
        dispatcher: &Rc<Dispatcher>,
        message: M,
        key: Option<u64>,
    ) -> Result<(), RpcError> {
        let Some(inbox) = self.inbox.upgrade() else {
            return Err(RpcError::OutboxStopped);
        };
        if inbox.is_free() && dispatcher.enter() {
            self.run_value(&inbox, dispatcher, message, key);
            dispatcher.leave();
            return Ok(());
        }
        inbox.admit(M::LANE)?;
        self.queue.borrow_mut().push_back((message, key));
        if let Some(key) = key {
            let phase = super::timeout::AskPhase::Delivered;
            self.replies(dispatcher).reached(key, phase);
        }
        inbox.push_local(dispatcher, self.index, M::LANE);
        Ok(())
    }
}
