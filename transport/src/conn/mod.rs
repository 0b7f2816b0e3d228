//! The state of a connection, apart from everything that acts: no shard, no socket, no timer and no pool lives
//! here, and nothing here calls user code.
//!
//! Each file is one table or one machine. Its methods take `&mut self`, the time where time matters, and what
//! has happened; they return what is to be done. The shell around them, [`shard::conn`](crate::shard), owns
//! them, carries out what they return, and calls handlers while none of them is borrowed.
//!
//! ```text
//!            requests of this side      requests of the peer       bytes and bodies to send
//!            PendingTable               Inbound                    SendQueue ── BodyQueue ── Transfer
//!                  ▲                        ▲                           ▲
//!  frames, time ───┴──── shard::conn ───────┴───────────────────────────┘
//! ```
//!
//! The tables are generic over what belongs to user code: the place an answer goes to, the sink of an upload.
//! So they can be tested without a shard.

pub(crate) mod answer_body;
pub(crate) mod backpressure;
pub(crate) mod batch_sizer;
pub(crate) mod body_forecast;
pub(crate) mod body_queue;
pub(crate) mod claim;
pub(crate) mod composer;
#[cfg(test)]
mod composer_tests;
pub(crate) mod deadlines;
pub(crate) mod file_sums;
pub(crate) mod ids;
pub(crate) mod inbound;
pub(crate) mod lifecycle;
pub(crate) mod liveness;
pub(crate) mod pending;
pub(crate) mod reassembly;
pub(crate) mod request_queue;
pub(crate) mod send_queue;
pub(crate) mod spark;
pub(crate) mod transfer;
pub(crate) mod wire;
