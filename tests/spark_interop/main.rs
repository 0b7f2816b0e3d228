//! Real Spark against ringrail, in both directions.
//!
//! Every test here needs real Spark and is ignored without it:
//!
//! ```sh
//! eval "$(.ci/spark)"
//! cargo test --test spark_interop -- --ignored
//! ```
//!
//! `sparks_clients` has Spark's TransportClient talk to a ringrail server, `sparks_servers` the other
//! way round. `block_clients` drives a shuffle service with Spark's own block store client, `jobs` runs PySpark
//! applications whose shuffle goes through it. Both check what arrived against what was written, and
//! the service's own counters: that it was the service that served. `two_hosts` does so on two hosts, which are
//! network namespaces: where the machine does not let a test make any, it says so and is skipped.
//!
//! `sparks_cluster` plays a Worker, a driver and a client at Spark's Master, and a Master for Spark's Worker.
//! `java_objects` has Java and Spark's own classes read and compare what the codec writes.
//!
//! With `RINGRAIL_INTEROP_SERVICE=spark` the same tests run against Spark's own shuffle service,
//! which proves the tests.

mod auth;
mod block_clients;
mod block_refusals;
mod java_objects;
mod jobs;
mod pushed_blocks;
mod same_refusals;
mod sparks_clients;
mod sparks_cluster;
mod sparks_servers;
mod support;
#[path = "../../codec/tests/java/trees.rs"]
mod trees;
mod two_hosts;
