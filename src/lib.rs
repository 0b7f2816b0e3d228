//! ringrail: a zero-copy io_uring transport engine.
#![forbid(unsafe_code)]
