//! The floors ringrail is measured against.

mod blocking;
pub mod floor;
mod frame;
mod meter;
mod net;
pub mod pattern;
mod region;
pub mod report;
mod requests;
mod ring;
pub mod role;
mod source;
mod usage;
pub mod workload;
