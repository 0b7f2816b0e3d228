//! The io_uring driver: one private ring per shard, the *hot ring*.
//!
//! `SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG`, a registered ring descriptor, multishot accept
//! and receive, a group of provided buffers that are leases of the shard's pool. The split:
//! `enter` the system call, `wait` what a park waits for, `ops` what an operation owns in flight,
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
