//! Shards: one thread, one core, one loop, and the communication between them.
//!
//! [`Engine`] starts the threads and hands out work. On each, the *pump* drives the hot ring:
//! enter → collect completions → dispatch → inbox → timers → post what is to be sent, and again;
//! it spins a little or parks when nothing is left to do. Connections and handlers live in
//! `local`, which does not know the driver.

#[cfg(not(loom))]
mod backend;
#[cfg(not(loom))]
pub(crate) mod blocking;
#[cfg(not(loom))]
mod coalesce;
#[cfg(not(loom))]
pub(crate) mod command;
#[cfg(not(loom))]
pub(crate) mod conn;
#[cfg(not(loom))]
mod engine;
#[cfg(not(loom))]
pub(crate) mod executor;
#[cfg(not(loom))]
pub(crate) mod handle;
pub mod inbox;
#[cfg(not(loom))]
mod link;
#[cfg(not(loom))]
pub(crate) mod local;
#[cfg(not(loom))]
mod log_gate;
#[cfg(not(loom))]
pub(crate) mod memory_waiters;
#[cfg(not(loom))]
mod park;
#[cfg(not(loom))]
pub(crate) mod pump;
#[cfg_attr(loom, allow(dead_code, reason = "the models use a part of it"))]
pub(crate) mod remote;
#[cfg(not(loom))]
pub(crate) mod remote_overflow;
#[cfg(not(loom))]
pub(crate) mod remote_sink;
#[cfg(not(loom))]
pub mod spin;
#[cfg(not(loom))]
mod start;
#[cfg(not(loom))]
mod task;
#[cfg(not(loom))]
pub mod timer;
#[cfg(loom)]
#[path = "executor/wake_list.rs"]
mod wake_list;

#[cfg(not(loom))]
pub use engine::{Engine, EngineBuilder};
#[cfg(not(loom))]
pub use executor::{Elapsed, JoinError, JoinHandle, RemoteJoin, Sleep, SpawnError, Timeout};
#[cfg(not(loom))]
pub use handle::ShardHandle;
#[cfg(not(loom))]
pub use task::{ShardTask, TaskContext, TaskTimer};
