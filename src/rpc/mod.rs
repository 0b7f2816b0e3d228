//! Endpoints by name, within a program and between programs: Spark's RPC layer, typed, with messages
//! that are read in place.
//!
//! ```text
//! RpcEndpointRef ──ask──► PendingAsk ─┬─► Dispatcher (the endpoint's thread): Inbox ─► handler ─► reply
//!  (any thread)                       └─► Dispatcher (the connection's thread): Outbox ─► Link ══ wire ══► Dispatcher …
//! LocalRef ──ask──► Dispatcher (this thread), without an allocation
//! ```
//!
//! An [`RpcEnv`] has threads, each with a *dispatcher*: the endpoints that live there, their inboxes, and the
//! connections that do. A message is handled on its endpoint's thread; if nothing is in the way, right
//! where it arrived, in the receive buffer. Nothing on its way takes a lock that others want: an ask from another
//! thread has one of its own, and one of the timers'.
//!
//! [`RpcEndpoint`] has the guarantees of an endpoint's life, [`RpcEndpointRef`] those of asking,
//! [`RpcError`] what can go wrong.
//!
//! # For embedders
//!
//! A message is a type with a name that is the same in every program, and with the type of its reply. An
//! endpoint has a handler per message; what it is asked is checked by the compiler where its type is known,
//! and by the endpoint itself where it is not. A trait says all of it: [`interface`](crate::interface) writes a message per
//! method, and a client that asks.
//!
//! ```
//! use ringrail::rpc::{Failure, RpcEndpoint, RpcEnv};
//!
//! #[ringrail::interface]
//! trait Counter {
//!     fn add(&mut self, n: u64) -> Result<u64, Failure>;
//! }
//!
//! struct Counting(u64);
//!
//! impl RpcEndpoint for Counting {
//!     type Messages = CounterMessages;
//! }
//!
//! impl Counter for Counting {
//!     fn add(&mut self, n: u64) -> Result<u64, Failure> {
//!         self.0 = self.0.checked_add(n).ok_or(Failure::text("too much"))?;
//!         Ok(self.0)
//!     }
//! }
//!
//! let server = RpcEnv::builder("server").backend("local").build()?;
//! let uri = server.setup_endpoint("counter", Counting(0))?.uri().to_string();
//!
//! let client = RpcEnv::builder("client").backend("local").client_mode().build()?;
//! let counter = CounterClient::connect_blocking(&client, &uri)?;
//! assert_eq!(counter.add(2).wait()?, 2); // or `.await`
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same without macros, from the message to the reply:
//!
//! ```
//! use ringrail::rpc::{
//!     Handle, Message, Received, RpcCallContext, RpcEndpoint, RpcEndpointRef, RpcEnv, RpcError,
//! };
//! use rkyv::{Archive, Deserialize, Serialize};
//!
//! #[derive(Archive, Serialize, Deserialize)]
//! struct Add(u64);
//!
//! impl Message for Add {
//!     type Reply = u64;
//!     const NAME: &'static str = "counter.Add";
//! }
//!
//! struct Counter(u64);
//!
//! impl RpcEndpoint for Counter {
//!     type Messages = (Add,);
//! }
//!
//! impl Handle<Add> for Counter {
//!     fn handle(
//!         &mut self,
//!         add: Received<'_, Add>,
//!         call: RpcCallContext<'_, u64>,
//!     ) -> Result<(), RpcError> {
//!         self.0 += add.take()?.0;
//!         call.reply(self.0);
//!         Ok(())
//!     }
//! }
//!
//! // One program ...
//! let server = RpcEnv::builder("server").backend("local").build()?;
//! let counter = server.setup_endpoint("counter", Counter(0))?;
//! assert_eq!(counter.ask_blocking(Add(2))?, 2);
//!
//! // ... and another, which knows the address alone.
//! let client = RpcEnv::builder("client").backend("local").client_mode().build()?;
//! let address = server.address().ok_or("it listens")?;
//! let uri = server.uri_of(address, "counter"); // rail://counter@127.0.0.1:49152
//! let counter: RpcEndpointRef = client.setup_endpoint_ref_by_uri_blocking(&uri)?;
//! assert_eq!(counter.ask_blocking(Add(3))?, 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without `backend("local")`, which stays within the process and is for tests, the same runs over sockets.
//!
//! **Which env.** One per program and role. It starts an engine of its own, or [shares
//! one](RpcEnvBuilder::engine). It listens at 127.0.0.1, any port, unless told otherwise; a *client* listens
//! nowhere, and its refs still travel in messages: they are answered over the connection that it made. The
//! drop of its last clone ends it; so does [`shutdown`](RpcEnv::shutdown), and
//! [`await_termination`](RpcEnv::await_termination) waits for that.
//!
//! **Where an endpoint lives.** On one shard ([`Placement::Any`], [`Placement::Shard`]): no lock, and it must
//! not block. [Isolated](Placement::Isolated), on a thread of its own: it may block, wait for others, and be made anew when it panics
//! ([`setup_supervised`](RpcEnv::setup_supervised)). An
//! instance per shard ([`setup_replicated`](RpcEnv::setup_replicated)): for what has no state, or shares it.
//! A handler that takes long but does not block is a future ([`HandlerAsync`], [`HandleAsync`]); one that is answered elsewhere keeps the call
//! ([`RpcCallContext::defer`]).
//!
//! **How to ask.**
//!
//! | from | with | costs |
//! |---|---|---|
//! | a plain thread | [`ask_blocking`](RpcEndpointRef::ask_blocking) | one allocation; the thread sleeps |
//! | any executor | [`ask`](RpcEndpointRef::ask)`.await` | one allocation |
//! | the endpoint's or the connection's shard | [`as_local`](RpcEndpointRef::as_local), then [`LocalRef::ask`] | none |
//! | there, many times | [`LocalRef::ask_with`] and a [`ReplyHandler`] | none, and no future |
//! | many endpoints | [`ask_all`], which keeps so many under way | one each |
//! | one of several that do the same | [`EndpointGroup::call`] | one per attempt |
//!
//! Dropping the future of an ask retracts it, wherever it is. An ask is sent once;
//! [`ask_with_retry`](RpcEndpointRef::ask_with_retry) repeats it under a token by which its receiver knows it
//! again. [`send`](RpcEndpointRef::send) wants no reply; what it took is handled, or its loss is told
//! ([`on_lost`](RpcEnvBuilder::on_lost)). [`send_async`](RpcEndpointRef::send_async) waits for room.
//!
//! **What stands around it**: [timers](EndpointContext::send_after), [inherited deadlines](time_left),
//! [interceptors](Interceptor), [replies that are streams](StreamRef).
//!
//! **What can go wrong** is an [`RpcError`]: [`is_retryable`](RpcError::is_retryable) says whether to try again can help;
//! a bound that was reached names its key; a failure of the other side keeps its code and its causes. Inboxes,
//! outboxes and mailboxes are bounded, so a sender that is faster than its receiver is told `Busy` and has to wait.
//!
//! **What to watch.** [`RpcEnv::metrics`] has the depth and age of every inbox, `ringrail rpc watch` shows them live.

