//! [`LocalRef`]: a ref on the thread that its endpoint, or the connection to it, lives on.

use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::accepts::Accepts;
use super::dispatcher::{AnyInbox, Dispatcher, Way, dispatcher_of};
use super::endpoint_ref::RpcEndpointRef;
use super::error::RpcError;
use super::fast_path::FastPath;
use super::link::Link;
use super::message::{Message, Payload};
use super::pending_ask::Outgoing;
use super::received::Owned;
use super::replies::{AnyReplies, NewAsk, Replies, ReplyContext, ReplyHandler, Sink};
use super::target::{LocalTarget, Place, RefTarget};
use super::{RpcTimeout, clock};

/// A ref on the thread that its endpoint, or the connection to it, lives on: the fastest way to ask.
///
/// Allocates nothing per ask once its tables have grown. Not `Send`; made by
/// [`RpcEndpointRef::as_local`](super::RpcEndpointRef::as_local).
pub struct LocalRef<E> {
    dispatcher: Rc<Dispatcher>,
    target: Rc<LocalTarget>,
    inbox: Option<Rc<dyn AnyInbox>>,
    /// The connection to the endpoint's env, once there was one.
    link: RefCell<Option<Rc<Link>>>,
    /// The way of the last callback's replies over it.
    fast_path: RefCell<Option<FastPath>>,
    endpoint: PhantomData<fn(E)>,
}

impl<E> LocalRef<E> {
    pub(crate) fn of(target: &Arc<RefTarget>) -> Option<Self> {
        let dispatcher = dispatcher_of(target.env().id())?;
        let inbox = match target.place() {
            Place::Here(_) => Some(dispatcher.find_inbox(target.id())?),
            Place::Remote { host, .. } => {
                if !Arc::ptr_eq(host, dispatcher.handle()) {
                    return None;
                }
                None
            }
            Place::Connection(peer) => {
                if !Arc::ptr_eq(peer.host(), dispatcher.handle()) {
                    return None;
                }
                None
            }
            Place::Nowhere => return None,
        };
        Some(Self {
            dispatcher,
            target: Rc::new(LocalTarget(Arc::clone(target))),
            inbox,
            link: RefCell::new(None),
            fast_path: RefCell::new(None),
            endpoint: PhantomData,
        })
    }

    /// The time in ns of the monotonic clock: as of the beginning of the thread's turn, free to ask.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.dispatcher.now_ns()
    }

    /// Asks; `handler` gets the reply, with `token`. The fastest way.
    ///
    /// # Errors
    /// The ask was not taken in, and `handler` is not called.
    #[inline]
    pub fn ask_with<M: Message, How>(
        &self,
        message: M,
        handler: &Rc<dyn ReplyHandler<M::Reply>>,
        token: u64,
    ) -> Result<(), RpcError>
    where
        E: Accepts<M, How>,
    {
        if self.inbox.is_none() {
            match self.ask_fast(&message, handler, token) {
                Some(asked) => return asked,
                None => self.prepare_fast_path(handler),
            }
        }
        let sink = Sink::Callback(Rc::clone(handler), token);
        self.start(message, sink, None).map(drop)
    }

    /// Asks over the connection that is prepared for this callback; `None` where none is.
    #[inline]
    fn ask_fast<M: Message>(
        &self,
        message: &M,
        handler: &Rc<dyn ReplyHandler<M::Reply>>,
        token: u64,
    ) -> Option<Result<(), RpcError>> {
        let fast_path = self.fast_path.borrow();
        let (link, sink) = fast_path.as_ref()?.of(handler)?;
        if self.dispatcher.has_ended() {
            return Some(Err(super::error::ENV_STOPPED));
        }
        let timeout = self.dispatcher.env().settings.ask_timeout.duration();
        Some(link.ask_fast(&self.target, message, timeout, (sink, token)))
    }

    /// Has the asks that follow go directly, if there is a connection for that.
    #[cold]
    fn prepare_fast_path<R: Payload>(&self, handler: &Rc<dyn ReplyHandler<R>>) {
        if let Way::Link(link) = self.way()
            // In use where a callback that runs in the middle of an ask asks on.
            && let Ok(mut fast_path) = self.fast_path.try_borrow_mut()
        {
            *fast_path = FastPath::over(&link, &self.dispatcher, handler);
        }
    }

    /// Asks; a future for this thread.
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask<M: Message, How>(&self, message: M) -> LocalAsk<M::Reply>
    where
        E: Accepts<M, How>,
    {
        LocalAsk {
            state: self.start(message, Sink::Future(None), None).map(Some),
        }
    }

    /// As [`ask`](Self::ask), with a time of the caller's own.
    ///
    /// # Errors
    /// By the future: why there is no reply.
    pub fn ask_timeout<M: Message, How>(
        &self,
        message: M,
        timeout: RpcTimeout,
    ) -> LocalAsk<M::Reply>
    where
        E: Accepts<M, How>,
    {
        let started = self.start(message, Sink::Future(None), Some(timeout));
        LocalAsk {
            state: started.map(Some),
        }
    }

    /// Sends a message that wants no reply.
    ///
    /// A message that was taken is handled, or its loss is told; see
    /// [`RpcEndpointRef::send`](super::RpcEndpointRef::send).
    ///
    /// # Errors
    /// It was not taken: the env is stopped, there is no way to the endpoint, or its inbox, the outbox of its
    /// address or its connection has no room.
    pub fn send<M: Message, How>(&self, message: M) -> Result<(), RpcError>
    where
        E: Accepts<M, How>,
    {
        if let Some(inbox) = &self.inbox {
            let taken = self.dispatcher.post_local(inbox, message, None);
            return self.target.taken::<M>(taken);
        }
        match self.way() {
            Way::Link(link) => link.send_one_way(&self.target, &message),
            Way::Outbox(outbox) => {
                let out = self.out(message, None, u64::MAX);
                outbox.send(&self.dispatcher, Box::new(out))
            }
            Way::None(error) => Err(error),
        }
    }

    /// The connection, or what waits for one. A connection is looked up once.
    #[inline]
    fn way(&self) -> Way {
        if let Some(link) = &*self.link.borrow()
            && !link.is_over()
        {
            return Way::Link(Rc::clone(link));
        }
        let way = self.dispatcher.way_to(&self.target);
        if let Way::Link(link) = &way {
            *self.link.borrow_mut() = Some(Rc::clone(link));
        }
        way
    }

    fn check(&self, inbox: &dyn AnyInbox) -> Result<(), RpcError> {
        if self.dispatcher.has_ended() {
            return Err(super::error::ENV_STOPPED);
        }
        if inbox.is_stopping() {
            return Err(RpcError::no_endpoint(&self.target.name_arc()));
        }
        Ok(())
    }

    fn out<M: Message>(&self, message: M, key: Option<u64>, deadline_ns: u64) -> Outgoing<M> {
        Outgoing {
            message,
            target: Arc::clone(&self.target),
            key,
            deadline_ns,
            token: None,
            from: None,
        }
    }

    #[inline]
    fn start<M: Message>(
        &self,
        message: M,
        sink: Sink<M::Reply>,
        timeout: Option<RpcTimeout>,
    ) -> Result<Started<M::Reply>, RpcError> {
        if let Some(inbox) = &self.inbox {
            self.check(&**inbox)?;
        }
        let dispatcher = &self.dispatcher;
        let settings = &dispatcher.env().settings;
        let time = match &timeout {
            Some(timeout) => clock::ns(timeout.duration()),
            None => settings.ask_timeout_ns,
        };
        let deadline_ns = dispatcher.now_ns().saturating_add(time);
        let replies = dispatcher.replies::<M::Reply>();
        let ask = NewAsk {
            sink,
            deadline_ns,
            timeout: timeout.map(Box::new),
            target: Some(Rc::clone(&self.target)),
        };
        let key = dispatcher.new_ask(&replies, ask)?;
        match &self.inbox {
            Some(inbox) => dispatcher.post_local(inbox, message, Some(key))?,
            None => self.start_remote(message, key, deadline_ns, &replies),
        }
        Ok((replies, key))
    }

    #[inline]
    fn start_remote<M: Message>(
        &self,
        message: M,
        key: u64,
        deadline_ns: u64,
        replies: &Rc<Replies<M::Reply>>,
    ) {
        let dispatcher = &self.dispatcher;
        match self.way() {
            Way::Link(link) => {
                let asking = (key, deadline_ns, None);
                link.ask(
                    (dispatcher.now_ns(), replies),
                    &self.target,
                    &message,
                    asking,
                );
            }
            Way::Outbox(outbox) => {
                let out = self.out(message, Some(key), deadline_ns);
                let queued = outbox.send(dispatcher, Box::new(out));
                debug_assert!(queued.is_ok(), "an ask is failed by its number");
            }
            Way::None(error) => replies.settle(key, Err(error)),
        }
    }
}

