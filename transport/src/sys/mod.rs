//! The kernel: rings, sockets, processors, and what this machine offers.
//!
//! [`Driver`](driver::Driver) is the narrow door between the engine and whatever moves the bytes.
//! Nothing above this module knows which driver runs. Unsafe code of the engine lives here, in
//! `buf` and in the queues of `shard`.

pub mod affinity;
#[cfg(test)]
mod conformance;
pub mod driver;
pub(crate) mod latency;
pub(crate) mod notify;
pub mod probe;
pub mod sim;
pub mod socket;
mod table;
pub mod uring;
