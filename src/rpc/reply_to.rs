//! Where the answer to one call goes, in its three forms: while the handler runs, kept on the
//! thread, kept for any thread.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringrail_codec::archive::Encode;
use ringrail_transport::Responder;
use ringrail_transport::server::{DeferredResponder, HeldResponder};

use super::body::AlignedBytes;
use super::error::RpcError;
use super::memory::Answer;
use super::message::Payload;
use super::node::{HostHandle, LaterOnce, OnceCall, Replies};
use super::received::Received;

/// A peer's call, while its handler runs or, with `'static`, held on its thread.
pub(crate) enum WireCall<'r> {
    Responder(Responder<'r>),
    Held(HeldResponder),
    // Boxed, so that the usual ones stay small.
    Deferred(Box<DeferredResponder>),
    Memory(Box<Answer>),
    /// One that may be repeated: its reply is remembered.
    Once(Box<OnceCall>),
}

impl WireCall<'_> {
    #[inline(always)]
    pub(crate) fn reply(self, value: &impl Encode) {
        match self {
            WireCall::Responder(responder) => responder.reply_archive(value),
            WireCall::Held(held) => held.reply_archive(value),
            WireCall::Deferred(deferred) => reply_deferred(*deferred, value),
            WireCall::Memory(answer) => answer.reply(value),
            WireCall::Once(call) => call.reply(value),
        }
    }

    /// Answers with an archive that has been made already.
    pub(crate) fn reply_bytes(self, bytes: &Arc<AlignedBytes>) {
        match self {
            WireCall::Responder(responder) => responder.reply(bytes),
            WireCall::Held(held) => held.reply(bytes),
            WireCall::Deferred(deferred) => {
                deferred.reply(bytes::Bytes::copy_from_slice(bytes));
            }
            WireCall::Memory(answer) => answer.reply_bytes(bytes),
            WireCall::Once(call) => call.reply_bytes(bytes),
        }
    }

    #[cold]
    pub(crate) fn fail(self, error: &RpcError) {
        match self {
            WireCall::Responder(responder) => responder.fail(&error.to_failure()),
            WireCall::Held(held) => held.fail(&error.to_failure()),
            WireCall::Deferred(deferred) => deferred.fail(error.to_failure()),
            WireCall::Memory(answer) => answer.fail(error),
            WireCall::Once(call) => call.fail(error),
        }
    }

    /// When nobody waits any more, in ns of the monotonic clock.
    pub(crate) fn deadline_ns(&self) -> u64 {
        match self {
            WireCall::Responder(responder) => responder.deadline_ns(),
            WireCall::Held(held) => held.deadline_ns(),
            WireCall::Deferred(deferred) => deferred.deadline_ns(),
            WireCall::Memory(answer) => answer.deadline_ns,
            WireCall::Once(call) => call.deadline_ns(),
        }
    }

    /// Whether the caller has let go.
    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            WireCall::Responder(_) => false,
            WireCall::Held(held) => held.is_retracted(),
            WireCall::Deferred(deferred) => deferred.is_retracted(),
            WireCall::Memory(answer) => answer.is_retracted(),
            WireCall::Once(call) => call.is_retracted(),
        }
    }

    /// Whether somebody waits for the answer at this time.
    pub(crate) fn is_wanted(&self, now_ns: u64) -> bool {
        match self {
            WireCall::Once(call) => call.is_wanted(now_ns),
            call => !call.is_retracted() && call.deadline_ns() > now_ns,
        }
    }

    /// Beyond the handler's return, on this thread.
    pub(crate) fn hold(self) -> WireCall<'static> {
        match self {
            WireCall::Responder(responder) => WireCall::Held(responder.hold()),
            WireCall::Held(held) => WireCall::Held(held),
            WireCall::Deferred(deferred) => WireCall::Deferred(deferred),
            WireCall::Memory(answer) => WireCall::Memory(answer),
            WireCall::Once(call) => WireCall::Once(call),
        }
    }

    /// For any thread; its reply is not remembered.
    pub(crate) fn send(self) -> SendReply {
        match self {
            WireCall::Responder(responder) => SendReply::Deferred(Box::new(responder.defer())),
            WireCall::Held(held) => SendReply::Deferred(Box::new(held.defer())),
            WireCall::Deferred(deferred) => SendReply::Deferred(deferred),
            WireCall::Memory(answer) => SendReply::Memory(answer),
            WireCall::Once(call) => match call.forget() {
                Some(call) => call.send(),
                None => SendReply::OneWay,
            },
        }
    }
}

fn reply_deferred(deferred: DeferredResponder, value: &impl Encode) {
    if let Err(deferred) = deferred.reply_archive(value) {
        deferred.fail(RpcError::other("the reply cannot be serialised").to_failure());
    }
}

/// A peer's call, for any thread; also that it wants no reply.
#[derive(Debug)]
pub(crate) enum SendReply {
    OneWay,
    Deferred(Box<DeferredResponder>),
    Memory(Box<Answer>),
}