type Started<R> = (Rc<Replies<R>>, u64);

impl<E> Clone for LocalRef<E> {
    fn clone(&self) -> Self {
        Self {
            dispatcher: Rc::clone(&self.dispatcher),
            target: Rc::clone(&self.target),
            inbox: self.inbox.clone(),
            link: self.link.clone(),
            fast_path: RefCell::new(None),
            endpoint: PhantomData,
        }
    }
}

debug_text!([E] LocalRef<E>, |this| "LocalRef({})", **this.target);

/// A reply to come, on the thread that asked.
///
/// # Cancel safety
/// Dropping it retracts the ask.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the ask"]
pub struct LocalAsk<R: Payload> {
    state: Result<Option<Started<R>>, RpcError>,
}

impl<R: Payload> Future for LocalAsk<R> {
    type Output = Result<R, RpcError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &self.state {
            Err(error) => Err(error.clone()),
            Ok(None) => Err(super::error::ENV_STOPPED),
            Ok(Some((replies, key))) => std::task::ready!(replies.poll(*key, cx.waker())),
        };
        self.state = Ok(None);
        Poll::Ready(outcome.and_then(Owned::take))
    }
}

impl<R: Payload> Drop for LocalAsk<R> {
    fn drop(&mut self) {
        if let Ok(Some((replies, key))) = &self.state {
            replies.cancel(*key);
        }
    }
}

// Nothing in it is pinned.
impl<R: Payload> Unpin for LocalAsk<R> {}

debug_text!([R: Payload] LocalAsk<R>, |_this| "LocalAsk");

impl<E> RpcEndpointRef<E> {
    /// The ref as the thread that the endpoint (or the connection to it) lives on can use it: without
    /// an allocation per ask. `None` on every other thread.
    pub fn as_local(&self) -> Option<LocalRef<E>> {
        LocalRef::of(self.target())
    }
}

impl<R: Payload> ReplyContext<'_, R> {
    /// Asks `to`; the reply comes to the handler that is being called, with `token`.
    ///
    /// # Errors
    /// As [`LocalRef::ask_with`]: the ask was not taken in, and the handler is not called for it.
    #[inline]
    pub fn ask<E, M: Message<Reply = R>, How>(
        &self,
        to: &LocalRef<E>,
        message: M,
        token: u64,
    ) -> Result<(), RpcError>
    where
        E: Accepts<M, How>,
    {
        to.ask_with(message, self.handler, token)
    }
}
