//! The messages between Masters, Workers, drivers and submitting clients, and what stands in them.
//!
//! Names and fields are Spark's. Who sends which to whom, and what answers it, is written in
//! `docs/spark-rpc.md`.

mod any;
mod application;
mod description;
mod driver;
mod endpoint;
mod executor;
mod info;
mod master;
mod resource;
mod worker;

pub use any::Message;
pub use application::*;
pub use description::*;
pub use driver::*;
pub use endpoint::*;
pub use executor::*;
pub use info::*;
pub use master::*;
pub use resource::*;
pub use worker::*;
