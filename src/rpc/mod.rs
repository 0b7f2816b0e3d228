//! Endpoints by name, within a program and between programs: Spark's RPC layer, typed, with messages
//! that are read in place.
//!
//! ```text
//! RpcEndpointRef ──ask──► Parcel ─┬─► Node (the endpoint's thread): Inbox ─► handler ─► reply
//!  (any thread)                   └─► Node (the connection's thread): Outbox ─► Link ══ wire ══► Node …
//! LocalRef ──ask──► Node (this thread), without an allocation
//! ```
//!
//! An [`RpcEnv`] has threads, each with a *node*: the endpoints that live there, their inboxes, and the
//! connections that do. A message is handled on its endpoint's thread; if nothing is in the way, right
//! where it arrived, in the receive buffer. Nothing on its way takes a lock but the parcel of an ask
//! from another thread, its own.
//!
//! [`RpcEndpoint`] has the guarantees of an endpoint's life, [`RpcEndpointRef`] those of asking,
//! [`RpcError`] what can go wrong.

mod address;
mod any;
mod ask;
mod body;
mod call;
pub mod carrier;
mod clock;
mod direct;
mod endpoint;
mod endpoint_ref;
mod env;
mod error;
mod fan_out;
mod files;
mod function;
mod greeting;
mod id;
mod inbox;
mod inspector;
mod local;
mod local_ref;
mod message;
#[cfg(all(test, shuttle))]
mod models;
mod node;
mod outbox;
mod parcel;
mod peer;
mod received;
mod ref_archive;
mod reply_to;
mod retry;
mod ring;
mod route;
mod scope;
mod settings;
mod sync;
mod verifier;
mod wire;

pub use crate::conf::RpcTimeout;
pub use address::{MAX_NAME_LEN, RpcAddress, RpcEndpointAddress};
pub use any::{AnyCallContext, AnyMessage};
pub use ask::{AbortHandle, Ask, AskArchived};
pub use body::AlignedBytes;
pub use call::{HeldCall, LaterCall, RpcCallContext};
pub use endpoint::{EndpointContext, Handle, HandleAsync, RpcEndpoint};
pub use endpoint_ref::{Accepts, Any, ByFuture, Now, Perhaps, RpcEndpointRef};
pub use env::{
    EndpointOptions, Placement, RpcEnv, RpcEnvBuilder, RpcEnvConfig, RpcEnvFactory,
    register_factory,
};
pub use error::{AskPhase, RpcError, TimedOut};
pub use fan_out::{AskAll, ask_all};
pub use files::{FileServerError, RpcChannel, RpcEnvFileServer};
pub use function::{FnEndpoint, endpoint_fn};
pub use id::{EndpointId, MessageId};
pub use inbox::{EndpointMetrics, LIVENESS_PLACES};
pub use inspector::{EndpointReport, EnvReport, INSPECTOR_NAME, Inspect, Ping};
pub use local::LocalFactory;
pub use local_ref::{LocalAsk, LocalRef};
pub use message::{Lane, Message, Payload};
pub use node::{MAX_OUTSTANDING, MAX_REMEMBERED, MAX_REMEMBERED_LEN, ReplyHandler};
pub use received::{Kept, Received, View};
pub use ref_archive::{ArchivedRefParts, RefParts};
pub use ring::RingFactory;
pub use route::{Async, MessageEntry, MessageSet, RouteTable};
pub use verifier::{CheckExistence, VERIFIER_NAME};
