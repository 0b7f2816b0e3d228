//! The kernel: rings, sockets, processors, and what this machine offers.
//!
//! [`Driver`](driver::Driver) is the narrow interface between the engine and its IO backend.
//! Nothing above this module knows which driver runs. Unsafe code of the engine lives here, in
//! `buf` and in the queues of `shard`.

pub mod affinity;
#[cfg(test)]
mod conformance;
pub mod driver;
pub mod epoll;
mod files;
pub(crate) mod latency;
pub(crate) mod notify;
mod open_files;
pub mod probe;
mod scratch;
pub mod sim;
pub mod socket;
mod socks;
mod table;
pub mod uring;

pub use open_files::raise_open_files;

/// The monotonic clock in nanoseconds.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
