//! The right to answer one call: [`Reply`] on the thread that has the call, [`SendReply`] for any thread.
//!
//! ```text
//! connection ─► Reply ─┬─ handler returns: reply, fail
//!                      ├─ hold ─► Reply<'static>, on this thread
//!                      └─ send ─► SendReply ─► (any thread) ─► Dispatcher::reply_of ─► Reply<'static>
//! ```
//!
//! A call that may be repeated carries its token in the handle ([`Reply::Once`]), so that every answer goes
//! through the replies that are remembered.

mod answer;
mod cache;
mod from_peer;

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringrail_codec::archive::Encode;
use ringrail_transport::Responder;
use ringrail_transport::server::{DeferredResponder, HeldResponder};

use super::body::AlignedBytes;
use super::error::RpcError;
use super::message::Payload;
use super::received::Received;
use super::replies::{AnyReplies, Replies};
use super::thread::ThreadHandle;

pub(crate) use answer::{Answer, NewAnswer};
pub(crate) use cache::{OnceCall, ReplyCache};
pub(crate) use from_peer::{FromPeer, PeerMessage};

/// The destination of the answer to one call.
#[derive(Default)]
pub(crate) enum Reply<'r> {
    /// Nobody wants one.
    #[default]
    OneWay,
    /// To a peer, while the handler runs.
    Responder(Responder<'r>),
    /// To a peer, from its connection's thread.
    Held(HeldResponder),
    /// To a peer whose connection lives on another thread. Boxed, so that the usual ones stay small.
    Deferred(Box<DeferredResponder>),
    /// To a peer over a connection in memory.
    Memory(Box<Answer>),
    /// To a peer that may repeat the request: the reply is remembered.
    Once(Box<OnceCall>),
    /// To an ask of this thread.
    Pending(Rc<dyn AnyReplies>, u64),
}

impl Reply<'_> {
    /// The handle, with none left in its place.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    #[inline]
    pub(crate) fn is_one_way(&self) -> bool {
        matches!(self, Reply::OneWay)
    }

    /// Answers with a value. For an ask of this thread it must be of the type that is waited for.
    #[inline(always)]
    pub(crate) fn reply<R: Payload>(self, value: R) {
        match self {
            Reply::Pending(replies, key) => {
                let table: &dyn Any = &*replies;
                match table.downcast_ref::<Replies<R>>() {
                    Some(table) => table.settle(key, Ok(Received::local(value))),
                    None => replies.fail(key, wrong_type::<R>()),
                }
            }
            wire => wire.reply_archive(&value),
        }
    }

    /// Answers a peer with the archive of `value`.
    #[inline(always)]
    pub(crate) fn reply_archive(self, value: &impl Encode) {
        match self {
            Reply::Responder(responder) => responder.reply_archive(value),
            Reply::Held(held) => held.reply_archive(value),
            Reply::Deferred(deferred) => reply_deferred(*deferred, value),
            Reply::Memory(answer) => answer.reply(value),
            Reply::Once(call) => call.reply(value),
            Reply::OneWay => {}
            Reply::Pending(..) => unreachable!("an ask of this thread gets values, not archives"),
        }
    }

    /// Answers a peer with an archive that has been made already.
    pub(crate) fn reply_bytes(self, bytes: &Arc<AlignedBytes>) {
        match self {
            Reply::Responder(responder) => responder.reply(bytes),
            Reply::Held(held) => held.reply(bytes),
            Reply::Deferred(deferred) => deferred.reply(bytes::Bytes::copy_from_slice(bytes)),
            Reply::Memory(answer) => answer.reply_bytes(bytes),
            Reply::Once(call) => call.reply_bytes(bytes),
            Reply::OneWay => {}
            Reply::Pending(..) => unreachable!("an ask of this thread gets values, not archives"),
        }
    }

    #[cold]
    pub(crate) fn fail(self, error: &RpcError) {
        match self {
            Reply::OneWay => {}
            Reply::Responder(responder) => responder.fail(&error.to_failure()),
            Reply::Held(held) => held.fail(&error.to_failure()),
            Reply::Deferred(deferred) => deferred.fail(error.to_failure()),
            Reply::Memory(answer) => answer.fail(error),
            Reply::Once(call) => call.fail(error),
            Reply::Pending(replies, key) => replies.fail(key, error.clone()),
        }
    }

    /// When nobody waits any more, in ns of the monotonic clock; `u64::MAX` where that is not known.
    pub(crate) fn deadline_ns(&self) -> u64 {
        match self {
            Reply::Responder(responder) => responder.deadline_ns(),
            Reply::Held(held) => held.deadline_ns(),
            Reply::Deferred(deferred) => deferred.deadline_ns(),
            Reply::Memory(answer) => answer.deadline_ns,
            Reply::Once(call) => call.deadline_ns(),
            Reply::Pending(replies, key) => replies.deadline_ns(*key),
            Reply::OneWay => u64::MAX,
        }
    }

    /// Whether the caller has let go.
    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            Reply::OneWay | Reply::Responder(_) => false,
            Reply::Held(held) => held.is_retracted(),
            Reply::Deferred(deferred) => deferred.is_retracted(),
            Reply::Memory(answer) => answer.is_retracted(),
            Reply::Once(call) => call.is_retracted(),
            Reply::Pending(replies, key) => !replies.is_wanted(*key),
        }
    }

    /// Whether somebody waits for the answer at this time, or it is no matter of answers.
    pub(crate) fn is_wanted(&self, now_ns: u64) -> bool {
        match self {
            Reply::Once(call) => call.is_wanted(now_ns),
            reply => !reply.is_retracted() && reply.deadline_ns() > now_ns,
        }
    }

    /// Beyond the handler's return, on this thread.
    pub(crate) fn hold(self) -> Reply<'static> {
        match self {
            Reply::OneWay => Reply::OneWay,
            Reply::Responder(responder) => Reply::Held(responder.hold()),
            Reply::Held(held) => Reply::Held(held),
            Reply::Deferred(deferred) => Reply::Deferred(deferred),
            Reply::Memory(answer) => Reply::Memory(answer),
            Reply::Once(call) => Reply::Once(call),
            Reply::Pending(replies, key) => Reply::Pending(replies, key),
        }
    }

    /// For any thread; `host` is where it lives.
    pub(crate) fn send(self, host: &Arc<ThreadHandle>) -> SendReply {
        match self {
            Reply::OneWay => SendReply::OneWay,
            Reply::Responder(responder) => SendReply::Deferred(Box::new(responder.defer())),
            Reply::Held(held) => SendReply::Deferred(Box::new(held.defer())),
            Reply::Deferred(deferred) => SendReply::Deferred(deferred),
            Reply::Memory(answer) => SendReply::Memory(answer),
            Reply::Once(call) => call.send(host),
            Reply::Pending(replies, key) => SendReply::Pending {
                host: Arc::clone(host),
                key,
                retracted: replies.retraction(key),
            },
        }
    }
}

