//! How a handler answers: at once, later on its thread, or later from anywhere.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use ringrail_codec::archive::Encode;
use ringrail_transport::Responder;
use rkyv::Archive;

use super::body::encode_aligned;
use super::dispatcher::Dispatcher;
use super::message::{Payload, read};
use super::peer::Peer;
use super::received::sender_of;
use super::reply::{Reply, SendReply};
use super::shared::EnvShared;
use super::{RpcAddress, RpcError};

/// A call while its handler runs: the handle stays here, so that a handler's error can still reach the caller.
pub(crate) struct Call<'r, A> {
    dispatcher: &'r Rc<Dispatcher>,
    /// `None` once it is answered or kept.
    answer: Cell<Option<A>>,
}

/// A handle that a running call answers by: the usual one, a connection's, by itself, so that it costs no more.
pub(crate) trait Answering<'r>: Into<Reply<'r>> {
    fn reply<R: Payload>(self, value: R);

    /// Whether no answer is wanted, and the time at which nobody waits any more.
    fn terms(&self) -> (bool, u64);
}

impl<'r> From<Responder<'r>> for Reply<'r> {
    #[inline]
    fn from(responder: Responder<'r>) -> Self {
        Reply::Responder(responder)
    }
}

impl<'r> Answering<'r> for Responder<'r> {
    #[inline(always)]
    fn reply<R: Payload>(self, value: R) {
        self.reply_archive(&value);
    }

    fn terms(&self) -> (bool, u64) {
        (false, self.deadline_ns())
    }
}

impl<'r> Answering<'r> for Reply<'r> {
    #[inline(always)]
    fn reply<R: Payload>(self, value: R) {
        Reply::reply(self, value);
    }

    fn terms(&self) -> (bool, u64) {
        (self.is_one_way(), self.deadline_ns())
    }
}

/// A call without its lifetime, for contexts.
pub(crate) trait CallSlot {
    /// Gives the handle to `then`; `OneWay` once the call is answered.
    fn with(&self, then: &mut dyn FnMut(Reply<'_>));

    /// The thread that the handler runs on.
    fn dispatcher(&self) -> &Rc<Dispatcher>;

    /// Whether no answer is wanted, and the time at which nobody waits any more.
    fn terms(&self) -> (bool, u64);
}

/// A call of a message whose reply is an `R`.
pub(crate) trait TypedSlot<R: Payload>: CallSlot {
    fn reply(&self, value: R);
}

impl<'r, A: Answering<'r>> Call<'r, A> {
    #[inline]
    pub(crate) fn new(dispatcher: &'r Rc<Dispatcher>, answer: A) -> Self {
        Self {
            dispatcher,
            answer: Cell::new(Some(answer)),
        }
    }

    /// The context for a handler of a typed message.
    #[inline(always)]
    pub(crate) fn context<'a, R: Payload>(
        &'a self,
        peer: Option<&'a Arc<Peer>>,
    ) -> RpcCallContext<'a, R> {
        RpcCallContext { slot: self, peer }
    }

    /// The handler has returned; a call that it has neither answered nor kept fails.
    #[inline(always)]
    pub(crate) fn finish(&self, failed: Option<&RpcError>, unanswered: impl FnOnce() -> RpcError) {
        if let Some(answer) = self.answer.take() {
            fail(answer.into(), failed, unanswered);
        }
    }
}

#[cold]
fn fail(reply: Reply<'_>, failed: Option<&RpcError>, unanswered: impl FnOnce() -> RpcError) {
    match failed {
        _ if reply.is_one_way() => {}
        Some(error) => reply.fail(error),
        None => reply.fail(&unanswered()),
    }
}

impl<'r, A: Answering<'r>> CallSlot for Call<'r, A> {
    fn with(&self, then: &mut dyn FnMut(Reply<'_>)) {
        then(self.answer.take().map_or(Reply::OneWay, Into::into));
    }

    fn dispatcher(&self) -> &Rc<Dispatcher> {
        self.dispatcher
    }

    fn terms(&self) -> (bool, u64) {
        let answer = self.answer.take();
        let terms = answer.as_ref().map_or((false, u64::MAX), A::terms);
        self.answer.set(answer);
        terms
    }
}

