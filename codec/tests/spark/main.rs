//! Spark's protocol: its bytes as Spark itself writes them, its refusals, and what hostile peers send.

mod auth;
mod bitmaps;
mod captured;
mod doc_examples;
mod frames;
mod hostile_bytes;
mod limits;
mod message_splits;
mod messages;
mod peers;
mod records;
mod refusals;
mod seeded;
mod splits;
mod stored;
mod strategies;
