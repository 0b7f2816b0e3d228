//! Java's streams: what Spark's processes wrote is read and written again, and nothing hostile is believed.
#![cfg(feature = "spark")]

mod envelopes;
mod fixtures;
mod hostile_messages;
mod limits;
mod messages;
mod profiles;
mod stored;
mod streams;
mod trees;
