//! Where the answer to one call goes, in its three forms: while the handler runs, kept on the
//! thread, kept for any thread.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringrail_codec::archive::Encode;
use ringrail_transport::Responder;
use ringrail_transport::server::{DeferredResponder, HeldResponder};

use super::body::{AlignedBytes, encode_aligned};
use super::carrier::{CarrierFrame, CarrierLink};
use super::error::RpcError;
use super::message::Payload;
use super::node::{HostHandle, Node, Replies};
use super::received::Received;

/// A call that came over a carrier's link.
#[derive(Debug)]
pub(crate) struct CarriedCall {
    pub(crate) link: Arc<dyn CarrierLink>,
    pub(crate) id: u64,
    pub(crate) deadline_ns: u64,
    pub(crate) retracted: Arc<AtomicBool>,
}

impl CarriedCall {
    fn reply(self, body: Arc<AlignedBytes>) {
        let id = self.id;
        self.send(CarrierFrame::Reply { id, body });
    }

    fn fail(self, error: &RpcError) {
        let (id, failure) = (self.id, error.to_failure());
        self.send(CarrierFrame::Failure { id, failure });
    }

    fn send(self, frame: CarrierFrame) {
        // Marks the call as over, so that a late Cancel finds nothing.
        self.retracted.store(true, Ordering::Release);
        if let Err(error) = self.link.send(frame) {
            tracing::debug!(target: "ringrail::rpc", %error, "an answer found no caller");
        }
    }
}

/// A peer's call, while its handler runs or, with `'static`, held on its thread.
pub(crate) enum WireCall<'r> {
    Responder(Responder<'r>),
    Held(HeldResponder),
    // Boxed, so that the usual ones stay small.
    Deferred(Box<DeferredResponder>),
    Carried(Box<CarriedCall>),
}

impl WireCall<'_> {
    #[inline(always)]
    pub(crate) fn reply(self, value: &impl Encode) {
        match self {
            WireCall::Responder(responder) => responder.reply_archive(value),
            WireCall::Held(held) => held.reply_archive(value),
            WireCall::Deferred(deferred) => reply_deferred(*deferred, value),
            WireCall::Carried(call) => reply_carried(*call, value),
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
            WireCall::Carried(call) => call.reply(Arc::clone(bytes)),
        }
    }

    #[cold]
    pub(crate) fn fail(self, error: &RpcError) {
        match self {
            WireCall::Responder(responder) => responder.fail(&error.to_failure()),
            WireCall::Held(held) => held.fail(&error.to_failure()),
            WireCall::Deferred(deferred) => deferred.fail(error.to_failure()),
            WireCall::Carried(call) => call.fail(error),
        }
    }

    /// When nobody waits any more, in ns of the monotonic clock.
    pub(crate) fn deadline_ns(&self) -> u64 {
        match self {
            WireCall::Responder(responder) => responder.deadline_ns(),
            WireCall::Held(held) => held.deadline_ns(),
            WireCall::Deferred(deferred) => deferred.deadline_ns(),
            WireCall::Carried(call) => call.deadline_ns,
        }
    }

    /// Whether the caller has let go.
    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            WireCall::Responder(_) => false,
            WireCall::Held(held) => held.is_retracted(),
            WireCall::Deferred(deferred) => deferred.is_retracted(),
            WireCall::Carried(call) => call.retracted.load(Ordering::Acquire),
        }
    }

    /// Beyond the handler's return, on this thread.
    pub(crate) fn hold(self) -> WireCall<'static> {
        match self {
            WireCall::Responder(responder) => WireCall::Held(responder.hold()),
            WireCall::Held(held) => WireCall::Held(held),
            WireCall::Deferred(deferred) => WireCall::Deferred(deferred),
            WireCall::Carried(call) => WireCall::Carried(call),
        }
    }

    /// For any thread.
    pub(crate) fn send(self) -> SendReply {
        match self {
            WireCall::Responder(responder) => SendReply::Deferred(Box::new(responder.defer())),
            WireCall::Held(held) => SendReply::Deferred(Box::new(held.defer())),
            WireCall::Deferred(deferred) => SendReply::Deferred(deferred),
            WireCall::Carried(call) => SendReply::Carried(call),
        }
    }
}

fn reply_deferred(deferred: DeferredResponder, value: &impl Encode) {
    if let Err(deferred) = deferred.reply_archive(value) {
        deferred.fail(RpcError::other("the reply cannot be serialised").to_failure());
    }
}

fn reply_carried(call: CarriedCall, value: &impl Encode) {
    match encode_aligned(value) {
        Ok(bytes) => call.reply(Arc::new(bytes)),
        Err(error) => {
            call.fail(&RpcError::other(format!(
                "the reply cannot be serialised: {error}"
            )));
        }
    }
}

/// A peer's call, for any thread; also that it wants no reply.
#[derive(Debug)]
pub(crate) enum SendReply {
    OneWay,
    Deferred(Box<DeferredResponder>),
    Carried(Box<CarriedCall>),
}

