//! The native protocol: its bytes, its rules and its machines, each checked against something independent.

mod any_frame;
mod archives;
mod bulk;
mod bulk_rules;
mod doc_examples;
mod fixtures;
mod frame_rules;
mod frames;
mod handshakes;
mod hostile_bytes;
mod life;
mod limits;
mod sniffing;
mod stored;
mod strategies;
