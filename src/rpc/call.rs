//! How a handler answers: at once, later on its thread, or later from anywhere.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use ringrail_codec::archive::Encode;
use ringrail_transport::Responder;
use rkyv::Archive;

use super::body::encode_aligned;
use super::env::EnvShared;
use super::message::{Payload, read};
use super::node::Node;
use super::peer::Peer;
use super::received::sender_of;
use super::reply_to::{Answerer, Later, WireCall};
use super::{RpcAddress, RpcEnv, RpcError};

/// What the dispatcher keeps of a call while its handler runs, so that a handler's error can still
/// reach the caller.
pub(crate) trait Running<R: Payload> {
    /// What the handler gets.
    fn context<'a>(&'a self, peer: Option<&'a Arc<Peer>>) -> RpcCallContext<'a, R>;

    /// The handler has returned; what is still to be answered is.
    fn finish(&self, failed: Option<&RpcError>, unanswered: impl FnOnce() -> RpcError);
}

/// The usual call: a peer's, over one of the engine's connections, whose reply need not be remembered.
pub(crate) struct PlainCall<'r> {
    node: &'r Rc<Node>,
    responder: Cell<Option<Responder<'r>>>,
}

impl<'r> PlainCall<'r> {
    #[inline]
    pub(crate) fn new(node: &'r Rc<Node>, responder: Responder<'r>) -> Self {
        Self {
            node,
            responder: Cell::new(Some(responder)),
        }
    }

    fn answerer<R: Payload>(&self) -> Option<Answerer<'r, R>> {
        let call = WireCall::Responder(self.responder.take()?);
        Some(Answerer::Wire(call))
    }
}

impl<R: Payload> Running<R> for PlainCall<'_> {
    #[inline(always)]
    fn context<'a>(&'a self, peer: Option<&'a Arc<Peer>>) -> RpcCallContext<'a, R> {
        RpcCallContext { slot: self, peer }
    }

    #[inline(always)]
    fn finish(&self, failed: Option<&RpcError>, unanswered: impl FnOnce() -> RpcError) {
        if let Some(responder) = self.responder.take() {
            fail(responder, failed, unanswered);
        }
    }
}

#[cold]
fn fail(
    responder: Responder<'_>,
    failed: Option<&RpcError>,
    unanswered: impl FnOnce() -> RpcError,
) {
    match failed {
        Some(error) => responder.fail(&error.to_failure()),
        None => responder.fail(&unanswered().to_failure()),
    }
}

impl<R: Payload> CallSlot<R> for PlainCall<'_> {
    #[inline]
    fn reply(&self, value: R) {
        if let Some(responder) = self.responder.take() {
            responder.reply_archive(&value);
        }
    }

    fn fail(&self, error: RpcError) {
        if let Some(responder) = self.responder.take() {
            responder.fail(&error.to_failure());
        }
    }

    fn hold(&self) -> HeldCall<R> {
        held(self.node, self.answerer())
    }

    fn later(&self) -> Later {
        later(self.node, self.answerer::<R>())
    }

    fn reply_to_peer(&self, reply: &mut dyn FnMut(WireCall<'_>)) -> bool {
        if let Some(responder) = self.responder.take() {
            reply(WireCall::Responder(responder));
        }
        false
    }

    fn deadline_ns(&self) -> u64 {
        let responder = self.responder.take();
        let deadline_ns = responder.as_ref().map_or(u64::MAX, Responder::deadline_ns);
        self.responder.set(responder);
        deadline_ns
    }

    fn is_one_way(&self) -> bool {
        false
    }

    fn env(&self) -> &Arc<EnvShared> {
        self.node.env()
    }
}

fn held<R: Payload>(node: &Rc<Node>, answerer: Option<Answerer<'_, R>>) -> HeldCall<R> {
    let answerer = answerer.map_or(Answerer::OneWay, Answerer::hold);
    HeldCall::new(Rc::clone(node), answerer)
}

fn later<R: Payload>(node: &Node, answerer: Option<Answerer<'_, R>>) -> Later {
    answerer.map_or(Later::OneWay, |answerer| answerer.later(node.handle()))
}

/// Any other call.
pub(crate) struct Call<'r, R: Payload> {
    node: &'r Rc<Node>,
    answerer: RefCell<Option<Answerer<'r, R>>>,
    /// An answer to this process waits until the handler has returned: whoever asked may ask on.
    ready: Cell<Option<Result<R, RpcError>>>,
}

