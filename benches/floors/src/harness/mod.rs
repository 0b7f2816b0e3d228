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
//! Candidates take turns, because a machine's speed drifts: only runs of one sitting are compared.
//! Medians are reported, so that one disturbed round does not count. A run disturbed by other
//! processes is repeated, and the remaining disturbance is reported. A run whose client did not
//! verify its answers is an error, not a result.
//!
//! Each measured program is a [`Candidate`]: two command lines and the line protocol described
//! there. The floors (baselines) of this crate are candidates like any other ([`FloorCandidate`]).

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
