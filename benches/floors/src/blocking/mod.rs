//! The floor of blocking sockets: a thread per connection that sleeps in `recv` and answers a batch
//! in one `send`.
//!
//! What a careful program does without io_uring, and what a parked ping-pong cannot beat by much.
//! Files go out of a mapping in gathered sends; [`crate::sendfile`] is the same server with
//! `sendfile` for the bodies.

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