impl<'r, R: Payload, A: Answering<'r>> TypedSlot<R> for Call<'r, A> {
    #[inline]
    fn reply(&self, value: R) {
        if let Some(answer) = self.answer.take() {
            answer.reply(value);
        }
    }
}

/// The right to answer one message (Spark: `RpcCallContext`).
///
/// Answers once: by [`reply`](Self::reply) or [`send_failure`](Self::send_failure). A handler that
/// returns an error without having answered answers with the error; one that returns `Ok` without
/// having answered, nor [kept](Self::defer) the call, fails the caller at once (in Spark, it waits
/// until its timeout). Answers to a message that was sent one way go nowhere.
#[must_use = "a call that is dropped fails its caller"]
pub struct RpcCallContext<'a, R: Payload> {
    slot: &'a dyn TypedSlot<R>,
    peer: Option<&'a Arc<Peer>>,
}

impl<R: Payload> RpcCallContext<'_, R> {
    /// Replies: serialised into the send buffer for a peer, moved for an ask of this process. The callback of
    /// whoever asked on this thread runs inside.
    #[inline]
    pub fn reply(self, value: R) {
        self.slot.reply(value);
    }

    /// Replies with something else that has the same archive: a [`Slice`] of what was received in place of a
    /// `Vec`, a [`Text`] in place of a `String`, or a struct of these that shares its archived type. Serialised into
    /// the send buffer for a peer, without an owned value in between; an ask of this process gets an owned
    /// value, which is made here.
    ///
    /// ```
    /// # use ringrail::rpc::{FnEndpoint, Message, Payload, Slice, View};
    /// # use rkyv::{Archive, Deserialize, Serialize};
    /// #[derive(Archive, Serialize, Deserialize)]
    /// struct Echo(Vec<u8>);
    /// impl Message for Echo {
    ///     type Reply = Vec<u8>;
    ///     const NAME: &'static str = "echo.Echo";
    /// }
    ///
    /// let endpoint = FnEndpoint::new().on::<Echo>(|echo, call| {
    ///     call.reply_as(match echo.view() {
    ///         View::Archived(echo) => Slice(&echo.0),
    ///         View::Local(echo) => Slice(&echo.0),
    ///     });
    ///     Ok(())
    /// });
    /// ```
    ///
    /// [`Slice`]: super::Slice
    /// [`Text`]: super::Text
    pub fn reply_as<T>(self, value: T)
    where
        T: Encode + Archive<Archived = R::Archived>,
    {
        self.slot.with(&mut |reply| match reply {
            Reply::Pending(..) => match owned::<R>(&value) {
                Ok(value) => reply.reply(value),
                Err(error) => reply.fail(&error),
            },
            wire => wire.reply_archive(&value),
        });
    }

    /// Answers with a failure (Spark: `sendFailure`).
    pub fn send_failure(self, error: RpcError) {
        self.slot.with(&mut |reply| reply.fail(&error));
    }

    /// The sender's address: the one it listens at, or its socket's. `None` for messages of this
    /// env where it does not listen.
    pub fn sender_address(&self) -> Option<RpcAddress> {
        sender_of(self.peer, self.shared_env().address())
    }

    /// Whether no answer is wanted.
    pub fn is_one_way(&self) -> bool {
        self.slot.terms().0
    }

    /// When the caller stops waiting, in ns of the monotonic clock; `u64::MAX` where that is not
    /// known.
    pub fn deadline_ns(&self) -> u64 {
        self.slot.terms().1
    }

    pub(crate) fn shared_env(&self) -> &Arc<EnvShared> {
        self.slot.dispatcher().env()
    }

    /// Keeps the call for an answer later, on this thread. Allocates little.
    pub fn hold(self) -> HeldCall<R> {
        let mut held = Reply::OneWay;
        self.slot.with(&mut |reply| held = reply.hold());
        HeldCall::new(Rc::clone(self.slot.dispatcher()), held)
    }

    /// Keeps the call for an answer later, from any thread.
    pub fn defer(self) -> DeferredCall<R> {
        let mut later = SendReply::OneWay;
        let host = self.slot.dispatcher().handle();
        self.slot.with(&mut |reply| later = reply.send(host));
        DeferredCall::new(later)
    }
}

/// An owned reply of the archive of `value`.
fn owned<R: Payload>(value: &impl Encode) -> Result<R, RpcError> {
    let bytes = encode_aligned(value).map_err(|error| RpcError::unserialisable_reply(&error))?;
    read::<R>(&bytes).map_err(|error| RpcError::unserialisable_reply(&error))
}

