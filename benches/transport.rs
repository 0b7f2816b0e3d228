//! `cargo bench`: every workload that the project is judged by, beside its floors, in short rounds.
//!
//! Runs `ringrail bench suite`, so figures are taken one way only. Arguments after `--` are passed
//! to it:
//! `cargo bench --bench transport -- --rounds 5 --seconds 1`.

use std::process::{Command, ExitCode};

/// Enough to see a regression; figures to be published want more.
const SHORT: [&str; 4] = ["--rounds", "3", "--seconds", "0.3"];

fn main() -> ExitCode {
    // cargo adds this to the arguments of every benchmark.
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let mut suite = Command::new(env!("CARGO_BIN_EXE_ringrail"));
    suite.args(["bench", "suite"]);
    if given.is_empty() {
        suite.args(SHORT);
    } else {
        suite.args(given);
    }
    match suite.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot run {}: {error}", env!("CARGO_BIN_EXE_ringrail"));
            ExitCode::FAILURE
        }
    }
}
