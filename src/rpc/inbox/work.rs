//! Handling: what an inbox does with what it has.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::rpc::any::{AnyCallContext, AnyForm, AnyMessage};
use crate::rpc::call::{Answering, Call, RpcCallContext};
use crate::rpc::dispatcher::{Dispatcher, Unrouted};
use crate::rpc::endpoint::{EndpointContext, RpcEndpoint};
use crate::rpc::error::RpcError;
use crate::rpc::event::NetworkEvent;
use crate::rpc::id::MessageId;
use crate::rpc::message::{Lane, Payload};
use crate::rpc::peer::Peer;
use crate::rpc::reply::{FromPeer, Reply};

use super::item::Item;
use super::{Inbox, Phase};

/// The outcome of a handler or hook: its own error, or a panic.
type Ran = std::thread::Result<Result<(), RpcError>>;

impl<E: RpcEndpoint> Inbox<E> {
    /// Handles up to `budget` messages; true where more wait.
    pub(super) fn work(&self, dispatcher: &Rc<Dispatcher>, budget: usize) -> bool {
        // Marked as queued while it runs, or what comes meanwhile would give it a second place in the round.
        self.scheduled.set(true);
        self.work_off(dispatcher, budget);
        let more = match self.phase.get() {
            _ if dispatcher.handle().is_cut_off() => false,
            Phase::Ready => self.depth.get() > 0 || self.stopping.get(),
            Phase::Awaiting => self.woken.get(),
            Phase::Broken => true,
            Phase::Starting | Phase::Handling | Phase::Stopped => false,
        };
        self.scheduled.set(more);
        more
    }

    fn work_off(&self, dispatcher: &Rc<Dispatcher>, budget: usize) {
        for _ in 0..budget {
            if dispatcher.handle().is_cut_off() {
                // The env has ended without it: its dispatcher ends it next.
                return;
            }
            match self.phase.get() {
                Phase::Starting => self.start(),
                Phase::Broken => {
                    self.supervise(dispatcher);
                    continue;
                }
                Phase::Awaiting if !self.woken.replace(false) => return,
                Phase::Awaiting if !self.poll_future(dispatcher) => return,
                Phase::Handling | Phase::Stopped => return,
                Phase::Ready | Phase::Awaiting => {}
            }
            if self.phase.get() == Phase::Broken {
                continue;
            }
            let Some((queued, lane)) = self.pop() else {
                if self.stopping.get() && self.phase.get() == Phase::Ready {
                    self.end(dispatcher);
                }
                return;
            };
            debug_assert_eq!(
                self.phase.get(),
                Phase::Ready,
                "a turn begins between handlers"
            );
            let waited = dispatcher.now_ns().saturating_sub(queued.at_ns);
            self.metrics.waited(waited);
            self.handle(dispatcher, queued.item, lane);
        }
    }

    #[inline]
    fn handle(&self, dispatcher: &Rc<Dispatcher>, item: Item, lane: Lane) {
        match item {
            Item::Local(route) => self.routes[route].route.run_local(self, dispatcher),
            Item::Unrouted(message) => self.run_any_local(dispatcher, *message),
            Item::Event(event) => self.tell(&event),
            Item::Remote => {
                let first = self.lines(lane).remote.borrow_mut().pop_front();
                assert!(first.is_some(), "a peer's message waits in its own queue");
                let Some(item) = first.filter(|item| item.is_wanted(dispatcher.now_ns())) else {
                    return;
                };
                let (route, id) = (item.route, item.id);
                item.with(|message| match route {
                    Some(at) => self.routes[at].route.run_remote(self, dispatcher, message),
                    None => self.run_any_remote(dispatcher, id, message),
                });
            }
        }
    }

