//! The io_uring driver: one private ring per shard, the *hot ring*.
//!
//! `SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG`, a registered ring descriptor, multishot accept
//! and receive, a group of provided buffers that are leases of the shard's pool. The split:
//! `enter` the system call, `ops` the table of operations in flight, `provided` the buffer group,
//! `files` what concerns files and the page cache, `driver` the [`Driver`](super::driver::Driver)
//! that ties them together.

mod driver;
mod enter;
mod files;
mod ops;
mod provided;

pub use driver::{UringDriver, UringError, UringSpec};
