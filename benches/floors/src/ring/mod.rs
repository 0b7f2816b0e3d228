//! The floor of io_uring: one loop per process, one ring, nothing between the completions and the
//! work.
//!
//! SINGLE_ISSUER | DEFER_TASKRUN with the task-run flag, so that a spinning loop enters the kernel
//! only when there is something to do; registered ring descriptor; multishot accept and receive
//! into 64 provided buffers of 64 KiB; all answers of a batch in one send per connection; chunks as
//! one gathered sendmsg; bodies of 16 KiB and more by one exact receive.
//!
//! ```text
//!   completions ──> dispatch: check ids, gather answers ──> one send per connection ──> enter (submit + wait)
//!        ^                                                                                     │
//!        └─────────────────────────────────────────────────────────────────────────────────────┘
//! ```

mod answers;
mod buffers;
mod chunks;
mod client;
mod echo;
mod event;
mod gather;
mod receive;
mod rpc;
mod server;
mod uring;

pub(crate) use client::run as run_client;
pub(crate) use server::{Reading, serve};
