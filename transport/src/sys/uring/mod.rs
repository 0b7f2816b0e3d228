//! The io_uring driver: one private ring per shard, the *hot ring*.
//!
//! `SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG`, a registered ring descriptor, multishot accept
//! and receive, a group of provided buffers that are leases of the shard's pool.
//!
//! # The way of an operation
//!
//! ```text
//!  pump: submit(token, Op) ──► ops: slot takes Op with its buffers, key = slot | generation
//!                                │
//!                        post ──► submission queue ─┐
//!                                                   │ enter: one system call submits and waits
//!                     kernel ◄──────────────────────┘        (wait: for how many completions)
//!                        │
//!                        ▼ completion queue, harvested whole
//!  complete ──► short or passing? post the rest again (a send that found its socket full)
//!           └─► slot gives Op's buffers back: Completion { token, result, payload } ──► pump: next()
//! ```
//!
//! # Rules
//!
//! - An operation owns its buffers and its file from `submit` until its completion, whatever happens to the
//!   connection, the future or the shard that asked. A late completion finds its slot by generation, or nobody.
//! - To cancel ends nothing by itself: the slot stays until the kernel says so. `close` waits for all of them,
//!   two seconds at most; what the kernel still holds then is leaked, never freed.
//! - With `DEFER_TASKRUN` completions appear only in `enter`. Every park therefore says for how many it waits:
//!   one, and one for each short send that it submits, which completes within the call.
//! - A provided buffer is a lease until the kernel has filled it, and the receiver's afterwards; `refill` gives
//!   the group new ones, as far as the pool has any.
//!
//! The split: `enter` the system call, `wait` what a park waits for, `ops` what an operation owns in flight,
//! `post` how it gets into the queue, `complete` how it comes back, `close` how all of it ends with
//! the driver, `provided` the buffer group,
//! `spec` sizes and errors, `setup` what a ring needs once, `driver` the
//! [`Driver`](super::driver::Driver) that ties them together.

mod close;
mod complete;
mod driver;
mod enter;
mod ops;
mod post;
mod provided;
mod setup;
mod spec;
mod wait;

pub use driver::UringDriver;
pub use spec::{UringError, UringSpec};
