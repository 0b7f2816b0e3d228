//! Handlers that return their reply, so that none can be forgotten.
//!
//! [`Handler`] and [`HandlerAsync`] stand above [`Handle`] and [`HandleAsync`]: whoever has one of them has the other, and
//! [`RpcEndpoint::Messages`] names the message as before. [`HandledBy`] and [`HandledByFuture`] turn the relation round, so
//! that an interface can be handled by every type that implements it; `#[ringrail::interface]` writes them.
//!
//! Around each of them stands the deadline of its caller, which typed clients inherit ([`time_left`](super::time_left)), and
//! a span of `tracing`, `handle` with the message's name and, of handlers that return at once, the sender, at the level
//! debug of the target `ringrail::rpc`. Where nobody looks at that level, a span costs the comparison of two numbers.

use super::accepts::Accepts;
use super::call::{HeldCall, RpcCallContext};
use super::endpoint::{Handle, HandleAsync, RpcEndpoint};
use super::error::ENV_STOPPED;
use super::failure::Failure;
use super::function::FnEndpoint;
use super::handler_future::{self, Begin};
use super::message::Message;
use super::received::{Owned, Received};
use super::route::{RouteTable, Run};
use super::{RpcError, handling};

/// Handles messages of one type at once, and returns the reply.
///
/// ```
/// use ringrail::rpc::{Failure, FailureCode, Handler, Received, RpcEndpoint, RpcEnv};
///
/// #[ringrail::message(reply = u64)]
/// struct Add {
///     n: u64,
/// }
///
/// struct Counter(u64);
///
/// impl RpcEndpoint for Counter {
///     type Messages = (Add,);
/// }
///
/// impl Handler<Add> for Counter {
///     fn handle(&mut self, add: Received<'_, Add>) -> Result<u64, Failure> {
///         let n = add.take()?.n; // or `add.access()?.n`, which reads it where it lies
///         let sum = self.0.checked_add(n);
///         self.0 = sum.ok_or_else(|| Failure::new(FailureCode::InvalidArgument, "too much"))?;
///         Ok(self.0)
///     }
/// }
///
/// let env = RpcEnv::builder("counters").backend("local").build()?;
/// let counter = env.setup_endpoint("counter", Counter(0))?;
/// assert_eq!(counter.ask_blocking(Add { n: 2 })?, 2);
/// let error = counter.ask_blocking(Add { n: u64::MAX }).unwrap_err();
/// assert_eq!(error.code(), FailureCode::InvalidArgument);
/// # Ok::<(), ringrail::rpc::RpcError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no handler for messages of type `{M}` that returns its reply",
    note = "write `impl Handler<{M}> for {Self}`"
)]
pub trait Handler<M: Message>: RpcEndpoint {
    /// Handles one. What it returns is the answer; of a message that wants none, a reply is dropped.
    ///
    /// # Errors
    /// Go to the caller. Those about a message that wants no reply go to [`on_error`](RpcEndpoint::on_error) instead.
    fn handle(&mut self, message: Received<'_, M>) -> Result<M::Reply, Failure>;
}

/// Handles messages of one type by a future, which returns the reply; `Async<M>` in
/// [`Messages`](RpcEndpoint::Messages). See [`HandleAsync`] for where it runs, and what it must not await.
pub trait HandlerAsync<M: Message>: RpcEndpoint {
    /// Handles one.
    ///
    /// # Errors
    /// As those of [`Handler::handle`].
    ///
    /// # Cancel safety
    /// Dropped in the middle where the env is shut down and does not end in time.
    fn handle(&mut self, message: Owned<M>) -> impl Future<Output = Result<M::Reply, Failure>>;
}

impl<E: Handler<M>, M: Message> Handle<M> for E {
    #[inline]
    fn handle(
        &mut self,
        message: Received<'_, M>,
        call: RpcCallContext<'_, M::Reply>,
    ) -> Result<(), RpcError> {
        let interceptors = self.interceptors().cloned();
        let handle = || <Self as Handler<M>>::handle(self, message);
        answer(
            handling::now::<M>(&call, interceptors.as_ref(), handle),
            call,
        )
    }
}

impl<E: HandlerAsync<M>, M: Message> HandleAsync<M> for E {
    async fn handle(
        &mut self,
        message: Owned<M>,
        call: HeldCall<M::Reply>,
    ) -> Result<(), RpcError> {
        let interceptors = self.interceptors().cloned();
        let handle = <Self as HandlerAsync<M>>::handle(self, message);
        let outcome = handling::by_future::<M>(call.deadline_ns(), interceptors, handle).await;
        answer_held(outcome, call)
    }

    fn add_to(table: &mut RouteTable<Self>) {
        table.add::<M>(Run::Future(handler_future::boxed(
            false,
            returning::<Self, M>,
        )));
    }
}

#[expect(
    clippy::await_holding_refcell_ref,
    reason = "the inbox runs nothing else of this endpoint until the future is done"
)]
async fn returning<E: HandlerAsync<M>, M: Message>(
    begin: Begin<E, M>,
) -> Result<Option<M::Reply>, RpcError> {
    let mut endpoint = begin.endpoint.borrow_mut();
    let endpoint = endpoint.as_mut().ok_or(ENV_STOPPED)?;
    let interceptors = endpoint.interceptors().cloned();
    let handle = <E as HandlerAsync<M>>::handle(endpoint, begin.message);
    let outcome = handling::by_future::<M>(begin.deadline_ns, interceptors, handle).await;
    Ok(Some(outcome?))
}

