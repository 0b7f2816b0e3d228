//! Pooled buffers: where every payload byte lives between the wire and the handler.
//!
//! A shard owns one [`Pool`]. It hands out [`LeaseMut`]s (unique, writable: receives and send
//! buffers) which freeze into [`Lease`]s (shared, read-only, reference counted, `Send`). The last
//! drop of a lease, on any thread, returns the memory to the pool it came from; the pool may die
//! first. [`Gather`] is what leaves in one vectored send: frame headers written into one leased
//! buffer, payloads by reference.
//!
//! Data flow: `Pool → LeaseMut → (kernel writes) → Lease → handler / bytes::Bytes → back to Pool`.
//!
//! All unsafe code of buffer memory is in `slot`, `lease`, `pool` and `map`.

mod class;
mod gather;
mod lease;
mod managed;
mod map;
mod pool;
mod returns;
mod slot;
mod sums;

pub use class::{MAX_LEASE_LEN, MIN_LEASE_LEN, class_size};
pub use gather::{Body, Gather, MAX_PIECES, Piece};
pub use lease::{Lease, LeaseMut};
pub use managed::{FileSegment, ManagedBuffer, SummedBody};
pub use map::{MapSlice, Mapping};
pub use pool::{Pool, PoolStats, Reservation};
pub use sums::GRANULE_LEN;
pub(crate) use sums::{BlockSums, Summed, granular_len};