/// The part of a call that a context needs, without its lifetime.
trait CallSlot<R: Payload> {
    fn reply(&self, value: R);
    fn fail(&self, error: RpcError);
    fn hold(&self) -> HeldCall<R>;
    fn later(&self) -> Later;
    /// Gives a peer's call to `reply`; true where the answer goes to this process instead.
    fn reply_to_peer(&self, reply: &mut dyn FnMut(WireCall<'_>)) -> bool;
    fn deadline_ns(&self) -> u64;
    fn is_one_way(&self) -> bool;
    fn env(&self) -> &Arc<EnvShared>;
}

impl<'r, R: Payload> Call<'r, R> {
    #[inline]
    pub(crate) fn new(node: &'r Rc<Node>, answerer: Answerer<'r, R>) -> Self {
        Self {
            node,
            answerer: RefCell::new(Some(answerer)),
            ready: Cell::new(None),
        }
    }
}

impl<R: Payload> Running<R> for Call<'_, R> {
    #[inline]
    fn context<'a>(&'a self, peer: Option<&'a Arc<Peer>>) -> RpcCallContext<'a, R> {
        RpcCallContext { slot: self, peer }
    }

    #[inline]
    fn finish(&self, failed: Option<&RpcError>, unanswered: impl FnOnce() -> RpcError) {
        let Some(answerer) = self.answerer.take() else {
            return;
        };
        match (self.ready.take(), failed) {
            (Some(Ok(value)), _) => answerer.reply(value),
            (Some(Err(error)), _) => answerer.fail(&error),
            (None, Some(error)) => answerer.fail(error),
            (None, None) => {
                if !matches!(answerer, Answerer::OneWay) {
                    answerer.fail(&unanswered());
                }
            }
        }
    }
}

impl<R: Payload> CallSlot<R> for Call<'_, R> {
    #[inline]
    fn reply(&self, value: R) {
        let mut answerer = self.answerer.borrow_mut();
        if let Some(Answerer::Pending { .. }) = &*answerer {
            self.ready.set(Some(Ok(value)));
        } else if let Some(answerer) = answerer.take() {
            answerer.reply(value);
        }
    }

    fn fail(&self, error: RpcError) {
        let mut answerer = self.answerer.borrow_mut();
        if let Some(Answerer::Pending { .. }) = &*answerer {
            self.ready.set(Some(Err(error)));
        } else if let Some(answerer) = answerer.take() {
            answerer.fail(&error);
        }
    }

    fn hold(&self) -> HeldCall<R> {
        held(self.node, self.answerer.take())
    }

    fn later(&self) -> Later {
        later(self.node, self.answerer.take())
    }

    fn reply_to_peer(&self, reply: &mut dyn FnMut(WireCall<'_>)) -> bool {
        let mut answerer = self.answerer.borrow_mut();
        match answerer.take() {
            Some(Answerer::Wire(call)) => {
                drop(answerer);
                reply(call);
                false
            }
            other => {
                let local = matches!(other, Some(Answerer::Pending { .. }));
                *answerer = other;
                local
            }
        }
    }

    fn deadline_ns(&self) -> u64 {
        let answerer = self.answerer.borrow();
        answerer.as_ref().map_or(u64::MAX, Answerer::deadline_ns)
    }

    fn is_one_way(&self) -> bool {
        matches!(*self.answerer.borrow(), Some(Answerer::OneWay))
    }

    fn env(&self) -> &Arc<EnvShared> {
        self.node.env()
    }
}

/// The right to answer one message (Spark: `RpcCallContext`).
///
/// Answers once: by [`reply`](Self::reply) or [`send_failure`](Self::send_failure). A handler that
/// returns an error without having answered answers with the error; one that returns `Ok` without
/// having answered, nor [kept](Self::later) the call, fails the caller at once (in Spark, it waits
/// until its timeout). Answers to a message that was sent one way go nowhere.
#[must_use = "a call that is dropped fails its caller"]
pub struct RpcCallContext<'a, R: Payload> {
    slot: &'a dyn CallSlot<R>,
    peer: Option<&'a Arc<Peer>>,
}

impl<R: Payload> RpcCallContext<'_, R> {
    /// Replies: serialised into the send buffer for a peer, moved for an ask of this process.
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
        if !self.slot.reply_to_peer(&mut |call| call.reply(&value)) {
            return;
        }
        let owned = encode_aligned(&value)
            .map_err(|error| error.to_string())
            .and_then(|bytes| read::<R>(&bytes).map_err(|error| error.to_string()));
        match owned {
            Ok(value) => self.slot.reply(value),
            Err(error) => self.slot.fail(RpcError::other(format!(
                "the reply cannot be serialised: {error}"
            ))),
        }
    }

    /// Answers with a failure (Spark: `sendFailure`).
    pub fn send_failure(self, error: RpcError) {
        self.slot.fail(error);
    }

    /// Who sent it: where the sender listens, or where its socket is. `None` for messages of this
    /// env where it does not listen.
    pub fn sender_address(&self) -> Option<RpcAddress> {
        sender_of(self.peer, self.slot.env().address())
    }

    /// Whether no answer is wanted.
    pub fn is_one_way(&self) -> bool {
        self.slot.is_one_way()
    }

    /// When the caller stops waiting, in ns of the monotonic clock; `u64::MAX` where that is not
    /// known.
    pub fn deadline_ns(&self) -> u64 {
        self.slot.deadline_ns()
    }

    /// The endpoint's env.
    pub fn env(&self) -> RpcEnv {
        RpcEnv::of_shared(Arc::clone(self.slot.env()))
    }

    /// Keeps the call for an answer later, on this thread. Allocates little.
    pub fn hold(self) -> HeldCall<R> {
        self.slot.hold()
    }

    /// Keeps the call for an answer later, from any thread.
    pub fn later(self) -> LaterCall<R> {
        LaterCall {
            later: Some(self.slot.later()),
            reply: PhantomData,
        }
    }
}