/// Writes a `Debug` that is one text: generics in brackets, the type, and what `write!` gets.
macro_rules! debug_text {
    ([$($generics:tt)*] $type:ty, |$this:ident| $($text:tt)+) => {
        impl<$($generics)*> ::std::fmt::Debug for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let $this = self;
                write!(f, $($text)+)
            }
        }
    };
    ($type:ty, |$this:ident| $($text:tt)+) => {
        debug_text!([] $type, |$this| $($text)+);
    };
}

mod accepts;
mod address;
mod any;
mod ask;
mod backends;
mod body;
mod borrowed;
mod call;
mod client;
mod clock;
mod connection;
mod counted;
mod decode_context;
mod dispatcher;
mod endpoint;
mod endpoint_ref;
mod env;
mod error;
mod event;
mod failure;
mod fan_out;
mod fast_path;
mod file_table;
mod files;
mod fingerprint;
mod function;
mod group;
mod handler;
mod handler_future;
mod handling;
mod hello;
mod id;
mod inbox;
mod inspector;
mod interceptor;
mod link;
mod local_ref;
mod lost;
mod memory;
mod message;
mod metrics;
#[cfg(all(test, shuttle))]
mod models;
mod outbox;
mod peer;
mod pending_ask;
mod received;
mod ref_archive;
mod replies;
mod reply;
mod retry;
mod ring;
mod route;
mod schema;
mod sending;
pub(crate) mod settings;
mod shared;
mod stream;
mod supervision;
mod sync;
mod target;
mod thread;
mod timeout;
mod timer;
mod uri;
mod verifier;
mod wire;

pub use accepts::{Accepts, Any, Dynamic, ViaHandle, ViaHandleAsync};
pub use address::{MAX_NAME_LEN, RpcAddress, RpcEndpointAddress};
pub use any::{AnyCallContext, AnyMessage};
pub use ask::{AbortHandle, Ask, AskArchived};
pub use backends::register_factory;
pub use body::AlignedBytes;
pub use borrowed::{Slice, Text};
pub use call::{DeferredCall, HeldCall, RpcCallContext};
pub use client::{Client, LocalClient};
pub use endpoint::{EndpointContext, Handle, HandleAsync, RpcEndpoint};
pub use endpoint_ref::RpcEndpointRef;
pub use env::{EndpointOptions, Placement, RpcEnv, RpcEnvBuilder, RpcEnvConfig, RpcEnvFactory};
pub use error::RpcError;
pub use failure::Failure;
pub use fan_out::{AskAll, ask_all};
pub use file_table::FileServerError;
pub use files::{RpcChannel, RpcEnvFileServer};
pub use fingerprint::{Fingerprint, Schema, message_schema};
pub use function::{FnEndpoint, endpoint_fn};
pub use group::{Choice, EndpointGroup, MAX_GROUP};
pub use handler::{
    ByInterface, ByInterfaceFuture, HandledBy, HandledByFuture, Handler, HandlerAsync,
};
pub use handling::time_left;
pub use id::{EndpointId, MessageId};
pub use inbox::LIVENESS_PLACES;
pub use inspector::{EndpointReport, EnvReport, INSPECTOR_NAME, Inspect, Ping};
pub use interceptor::{CallInfo, Interceptor, Interceptors};
pub use local_ref::{LocalAsk, LocalRef};
pub use lost::LostMessage;
pub use memory::LocalFactory;
pub use message::{Lane, Message, Payload};
pub use metrics::EndpointMetrics;
pub use received::{Owned, Received, View};
pub use ref_archive::{ArchivedRefParts, RefParts};
pub use replies::{MAX_OUTSTANDING, ReplyContext, ReplyHandler};
pub use ring::RingFactory;
pub use route::{Async, MessageEntry, MessageSet, RouteTable};
pub use sending::Sending;
pub use stream::{Items, MAX_STREAMS, STREAM_IDLE, StreamItem, StreamRef};
pub use supervision::Supervision;
pub use timeout::{AskPhase, RpcTimeout, TimedOut};
pub use timer::{EndpointTimer, MAX_THREAD_TIMERS};
pub use verifier::{CheckExistence, VERIFIER_NAME};

pub use ringrail_codec::native::FailureCode;
pub use ringrail_macros::{Message, Schema};
pub use ringrail_transport::RpcFailure;
