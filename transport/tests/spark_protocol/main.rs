//! Spark's protocol beside the native one: the same handlers, other bytes.

#[path = "../support/mod.rs"]
mod support;

mod authentication;
mod bounds;
mod clients;
mod damage;
mod raw;
mod requests;
mod server;
