//! Spark's own keys, so that a Spark cluster's settings are understood as they are.
//!
//! `global`, `rpc` and `service` have those with one name, [`modules`] those that exist per module, `old`
//! those that were given up. A key that means something here is an alternate of ringrail's own key;
//! the meaning of the others says why nothing comes of them.

pub mod authentication;
pub mod global;
pub mod modules;
mod old;
pub mod rpc;
pub mod service;

pub(in crate::conf) use old::{DEPRECATED, RENAMED};
