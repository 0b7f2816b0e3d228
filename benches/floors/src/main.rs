//! Runs the floors alone; as a child process, one side of a floor.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringrail_floors::role::run_if_asked().unwrap_or(ExitCode::FAILURE)
}