fn wrong_type<R>() -> RpcError {
    RpcError::other(format!(
        "the endpoint replied with a {}, which is not the message's reply type",
        std::any::type_name::<R>()
    ))
}

fn reply_deferred(deferred: DeferredResponder, value: &impl Encode) {
    if let Err(deferred) = deferred.reply_archive(value) {
        deferred.fail(RpcError::other("the reply cannot be serialised").to_failure());
    }
}

/// The right to answer one call, for any thread.
#[derive(Debug, Default)]
pub(crate) enum SendReply {
    /// Nobody wants an answer.
    #[default]
    OneWay,
    /// To a peer.
    Deferred(Box<DeferredResponder>),
    /// To a peer over a connection in memory.
    Memory(Box<Answer>),
    /// To a peer that may repeat the request, by the thread that remembers.
    Once {
        host: Arc<ThreadHandle>,
        token: u64,
        repeated: Arc<AtomicBool>,
        reply: Box<SendReply>,
    },
    /// To an ask of that thread.
    Pending {
        host: Arc<ThreadHandle>,
        key: u64,
        retracted: Arc<AtomicBool>,
    },
}

impl SendReply {
    /// Answers where that can be done: here, or on the thread that the handle names. Where that has ended, it
    /// has failed all its asks.
    fn answer(self, answer: impl FnOnce(Reply<'static>) + Send + 'static) {
        match self {
            SendReply::OneWay => {}
            SendReply::Deferred(deferred) => answer(Reply::Deferred(deferred)),
            SendReply::Memory(call) => answer(Reply::Memory(call)),
            SendReply::Once { ref host, .. } | SendReply::Pending { ref host, .. } => {
                let host = Arc::clone(host);
                host.run(move |dispatcher| answer(dispatcher.reply_of(self)));
            }
        }
    }

    pub(crate) fn reply<R: Payload>(self, value: R) {
        self.answer(move |reply| reply.reply(value));
    }

    pub(crate) fn fail(self, error: &RpcError) {
        if let SendReply::OneWay = self {
            tracing::debug!(target: "ringrail::rpc", %error, "a one-way message is dropped");
        }
        let error = error.clone();
        self.answer(move |reply| reply.fail(&error));
    }

    /// Whether the caller has let go.
    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            SendReply::OneWay => false,
            SendReply::Deferred(deferred) => deferred.is_retracted(),
            SendReply::Memory(answer) => answer.is_retracted(),
            SendReply::Once {
                repeated, reply, ..
            } => reply.is_retracted() && !repeated.load(Ordering::Acquire),
            SendReply::Pending { retracted, .. } => retracted.load(Ordering::Acquire),
        }
    }
}
