//! Measuring candidates against floors: each in two processes, pinned, in turns, with every answer
//! checked.
//!
//! ```text
//!   measure(candidates, workload, plan)
//!      round 1:  A B C        each:  server process (core 0) <── loopback TCP ──> client process (core 1)
//!      round 2:  A B C                  │ "ready ADDR"                               │ one line of JSON
//!      ...                              │ stdin closed: one line of JSON             │
//!      medians per candidate, ratios to the best floor
//! ```
//!
//! Turns, because a machine's speed drifts: what runs side by side is compared, never a number from
//! another day. Medians, because one round in a bad moment must not count. A run that others
//! disturbed is repeated, and what remains is shown. A run whose client did not verify its answers
//! is an error, not a result.
//!
//! What is measured plugs in as a [`Candidate`]: two command lines and the line protocol described
//! there. The floors of this crate are candidates like any other ([`FloorCandidate`]).

mod candidate;
mod compare;
mod cores;
mod error;
mod file;
mod load;
mod process;
mod sample;
pub mod suite;
mod table;

pub use candidate::{Candidate, FloorCandidate};
pub use compare::{Comparison, Entry, Plan, Ratios, measure};
pub use cores::{Cores, pin};
pub use error::{HarnessError, Side};
pub use file::PatternFile;
pub use load::{Watch, wait_for_quiet};
pub use process::{Run, run_once};
pub use sample::Sample;
