//! The epoll driver: readiness and non-blocking calls, for systems that lack io_uring or forbid it.
//!
//! Containers forbid io_uring by default (Docker's and containerd's seccomp profiles), and kernels before 6.1
//! lack what the ring driver needs; this one runs from Linux 5.10 on. It keeps every rule of
//! [`Driver`](super::driver::Driver), so the engine above is the same.
//!
//! ```text
//! submit ─► ops (table) + port (queues of one socket) ─► work ──┐
//!                                                               ▼
//! next ◄── immediate (completions) ◄── advance: recv, sendmsg, sendfile, accept4, connect
//!                     ▲                                         ▲
//!                     └── readers (file reads, own threads)     └── epoll_wait: a socket is ready
//! ```
//!
//! A socket is registered once, edge-triggered, for both directions. Its port remembers what is known of
//! it: a call is tried only while the socket is believed to be ready, and a call that meets an empty or full socket
//! ends that belief until the next edge. Operations of one direction are served in the order in which they were
//! submitted. All system calls on sockets happen in `enter`, never in `submit`.
//!
//! The split: `driver` ties the parts together, `input` and `output` advance the operations of a socket, `ports`
//! keeps the queues, `ops` is what an operation owns, `poll` is the epoll descriptor, `readers` the threads that
//! read files from the disk.

mod driver;
mod input;
mod ops;
mod output;
mod poll;
mod ports;
mod readers;

pub use driver::{EpollDriver, EpollSpec};
