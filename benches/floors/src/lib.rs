//! The floors that ringrail is measured against, and the harness that measures both.
//!
//! A *floor* does the product's work with nothing between it and the kernel: blocking sockets, one
//! bare io_uring loop, `sendfile`. A ratio to a badly made floor flatters, so these are made with
//! care, and every answer's id, order and length is checked, with a sample of the content.
//!
//! - [`workload`]: what is measured. RPCs by size, chunks by size and source; connections, requests
//!   in flight, cores, waiting.
//! - [`floor`]: the floors by name. Each is a server and a client that run in two processes
//!   ([`role`]).
//! - [`harness`]: runs candidates in turns, takes medians, prints ratios. The product plugs in as a
//!   [`Candidate`](harness::Candidate).
//! - [`pattern`]: the content of every payload, so that either side can check any byte.
//!
//! A benchmark of the product looks like this:
//!
//! ```no_run
//! use ringrail_floors::harness::{Candidate, FloorCandidate, HarnessError, Plan, measure, suite};
//! use ringrail_floors::workload::Length;
//!
//! fn bench(product: &dyn Candidate) -> Result<(), Box<dyn std::error::Error>> {
//!     let floors = FloorCandidate::all()?;
//!     let mut candidates: Vec<&dyn Candidate> = floors.iter().map(|floor| floor as _).collect();
//!     candidates.push(product);
//!     for workload in suite::standard(Length::Seconds(1.0), None) {
//!         let comparison = measure(&candidates, &workload, Plan::default())?;
//!         eprintln!("{comparison}");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Its `main` begins with [`role::run_if_asked`], for the floors' processes are the current
//! executable started again.
//!
//! Data flows from `workload` through `harness` into two processes (`role`), there through one of
//! `blocking`, `ring` and `sendfile`, and back as [`report`]s.

mod blocking;
pub mod cli;
pub mod floor;
mod frame;
pub mod harness;
pub mod meter;
mod net;
mod outgoing;
pub mod pattern;
mod region;
pub mod report;
mod ring;
pub mod role;
mod sendfile;
mod source;
pub mod usage;
pub mod workload;
