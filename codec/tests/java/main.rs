//! Java's streams: what Spark's processes wrote is read and written again, and nothing hostile is believed.
#![cfg(feature = "spark")]

mod fixtures;
mod limits;
mod messages;
mod stored;
mod streams;
mod trees;
