//! Scala's own values: `Option`, collections and enumerations, in the forms of 2.12 and of 2.13.
//!
//! The form that comes depends on how Spark happened to build a value, so readers take any of them for any
//! sequence or map; the form that is written is the shortest that the peer's version has.

mod enumeration;
mod map;
mod option;
mod seq;

pub use enumeration::{DriverState, ExecutorState, RecoveryState};
pub use map::Map;