    /// Calls a handler that answers by `reply`.
    #[inline(always)]
    pub(crate) fn run_now<'r, R: Payload, A: Answering<'r>>(
        &self,
        dispatcher: &'r Rc<Dispatcher>,
        (reply, peer): (A, Option<&Arc<Peer>>),
        name: &'static str,
        handle: impl FnOnce(&mut E, RpcCallContext<'_, R>) -> Result<(), RpcError>,
    ) {
        debug_assert_eq!(self.phase.get(), Phase::Ready, "one handler at a time");
        self.phase.set(Phase::Handling);
        let call = Call::new(dispatcher, reply);
        let ran = self.with_endpoint(|endpoint| handle(endpoint, call.context(peer)));
        self.metrics.handled.add(1);
        match ran {
            Ok(Ok(())) => call.finish(None, || self.no_reply()),
            ran => self.failed(ran, name, &call),
        }
        self.returned(dispatcher);
    }

    /// A handler has failed: its caller and its endpoint are told.
    #[cold]
    fn failed<'r, A: Answering<'r>>(&self, ran: Ran, name: &str, call: &Call<'r, A>) {
        if let Some(error) = self.outcome(ran, name) {
            // Counted before the caller hears of it.
            self.metrics.failed.add(1);
            call.finish(Some(&error), || self.no_reply());
            self.tell_error(error);
        }
    }

    fn no_reply(&self) -> RpcError {
        RpcError::NoReply {
            endpoint: Arc::clone(&self.face.text),
        }
    }

    /// A handler has returned: what came meanwhile has its turn.
    #[inline]
    fn returned(&self, dispatcher: &Rc<Dispatcher>) {
        self.rest();
        if self.depth.get() > 0 || self.stopping.get() || self.broken.get() {
            self.schedule(dispatcher);
        }
    }

    #[inline(always)]
    fn with_endpoint(&self, run: impl FnOnce(&mut E) -> Result<(), RpcError>) -> Ran {
        let mut endpoint = self.endpoint.borrow_mut();
        match endpoint.as_mut() {
            Some(endpoint) => catch_unwind(AssertUnwindSafe(|| run(endpoint))),
            None => Ok(Ok(())),
        }
    }

    fn outcome(&self, ran: Ran, name: &str) -> Option<RpcError> {
        match ran {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(panic) => {
                self.broken.set(self.supervisor.borrow().is_some());
                Some(panicked(&*panic, name))
            }
        }
    }

    /// Nothing of the endpoint is on the stack any more.
    #[inline]
    fn rest(&self) {
        self.phase.set(match self.broken.get() {
            true => Phase::Broken,
            false => Phase::Ready,
        });
    }

    /// Calls a hook; errors go to `on_error`.
    fn hook(&self, name: &str, run: impl FnOnce(&mut E) -> Result<(), RpcError>) {
        self.phase.set(Phase::Handling);
        let ran = self.with_endpoint(run);
        if let Some(error) = self.outcome(ran, name) {
            self.on_error(error);
        }
        self.rest();
    }

    /// Tells the endpoint; what it has to say to that is logged.
    #[cold]
    pub(crate) fn on_error(&self, error: RpcError) {
        self.metrics.failed.add(1);
        self.tell_error(error);
    }

    fn tell_error(&self, error: RpcError) {
        let ran = self.with_endpoint(|endpoint| endpoint.on_error(error));
        if let Some(error) = self.outcome(ran, "on_error") {
            let endpoint = &*self.face.text;
            if self.stopping.get() {
                tracing::debug!(target: "ringrail::rpc", endpoint, %error, "Ignoring error");
            } else {
                tracing::error!(target: "ringrail::rpc", endpoint, %error, "Ignoring error");
            }
        }
    }

    fn start(&self) {
        assert_eq!(self.phase.get(), Phase::Starting, "an endpoint starts once");
        let context = EndpointContext::new(self.me.clone());
        self.hook("on_start", |endpoint| endpoint.on_start(&context));
    }

    fn tell(&self, event: &NetworkEvent) {
        match event {
            NetworkEvent::Connected(address) => {
                self.hook("on_connected", |endpoint| endpoint.on_connected(address));
            }
            NetworkEvent::Disconnected(address) => {
                self.hook("on_disconnected", |endpoint| {
                    endpoint.on_disconnected(address)
                });
            }
            NetworkEvent::Failed(cause, address) => self.hook("on_network_error", |endpoint| {
                endpoint.on_network_error(cause, address)
            }),
        }
    }

    /// A handler's future begins: the endpoint that it borrows.
    pub(crate) fn begin_future(&self) -> Rc<RefCell<Option<E>>> {
        assert_eq!(self.phase.get(), Phase::Ready, "one handler at a time");
        assert!(self.future.get().is_none(), "one future at a time");
        self.phase.set(Phase::Awaiting);
        self.woken.set(false);
        Rc::clone(&self.endpoint)
    }

    /// Drives the future of a route's handler, and answers with what it returns; gives the right to answer back
    /// where it is pending.
    pub(crate) fn drive_future<'r, R: Payload>(
        &self,
        dispatcher: &Rc<Dispatcher>,
        (route, name): (usize, &str),
        reply: Reply<'r>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<Result<Option<R>, RpcError>>,
    ) -> Option<Reply<'r>> {
        let mut context = Context::from_waker(&self.waker);
        let ran = match catch_unwind(AssertUnwindSafe(|| poll(&mut context))) {
            Ok(Poll::Pending) => {
                self.future.set(Some(route));
                return Some(reply);
            }
            Ok(Poll::Ready(outcome)) => Ok(outcome),
            Err(panic) => Err(panic),
        };
        self.metrics.handled.add(1);
        match ran {
            Ok(Ok(Some(value))) => reply.reply(value),
            Ok(Ok(None)) => {}
            // The caller's alone.
            Ok(Err(error)) if !reply.is_one_way() => reply.fail(&error),
            ran => {
                if let Some(error) = self.outcome(ran.map(|ran| ran.map(drop)), name) {
                    reply.fail(&error);
                    self.on_error(error);
                }
            }
        }
        self.returned(dispatcher);
        None
    }

    /// Drives the handler's future, which has been woken; true where it is done.
    fn poll_future(&self, dispatcher: &Rc<Dispatcher>) -> bool {
        if let Some(route) = self.future.take() {
            self.routes[route].route.go_on(self, dispatcher);
        }
        self.phase.get() != Phase::Awaiting
    }

    /// A peer's message that no route takes.
    pub(super) fn run_any_remote(
        &self,
        dispatcher: &Rc<Dispatcher>,
        id: MessageId,
        message: &mut FromPeer<'_>,
    ) {
        let any = AnyMessage {
            id,
            form: AnyForm::Archived(message.body),
            peer: Some(message.peer),
            endpoint: &self.face,
        };
        self.run_any(dispatcher, any, message.reply.take());
    }

    fn run_any_local(&self, dispatcher: &Rc<Dispatcher>, message: Unrouted) {
        let any = AnyMessage {
            id: message.id,
            form: AnyForm::Local {
                value: message.value,
                name: message.name,
            },
            peer: None,
            endpoint: &self.face,
        };
        self.run_any(dispatcher, any, message.reply);
    }

    fn run_any(&self, dispatcher: &Rc<Dispatcher>, message: AnyMessage<'_>, reply: Reply<'_>) {
        self.phase.set(Phase::Handling);
        self.metrics.handled.add(1);
        let (one_way, call) = (reply.is_one_way(), Call::new(dispatcher, reply));
        let ran = self.with_endpoint(|endpoint| match one_way {
            true => endpoint.receive(message),
            false => endpoint.receive_and_reply(message, AnyCallContext { slot: &call }),
        });
        match ran {
            Ok(Ok(())) => call.finish(None, || self.no_reply()),
            ran if one_way => self.failed(ran, "receive", &call),
            ran => self.failed(ran, "receive_and_reply", &call),
        }
        self.returned(dispatcher);
    }

    /// Everything has been handled: the last hook.
    fn end(&self, dispatcher: &Rc<Dispatcher>) {
        assert!(
            self.stopping.get() && self.depth.get() == 0,
            "on_stop comes last"
        );
        assert!(
            self.future.get().is_none(),
            "on_stop comes after every handler"
        );
        self.hook("on_stop", RpcEndpoint::on_stop);
        self.phase.set(Phase::Stopped);
        self.drop_endpoint();
        dispatcher.inbox_ended(self.serial);
    }

    pub(super) fn drop_endpoint(&self) {
        self.broken.set(false);
        let endpoint = self.endpoint.borrow_mut().take();
        // A panic of the endpoint's own drop is its own.
        if catch_unwind(AssertUnwindSafe(|| drop(endpoint))).is_err() {
            tracing::error!(target: "ringrail::rpc", endpoint = %self.face.text, "its drop panicked");
        }
    }

    /// Ends without handling what waits.
    pub(super) fn give_up(&self, dispatcher: &Rc<Dispatcher>) {
        if self.phase.get() == Phase::Stopped {
            return;
        }
        if let Some(route) = self.future.take() {
            self.routes[route].route.drop_future();
        }
        // Asks of this process are failed by their tables.
        while let Some((queued, _)) = self.pop() {
            let dropped = match queued.item {
                Item::Local(route) => self.routes[route].route.drop_local(),
                Item::Unrouted(message) => message.reply.is_one_way().then_some(message.name),
                Item::Remote | Item::Event(_) => None,
            };
            if let Some(name) = dropped {
                let cause = dispatcher.cause_of_end();
                dispatcher.env().lost(self.me.target(), name, cause);
            }
        }
        for lines in [&self.urgent, &self.queue] {
            for item in lines.remote.take() {
                item.abandon(dispatcher, self.me.target());
            }
        }
        if self.phase.get() != Phase::Handling {
            self.end(dispatcher);
        }
    }
}

/// A panic as an error.
fn panicked(panic: &(dyn Any + Send), name: &str) -> RpcError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| String::from("with something that is no text"));
    RpcError::Panicked {
        message: name.into(),
        text: text.into(),
    }
}