impl SendReply {
    pub(crate) fn fail(self, error: &RpcError) {
        match self {
            SendReply::OneWay => {
                tracing::debug!(target: "ringrail::rpc", %error, "a one-way message is dropped");
            }
            SendReply::Deferred(deferred) => deferred.fail(error.to_failure()),
            SendReply::Memory(answer) => answer.fail(error),
        }
    }

    /// Whether the caller has let go.
    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            SendReply::OneWay => false,
            SendReply::Deferred(deferred) => deferred.is_retracted(),
            SendReply::Memory(answer) => answer.is_retracted(),
        }
    }

    /// On the thread that is to answer it.
    pub(crate) fn arrived(self) -> Option<WireCall<'static>> {
        match self {
            SendReply::OneWay => None,
            SendReply::Deferred(deferred) => Some(WireCall::Deferred(deferred)),
            SendReply::Memory(answer) => Some(WireCall::Memory(answer)),
        }
    }
}

/// Where the answer to one call goes.
pub(crate) enum Answerer<'r, R: Payload> {
    /// Nobody wants one.
    OneWay,
    /// To a peer.
    Wire(WireCall<'r>),
    /// To an ask of this process.
    Pending { replies: Rc<Replies<R>>, key: u64 },
}

impl<'r, R: Payload> Answerer<'r, R> {
    /// To a peer, where it wants an answer.
    pub(crate) fn of_peer(call: Option<WireCall<'r>>) -> Self {
        call.map_or(Answerer::OneWay, Answerer::Wire)
    }
}

impl<R: Payload> Answerer<'_, R> {
    #[inline(always)]
    pub(crate) fn reply(self, value: R) {
        match self {
            Answerer::OneWay => {}
            Answerer::Wire(call) => call.reply(&value),
            Answerer::Pending { replies, key } => replies.settle(key, Ok(Received::local(value))),
        }
    }

    #[cold]
    pub(crate) fn fail(self, error: &RpcError) {
        match self {
            Answerer::OneWay => {}
            Answerer::Wire(call) => call.fail(error),
            Answerer::Pending { replies, key } => replies.settle(key, Err(error.clone())),
        }
    }

    pub(crate) fn deadline_ns(&self) -> u64 {
        match self {
            Answerer::Wire(call) => call.deadline_ns(),
            Answerer::OneWay | Answerer::Pending { .. } => u64::MAX,
        }
    }

    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            Answerer::OneWay => false,
            Answerer::Wire(call) => call.is_retracted(),
            Answerer::Pending { replies, key } => !replies.is_wanted(*key),
        }
    }

    pub(crate) fn hold(self) -> Answerer<'static, R> {
        match self {
            Answerer::OneWay => Answerer::OneWay,
            Answerer::Wire(call) => Answerer::Wire(call.hold()),
            Answerer::Pending { replies, key } => Answerer::Pending { replies, key },
        }
    }

    /// For any thread; `host` is where it lives.
    pub(crate) fn later(self, host: &Arc<HostHandle>) -> Later {
        match self {
            Answerer::OneWay => Later::OneWay,
            // A call that may be repeated is answered where its reply is remembered.
            Answerer::Wire(WireCall::Once(call)) => call.later().map_or(Later::OneWay, Later::Once),
            Answerer::Wire(call) => Later::Wire(call.send()),
            Answerer::Pending { replies, key } => Later::Pending {
                host: Arc::clone(host),
                key,
                retracted: replies.retraction(key),
            },
        }
    }
}

/// Where the answer to one call goes, for any thread.
pub(crate) enum Later {
    OneWay,
    Wire(SendReply),
    Once(LaterOnce),
    Pending {
        host: Arc<HostHandle>,
        key: u64,
        retracted: Arc<AtomicBool>,
    },
}

impl Later {
    pub(crate) fn reply<R: Payload>(self, value: R) {
        match self {
            Later::OneWay => {}
            Later::Once(call) => call.reply(value),
            Later::Wire(reply) => match reply {
                SendReply::OneWay => {}
                SendReply::Deferred(deferred) => reply_deferred(*deferred, &value),
                SendReply::Memory(answer) => answer.reply(&value),
            },
            Later::Pending { host, key, .. } => {
                // Where the host has ended, it has failed all its asks.
                host.run(move |node| {
                    node.replies::<R>().settle(key, Ok(Received::local(value)));
                });
            }
        }
    }

    pub(crate) fn fail<R: Payload>(self, error: RpcError) {
        match self {
            Later::OneWay => {}
            Later::Once(call) => call.fail(error),
            Later::Wire(reply) => reply.fail(&error),
            Later::Pending { host, key, .. } => {
                host.run(move |node| node.replies::<R>().settle(key, Err(error)));
            }
        }
    }

    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            Later::Pending { retracted, .. } => retracted.load(Ordering::Acquire),
            Later::Wire(reply) => reply.is_retracted(),
            Later::Once(call) => call.is_retracted(),
            Later::OneWay => false,
        }
    }
}
