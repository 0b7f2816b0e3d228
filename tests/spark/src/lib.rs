//! Real Spark for tests and benchmarks.
//!
//! - [`Install`]: where `.ci/spark` has put a version of Spark, and how its programs are started.
//! - [`Peer`]: a process on Spark's own network library (`java/`), driven by commands: clients,
//!   servers, block store clients, its shuffle service, and load for measurements.
//! - [`ServiceProcess`]: a shuffle service as a process of its own, Spark's or ringrail's, with its
//!   counters; it can be killed and started again on the same port.
//! - [`Job`]: a PySpark job whose result is known without Spark.
//! - [`Daemon`]: Spark's Master or Worker on this host.
//! - [`Host`] and [`Cluster`]: two hosts of their own, and a cluster of Spark's on both.
//!
//! Every process belongs to a value, is ended by its own id when that value goes, and shows the end
//! of its log when something goes wrong.

mod call;
mod cluster;
mod counters;
mod daemon;
mod error;
mod host;
mod install;
mod job;
mod peer;
mod process;
mod service;

pub use call::Call;
pub use cluster::Cluster;
pub use counters::Counters;
pub use daemon::Daemon;
pub use error::SparkError;
pub use host::Host;
pub use install::{Install, Version};
pub use job::{Job, JobOutcome, Moment, expected};
pub use peer::Peer;
pub use process::{Process, free_port};
pub use service::{ServiceKind, ServiceProcess};