/// A message that endpoints of type `E` handle at once, by what they implement. Written by `#[ringrail::interface]`.
pub trait HandledBy<E: RpcEndpoint>: Message {
    /// Has `endpoint` handle it.
    ///
    /// # Errors
    /// As those of [`Handler::handle`].
    fn handle_by(message: Received<'_, Self>, endpoint: &mut E) -> Result<Self::Reply, Failure>;
}

/// A message that endpoints of type `E` handle by a future, by what they implement. Written by `#[ringrail::interface]`.
pub trait HandledByFuture<E: RpcEndpoint>: Message {
    /// Has `endpoint` handle it.
    ///
    /// # Errors
    /// As those of [`Handler::handle`].
    ///
    /// # Cancel safety
    /// As that of [`HandlerAsync::handle`].
    fn handle_by(
        message: Owned<Self>,
        endpoint: &mut E,
    ) -> impl Future<Output = Result<Self::Reply, Failure>>;
}

/// By [`HandledBy`].
#[derive(Clone, Copy, Debug)]
pub enum ByInterface {}

/// By [`HandledByFuture`].
#[derive(Clone, Copy, Debug)]
pub enum ByInterfaceFuture {}

impl<E: RpcEndpoint, M: HandledBy<E>> Accepts<M, ByInterface> for E {}
impl<E: RpcEndpoint, M: HandledByFuture<E>> Accepts<M, ByInterfaceFuture> for E {}

impl<E: RpcEndpoint> RouteTable<E> {
    /// Adds a message by its [`HandledBy`].
    pub fn add_handled<M: HandledBy<E>>(&mut self) {
        self.add::<M>(Run::Now(|endpoint, _, message, call| {
            let interceptors = endpoint.interceptors().cloned();
            let handle = || M::handle_by(message, endpoint);
            answer(
                handling::now::<M>(&call, interceptors.as_ref(), handle),
                call,
            )
        }));
    }

    /// Adds a message by its [`HandledByFuture`].
    pub fn add_handled_by_future<M: HandledByFuture<E>>(&mut self) {
        let make = returning_by_interface::<E, M>;
        self.add::<M>(Run::Future(handler_future::boxed(false, make)));
    }
}

#[expect(
    clippy::await_holding_refcell_ref,
    reason = "the inbox runs nothing else of this endpoint until the future is done"
)]
async fn returning_by_interface<E: RpcEndpoint, M: HandledByFuture<E>>(
    begin: Begin<E, M>,
) -> Result<Option<M::Reply>, RpcError> {
    let mut endpoint = begin.endpoint.borrow_mut();
    let endpoint = endpoint.as_mut().ok_or(ENV_STOPPED)?;
    let interceptors = endpoint.interceptors().cloned();
    let handle = M::handle_by(begin.message, endpoint);
    let outcome = handling::by_future::<M>(begin.deadline_ns, interceptors, handle).await;
    Ok(Some(outcome?))
}

impl FnEndpoint {
    /// Handles `M` by a function that returns the reply. Of two for the same type, the first counts.
    ///
    /// ```
    /// use ringrail::rpc::{FnEndpoint, RpcEnv};
    ///
    /// #[ringrail::message(reply = u64)]
    /// struct Double(u64);
    ///
    /// let env = RpcEnv::builder("maths").backend("local").build()?;
    /// let maths = FnEndpoint::new().answer::<Double>(|number| Ok(2 * number.take()?.0));
    /// let maths = env.setup_endpoint("maths", maths)?;
    /// assert_eq!(maths.ask_blocking(Double(21))?, 42);
    /// # Ok::<(), ringrail::rpc::RpcError>(())
    /// ```
    #[must_use]
    pub fn answer<M: Message>(
        self,
        mut function: impl FnMut(Received<'_, M>) -> Result<M::Reply, Failure> + Send + 'static,
    ) -> Self {
        self.on::<M>(move |message, call| {
            let handle = || function(message);
            answer(handling::now::<M>(&call, None, handle), call)
        })
    }
}

/// Answers with what a handler returned.
///
/// # Errors
/// A failure that no caller waits for.
#[inline]
fn answer<R: super::Payload>(
    outcome: Result<R, Failure>,
    call: RpcCallContext<'_, R>,
) -> Result<(), RpcError> {
    match outcome {
        Ok(reply) => call.reply(reply),
        Err(failure) if call.is_one_way() => return Err(failure.into_error()),
        Err(failure) => call.send_failure(failure.into_error()),
    }
    Ok(())
}

/// As [`answer`], for a call that was held.
///
/// # Errors
/// A failure that no caller waits for.
fn answer_held<R: super::Payload>(
    outcome: Result<R, Failure>,
    call: HeldCall<R>,
) -> Result<(), RpcError> {
    match outcome {
        Ok(reply) => call.reply(reply),
        Err(failure) if call.is_one_way() => return Err(failure.into_error()),
        Err(failure) => call.send_failure(failure.into_error()),
    }
    Ok(())
}
