//! Spark's own keys.

mod old;

pub(in crate::conf) use old::{DEPRECATED, RENAMED};