impl<R: Payload> fmt::Debug for RpcCallContext<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcCallContext(from {:?})", self.sender_address())
    }
}

/// What a call that was let go is answered with.
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
    cell: Rc<HeldCell<R>>,
}

struct HeldCell<R: Payload> {
    node: Rc<Node>,
    answerer: Cell<Option<Answerer<'static, R>>>,
}

impl<R: Payload> Drop for HeldCell<R> {
    fn drop(&mut self) {
        if let Some(answerer) = self.answerer.take() {
            answerer.fail(&let_go());
        }
    }
}

impl<R: Payload> HeldCall<R> {
    pub(crate) fn new(node: Rc<Node>, answerer: Answerer<'static, R>) -> Self {
        let answerer = Cell::new(Some(answerer));
        Self {
            cell: Rc::new(HeldCell { node, answerer }),
        }
    }

    /// The same call: what the first of the two answers counts.
    pub(crate) fn share(&self) -> Self {
        Self {
            cell: Rc::clone(&self.cell),
        }
    }

    /// Replies. The callback of whoever asked on this thread runs inside.
    pub fn reply(self, value: R) {
        if let Some(answerer) = self.cell.answerer.take() {
            answerer.reply(value);
        }
    }

    /// Answers with a failure.
    pub fn send_failure(self, error: RpcError) {
        if let Some(answerer) = self.cell.answerer.take() {
            answerer.fail(&error);
        }
    }

    /// Whether nobody waits for an answer any more: work for it can be dropped.
    pub fn is_retracted(&self) -> bool {
        let Some(answerer) = self.cell.answerer.take() else {
            return true;
        };
        let retracted = answerer.is_retracted();
        self.cell.answerer.set(Some(answerer));
        retracted
    }

    /// Whether no answer is wanted.
    pub(crate) fn is_one_way(&self) -> bool {
        let answerer = self.cell.answerer.take();
        let one_way = matches!(answerer, Some(Answerer::OneWay));
        self.cell.answerer.set(answerer);
        one_way
    }

    /// When the caller stops waiting, in ns of the monotonic clock; `u64::MAX` where that is not
    /// known.
    pub fn deadline_ns(&self) -> u64 {
        let answerer = self.cell.answerer.take();
        let deadline_ns = answerer.as_ref().map_or(u64::MAX, Answerer::deadline_ns);
        self.cell.answerer.set(answerer);
        deadline_ns
    }

    /// For an answer from any thread.
    pub fn later(self) -> LaterCall<R> {
        let answerer = self.cell.answerer.take();
        let later = answerer.map_or(Later::OneWay, |answerer| {
            answerer.later(self.cell.node.handle())
        });
        LaterCall {
            later: Some(later),
            reply: PhantomData,
        }
    }
}

impl<R: Payload> fmt::Debug for HeldCall<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldCall")
    }
}

/// A call that can be answered later, from any thread.
///
/// Dropped unanswered, it fails the caller.
pub struct LaterCall<R: Payload> {
    later: Option<Later>,
    reply: PhantomData<fn(R)>,
}

impl<R: Payload> LaterCall<R> {
    /// Replies.
    pub fn reply(mut self, value: R) {
        if let Some(later) = self.later.take() {
            later.reply(value);
        }
    }

    /// Answers with a failure.
    pub fn send_failure(mut self, error: RpcError) {
        if let Some(later) = self.later.take() {
            later.fail::<R>(error);
        }
    }

    /// Whether nobody waits for an answer any more: work for it can be dropped.
    pub fn is_retracted(&self) -> bool {
        self.later.as_ref().is_none_or(Later::is_retracted)
    }
}

impl<R: Payload> Drop for LaterCall<R> {
    fn drop(&mut self) {
        if let Some(later) = self.later.take() {
            later.fail::<R>(let_go());
        }
    }
}

impl<R: Payload> fmt::Debug for LaterCall<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LaterCall(retracted: {})", self.is_retracted())
    }
}