impl SendReply {
    pub(crate) fn fail(self, error: &RpcError) {
        match self {
            SendReply::OneWay => {
                tracing::debug!(target: "ringrail::rpc", %error, "a one-way message is dropped");
            }
            SendReply::Deferred(deferred) => deferred.fail(error.to_failure()),
            SendReply::Carried(call) => call.fail(error),
        }
    }

    /// On the thread that is to answer it.
    pub(crate) fn arrived(self) -> Option<WireCall<'static>> {
        match self {
            SendReply::OneWay => None,
            SendReply::Deferred(deferred) => Some(WireCall::Deferred(deferred)),
            SendReply::Carried(call) => Some(WireCall::Carried(call)),
        }
    }
}

/// Where the answer to one call goes.
pub(crate) enum Answerer<'r, R: Payload> {
    /// Nobody wants one.
    OneWay,
    /// To a peer; a call with a token is remembered under it.
    Wire {
        call: WireCall<'r>,
        token: Option<u64>,
    },
    /// To an ask of this process.
    Pending { replies: Rc<Replies<R>>, key: u64 },
}

impl<'r, R: Payload> Answerer<'r, R> {
    /// To a peer, where it wants an answer.
    pub(crate) fn of_peer(call: Option<WireCall<'r>>, token: Option<u64>) -> Self {
        match call {
            Some(call) => Answerer::Wire { call, token },
            None => Answerer::OneWay,
        }
    }
}

impl<R: Payload> Answerer<'_, R> {
    #[inline(always)]
    pub(crate) fn reply(self, node: &Node, value: R) {
        match self {
            Answerer::OneWay => {}
            Answerer::Wire { call, token: None } => call.reply(&value),
            Answerer::Wire {
                call,
                token: Some(token),
            } => node.recent().reply(token, call, &value),
            Answerer::Pending { replies, key } => replies.settle(key, Ok(Received::local(value))),
        }
    }

    #[cold]
    pub(crate) fn fail(self, node: &Node, error: &RpcError) {
        match self {
            Answerer::OneWay => {}
            Answerer::Wire { call, token } => match token {
                Some(token) => node.recent().fail(token, call, error),
                None => call.fail(error),
            },
            Answerer::Pending { replies, key } => replies.settle(key, Err(error.clone())),
        }
    }

    pub(crate) fn deadline_ns(&self) -> u64 {
        match self {
            Answerer::Wire { call, .. } => call.deadline_ns(),
            Answerer::OneWay | Answerer::Pending { .. } => u64::MAX,
        }
    }

    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            Answerer::OneWay => false,
            Answerer::Wire { call, .. } => call.is_retracted(),
            Answerer::Pending { replies, key } => !replies.is_wanted(*key),
        }
    }

    pub(crate) fn hold(self) -> Answerer<'static, R> {
        match self {
            Answerer::OneWay => Answerer::OneWay,
            Answerer::Wire { call, token } => Answerer::Wire {
                call: call.hold(),
                token,
            },
            Answerer::Pending { replies, key } => Answerer::Pending { replies, key },
        }
    }

    /// For any thread; `host` is where it lives.
    pub(crate) fn later(self, host: &Arc<HostHandle>) -> Later {
        match self {
            Answerer::OneWay => Later::OneWay,
            // A call that may be repeated is answered where its reply is remembered.
            Answerer::Wire { call, token } => Later::Wire {
                reply: call.send(),
                token: token.map(|token| (token, Arc::clone(host))),
            },
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
    Wire {
        reply: SendReply,
        token: Option<(u64, Arc<HostHandle>)>,
    },
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
            Later::Wire {
                reply,
                token: Some((token, host)),
            } => {
                host.run(move |node| {
                    if let Some(call) = reply.arrived() {
                        node.recent().reply(token, call, &value);
                    }
                });
            }
            Later::Wire { reply, token: None } => match reply {
                SendReply::OneWay => {}
                SendReply::Deferred(deferred) => reply_deferred(*deferred, &value),
                SendReply::Carried(call) => reply_carried(*call, &value),
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
            Later::Wire {
                reply,
                token: Some((token, host)),
            } => {
                host.run(move |node| {
                    if let Some(call) = reply.arrived() {
                        node.recent().fail(token, call, &error);
                    }
                });
            }
            Later::Wire { reply, token: None } => reply.fail(&error),
            Later::Pending { host, key, .. } => {
                host.run(move |node| node.replies::<R>().settle(key, Err(error)));
            }
        }
    }

    pub(crate) fn is_retracted(&self) -> bool {
        match self {
            Later::Pending { retracted, .. } => retracted.load(Ordering::Acquire),
            Later::Wire { reply, .. } => match reply {
                SendReply::OneWay => false,
                SendReply::Deferred(deferred) => deferred.is_retracted(),
                SendReply::Carried(call) => call.retracted.load(Ordering::Acquire),
            },
            Later::OneWay => false,
        }
    }
}
