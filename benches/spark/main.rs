//! `cargo bench --bench spark`: ringrail beside Spark itself, in one sitting.
//!
//! The same Java client asks Spark's server and ours, and either client asks Spark's server; bare
//! sockets that speak just enough of Spark's frames stand beside them as the floor. Then Spark's shuffle service
//! and ours serve the same blocks, and the same PySpark job runs with either. Everything runs in a network
//! namespace whose loopback has one congestion control, for Java cannot choose its own.
//!
//! ```text
//!   main ─ namespace (itself, started again inside) ─┬─ rounds ── side ── Java peers, ringrail, floor
//!                                                    ├─ blocks ── shuffle services, block fetchers
//!                                                    └─ jobs ──── shuffle services, PySpark
//! ```
//!
//! `floor` is also what this program does when it is started as one side of a floor.

mod blocks;
mod cli;
mod floor;
mod jobs;
mod namespace;
mod pairs;
mod rounds;
mod side;
mod table;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;

fn main() -> ExitCode {
    // cargo adds this to the arguments of every benchmark.
    let args = std::env::args_os().filter(|arg| arg != "--bench");
    let done = match Cli::parse_from(args) {
        Cli {
            floor: Some(role), ..
        } => floor::run(&role),
        Cli {
            block_client: Some(order),
            ..
        } => blocks::client::run(&order),
        cli => cli.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench spark: {error:#}");
            ExitCode::FAILURE
        }
    }
}
