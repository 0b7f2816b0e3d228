//! The wire protocols of ringrail as pure state machines.
#![forbid(unsafe_code)]