debug_text!([R: Payload] RpcCallContext<'_, R>, |this| "RpcCallContext(from {:?})", this.sender_address());

/// The error that answers a call that was let go.
pub(crate) fn let_go() -> RpcError {
    if std::thread::panicking() {
        return RpcError::Panicked {
            message: "a message".into(),
            text: "its log says why".into(),
        };
    }
    RpcError::NoReply {
        endpoint: "the endpoint".into(),
    }
}

/// A call that is kept on its thread, to be answered there.
///
/// Dropped unanswered, it fails the caller.
pub struct HeldCall<R: Payload> {
    cell: Rc<HeldCell>,
    reply: PhantomData<fn(R)>,
}

struct HeldCell {
    dispatcher: Rc<Dispatcher>,
    /// `OneWay` once it is answered, here or by what shares it.
    reply: Cell<Reply<'static>>,
}

impl Drop for HeldCell {
    fn drop(&mut self) {
        match self.reply.take() {
            Reply::OneWay => {}
            reply => reply.fail(&let_go()),
        }
    }
}

impl<R: Payload> HeldCall<R> {
    pub(crate) fn new(dispatcher: Rc<Dispatcher>, reply: Reply<'static>) -> Self {
        let reply = Cell::new(reply);
        Self {
            cell: Rc::new(HeldCell { dispatcher, reply }),
            reply: PhantomData,
        }
    }

    fn of_reply<T>(&self, of: impl FnOnce(&Reply<'static>) -> T) -> T {
        let reply = self.cell.reply.take();
        let it = of(&reply);
        self.cell.reply.set(reply);
        it
    }

    /// The same call: what the first of the two answers counts.
    pub(crate) fn share(&self) -> Self {
        Self {
            cell: Rc::clone(&self.cell),
            reply: PhantomData,
        }
    }

    /// Replies. The callback of whoever asked on this thread runs inside.
    pub fn reply(self, value: R) {
        self.cell.reply.take().reply(value);
    }

    /// Answers with a failure.
    pub fn send_failure(self, error: RpcError) {
        self.cell.reply.take().fail(&error);
    }

    /// Whether nobody waits for an answer any more: work for it can be dropped.
    pub fn is_retracted(&self) -> bool {
        self.of_reply(Reply::is_retracted)
    }

    /// Whether no answer is wanted.
    pub(crate) fn is_one_way(&self) -> bool {
        self.of_reply(Reply::is_one_way)
    }

    /// When the caller stops waiting, in ns of the monotonic clock; `u64::MAX` where that is not
    /// known.
    pub fn deadline_ns(&self) -> u64 {
        self.of_reply(Reply::deadline_ns)
    }

    /// For an answer from any thread.
    pub fn defer(self) -> DeferredCall<R> {
        let reply = self.cell.reply.take();
        DeferredCall::new(reply.send(self.cell.dispatcher.handle()))
    }
}

debug_text!([R: Payload] HeldCall<R>, |_this| "HeldCall");

/// A call that can be answered later, from any thread.
///
/// Dropped unanswered, it fails the caller.
pub struct DeferredCall<R: Payload> {
    later: Option<SendReply>,
    reply: PhantomData<fn(R)>,
}

impl<R: Payload> DeferredCall<R> {
    fn new(later: SendReply) -> Self {
        Self {
            later: Some(later),
            reply: PhantomData,
        }
    }

    /// Replies.
    pub fn reply(mut self, value: R) {
        if let Some(later) = self.later.take() {
            later.reply(value);
        }
    }

    /// Answers with a failure.
    pub fn send_failure(mut self, error: RpcError) {
        if let Some(later) = self.later.take() {
            later.fail(&error);
        }
    }

    /// Whether nobody waits for an answer any more: work for it can be dropped.
    pub fn is_retracted(&self) -> bool {
        self.later.as_ref().is_none_or(SendReply::is_retracted)
    }
}

impl<R: Payload> Drop for DeferredCall<R> {
    fn drop(&mut self) {
        if let Some(later) = self.later.take() {
            later.fail(&let_go());
        }
    }
}

debug_text!([R: Payload] DeferredCall<R>, |this| "DeferredCall(retracted: {})", this.is_retracted());
