//! The engine's scenarios: whole shards talking to each other, over a simulated network or over
//! the kernel's.
//!
//! A [`Cluster`](cluster::Cluster) has some shards (pump, connections and handlers as in a program,
//! nothing replaced above the driver) on a [`Ground`](ground::Ground) that makes their drivers and
//! lets time pass. A scenario is a function from a seed: it draws its settings and its actions from
//! it, so that a failing seed replays exactly. The invariants that must hold after every run,
//! whatever faults occurred, are in `cluster::finish`.
//!
//! Every simulated test runs many seeds: `RINGRAIL_SEEDS=n` says how many, `RINGRAIL_SEED=n` runs
//! that seed alone. A failing seed is named together with the last events of its world.

mod actors;
mod backpressure;
mod board;
mod body_room;
mod claims;
mod cluster;
mod content;
mod credit;
mod cut;
mod deadlines;
mod drains;
mod epoll;
mod faults;
mod ground;
mod handshake;
mod hot_path;
mod memory;
mod misdeeds;
mod puppet;
mod raw;
mod reconnect;
mod remote_overflow;
mod retracted;
mod seeds;
mod service;
mod settings;
mod shard;
mod silence;
mod sliced;
mod spark;
mod streams;
mod tasks;
mod uploads;
mod wire;

mod mixed;
