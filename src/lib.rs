//! ringrail: a zero-copy io_uring transport engine for Linux.
//!
//! Two planes over one connection: *requests* between programs ([`TransportClient::send_rpc`],
//! answered by an [`RpcHandler`]) and *bulk data* in chunks and streams, sent from where it lies and
//! received into memory of its own. Messages are rkyv archives, read where they lie in the receive
//! buffer. Small requests never wait behind more than one slice of bulk data.
//!
//! # Which part to use
//!
//! | you want to | use |
//! |---|---|
//! | serve files or memory, and fetch them | [`block`]: [`block::BlockServer`], [`block::fetch::Fetcher`] |
//! | name endpoints, and ask them within a program and between programs | [`rpc`]: [`macro@interface`], [`rpc::RpcEnv`], [`rpc::RpcEndpoint`] |
//! | send requests of your own | [`TransportContext`], [`RpcHandler`], [`TransportClient`] |
//! | serve bulk data of your own | [`transport::server::StreamManager`], [`transport::buf::ManagedBuffer`] |
//! | serve the shuffle files of Spark's executors | [`shuffle`]: [`shuffle::ShuffleService`] |
//! | configure it by name, as a Spark cluster is | [`conf`]: [`Conf`], [`conf::transport_conf`] |
//! | read or write the wire format without any IO | [`codec`] |
//! | know what a kernel offers | [`transport::sys::probe`] |
//!
//! # An engine, a server, a client
//!
//! An [`Engine`] runs *shards*: one thread each, with a ring, connections and memory of its own.
//! Handlers live on a shard, are never called from two threads and must not block; what takes long is
//! answered later ([`Responder::defer`]) from any thread.
//!
//! ```
//! use std::rc::Rc;
//!
//! use ringrail::{
//!     Connection, Engine, ReceivedBytes, Responder, RpcHandler, TransportConf, TransportContext,
//! };
//!
//! struct Echo;
//!
//! impl RpcHandler for Echo {
//!     fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
//!         reply.reply(body.bytes());
//!     }
//! }
//!
//! let conf = TransportConf::default();
//! let engine = Engine::builder(conf).shards(1).start()?;
//! let context = TransportContext::new(engine, || Rc::new(Echo));
//! let server = context.create_server("127.0.0.1:0".parse()?)?;
//!
//! let client = context.connect(&server.local_addr().to_string())?;
//! let reply = client.send_rpc("hello").wait()?; // or `.await`, in any runtime
//! assert_eq!(&reply[..], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The engine lives as long as a clone of it, a context, a factory or a server does. A
//! [`TransportClient`] does not keep it alive: when the engine stops, what it waits for fails with
//! [`RequestError::Closed`], what it asks later with [`RequestError::ShardStopped`].
//!
//! # Messages that are read in place
//!
//! A body may be an rkyv archive: written straight into the send buffer, validated, and read where it
//! lies in the receive buffer.
//!
//! ```
//! # use std::rc::Rc;
//! # use ringrail::{
//! #     Connection, Engine, ReceivedBytes, Responder, RpcHandler, TransportConf, TransportContext,
//! # };
//! use ringrail::RpcFailure;
//! use ringrail::codec::native::FailureCode;
//!
//! struct Adder;
//!
//! impl RpcHandler for Adder {
//!     fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
//!         match body.access::<Vec<u64>>() {
//!             Ok(numbers) => {
//!                 let sum: u64 = numbers.iter().map(|number| number.to_native()).sum();
//!                 reply.reply_archive(&sum);
//!             }
//!             Err(error) => {
//!                 reply.fail(&RpcFailure::new(FailureCode::BadArchive, error.to_string()));
//!             }
//!         }
//!     }
//! }
//!
//! # let conf = TransportConf::default();
//! # let engine = Engine::builder(conf).shards(1).start()?;
//! # let context = TransportContext::new(engine, || Rc::new(Adder));
//! # let server = context.create_server("127.0.0.1:0".parse()?)?;
//! # let client = context.connect(&server.local_addr().to_string())?;
//! let answer = client.send_archive(&vec![1u64, 2, 3], None).wait()?;
//! assert_eq!(answer.access::<u64>()?.to_native(), 6);
//!
//! let refused = client.send_rpc("not an archive").wait().unwrap_err();
//! assert!(!refused.is_retryable());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Configuration
//!
//! [`TransportConf`] and its like are plain values. A [`Conf`] fills them from named keys, with Spark's
//! units, names and rules; `docs/configuration.md` lists them all.
//!
//! ```
//! use ringrail::Conf;
//! use ringrail::conf::keys::rpc;
//! use ringrail::conf::transport_conf;
//!
//! let mut conf = Conf::load()?; // the environment, and the properties file that it names
//! conf.set("spark.network.timeout", "30s").set("ringrail.transport.poolBudget", "1g");
//! assert_eq!(transport_conf(&conf)?.pool_budget, 1 << 30);
//! assert_eq!(conf.get_entry(&rpc::ASK_TIMEOUT)?.as_secs(), 30);
//!
//! conf.set("ringrail.transport.poolBudget", "1.5g");
//! let refused = transport_conf(&conf).unwrap_err().to_string();
//! assert!(refused.contains("ringrail.transport.poolBudget: Fractional values are not supported"));
//! # Ok::<(), ringrail::conf::ConfError>(())
//! ```
//!
//! # From which thread
//!
//! - *Plain threads*: `.wait()`, the methods that end in `_blocking`, and what starts and ends things:
//!   [`TransportContext::create_server`], [`TransportServer::drain`]. Not for the inside of a runtime, which
//!   they would block.
//! - *Any runtime*: the same requests are futures. Dropping one retracts the request.
//! - *The shard itself*: [`Connection`], with callbacks or futures and without an allocation per
//!   request; a client's [`here`](TransportClient::here) gives it.
//!
//! `docs/embedding.md` says what each costs and what to put into Cargo.toml; the programs in
//! `docs/examples` show each; `docs/design.md` tells how the parts work together.
//!
//! # Features
//!
//! `cli` (on by default) builds the command `ringrail` and turns on all others. Programs that embed the library
//! turn it off with `default-features = false`, depend on none of the command's crates, and name the parts that
//! they use: `rpc`, `block`, `shuffle` (with Spark's authentication and ciphers). The transport and its
//! configuration are always there.
#![forbid(unsafe_code)]

/// The runtime of [hosted](ParkMode::Hosted) shards, whose files and timers futures there can use.
pub use ringrail_transport::tokio_uring;
/// The crate of the archives: the derives of messages use it as `#[rkyv(crate = ringrail::rkyv)]`.
pub use rkyv;

pub use ringrail_codec as codec;
pub use ringrail_transport as transport;

pub use ringrail_transport::{
    Addr, Checksum, ChunkOptions, CloseReason, ConnectError, Connection, Engine, EngineError,
    IoDriver, Outcome, ParkMode, Pin, Reached, ReceivedBytes, Reply, RequestError, Responder,
    ResponseContext, ResponseHandler, RpcFailure, RpcHandler, ShardHandle, TransportClient,
    TransportClientFactory, TransportConf, TransportContext, TransportServer,
};

#[cfg(feature = "block")]
pub mod block;
pub mod conf;
#[cfg(feature = "rpc")]
pub mod rpc;
#[cfg(feature = "shuffle")]
pub mod shuffle;
#[cfg(any(feature = "block", feature = "shuffle"))]
mod workers;

pub use conf::Conf;
#[cfg(feature = "rpc")]
pub use ringrail_macros::{interface, message, payload};
