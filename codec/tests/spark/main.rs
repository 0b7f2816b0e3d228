//! Spark's protocol: its bytes as Spark itself writes them, its refusals, and what hostile peers send.

mod bitmaps;
mod frames;
mod hostile_bytes;
mod limits;
mod message_splits;
mod messages;
mod refusals;
mod splits;
mod stored;
mod strategies;
