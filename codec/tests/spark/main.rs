//! Spark's protocol: its bytes as Spark itself writes them, its refusals, and what hostile peers send.

mod frames;
mod hostile_bytes;
mod limits;
mod refusals;
mod splits;
mod stored;
mod strategies;
