//! A simulated implementation of [`Driver`](super::driver::Driver), for testing the engine above.
//!
//! A [`SimWorld`] is a network with a clock of its own; every shard under test gets a
//! [`SimDriver`] of it. Links have delay, jitter, bandwidth and bounded buffers ([`Link`]); what
//! goes wrong is told by [`Faults`], [`Script`] and [`SimHost::fail_next`]. Everything random
//! comes from one seed, so a failing test replays exactly. The drivers also watch over the
//! engine: one that breaks a rule of the trait panics with the seed and the last events.
//!
//! Data flow: an operation waits in the submission queue (`host`) until enter, which starts it
//! (`driver`): a send fills a `pipe`'s send buffer, `flow` turns that into segments, each an
//! event of the `queue`, and what arrives fills the receives. Completions go through the
//! completion queue, some of them late. `net` opens, connects, accepts and closes; `disk` decides
//! which parts of a file are in memory; `world` holds it all and moves the clock.
//!
//! # Example
//!
//! Two shards, one turn each until both are idle, then the clock moves:
//!
//! ```
//! use ringrail_transport::sys::driver::{Driver, Listening, Op, Park, Payload};
//! use ringrail_transport::sys::sim::{Faults, SimSpec, SimWorld};
//! use ringrail_transport::sys::socket::{ListenSpec, SocketSpec};
//!
//! let world = SimWorld::new(42);
//! world.set_faults(Faults::rough());
//! let (mut server, mut client) =
//!     (world.driver(SimSpec::default()), world.driver(SimSpec::default()));
//!
//! let spec = ListenSpec::new("127.0.0.1:0".parse().unwrap());
//! let (listener, addr) = server.listen(Listening::Spec(spec)).unwrap();
//! server.submit(1, Op::Accept { listener }).unwrap();
//! let sock = client.socket(&addr, &SocketSpec::default()).unwrap();
//! client.submit(2, Op::Connect { sock, addr }).unwrap();
//!
//! let mut accepted = None;
//! let deadline = world.now_ns() + 1_000_000_000;
//! let done = world.run(deadline, || {
//!     server.enter(Park::Until(None)).unwrap();
//!     while let Some(done) = server.next() {
//!         match done.payload {
//!             Payload::Accepted { sock, .. } => accepted = Some(sock),
//!             // Interrupted: ask again.
//!             _ => drop(server.submit(1, Op::Accept { listener }).unwrap()),
//!         }
//!     }
//!     client.enter(Park::Until(None)).unwrap();
//!     while let Some(done) = client.next() {
//!         assert_eq!((done.token, done.result), (2, 0));
//!     }
//!     accepted.is_some()
//! });
//! assert!(done, "{}", world.trace());
//! ```

mod conn;
mod disk;
mod driver;
mod faults;
mod flow;
mod host;
mod memory;
mod net;
mod pipe;
mod queue;
mod rng;
mod trace;
mod world;

pub use conn::Link;
pub use driver::SimDriver;
pub use faults::{Direction, Faults, Injury, Kind, Script, When};
pub use host::{SimHost, SimSpec};
pub use rng::Rng;
pub use world::SimWorld;

#[cfg(test)]
mod tests;
