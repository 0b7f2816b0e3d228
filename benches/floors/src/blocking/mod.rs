//! The floor of blocking sockets: a thread per connection that sleeps in `recv` and answers a batch
//! in one `send`.
//!
//! A careful program without io_uring works like this, and a parked ping-pong cannot be much
//! faster. Files are sent from a mapping in gathered sends; [`crate::sendfile`] is the same server
//! with `sendfile` for the bodies.

mod chunk_client;
mod chunk_server;
mod client;
mod rpc_server;
mod server;
mod socket;

pub(crate) use chunk_server::each_batch;
pub(crate) use client::run as run_client;
pub(crate) use server::{accept_each, serve};
pub(crate) use socket::again;
