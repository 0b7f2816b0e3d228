//! Runs a command as the default profiles of containers do: without io_uring.
//!
//! ```sh
//! cargo run --example confined -- cargo test --workspace
//! ```
//!
//! A seccomp filter refuses the three calls of io_uring with `EPERM`, as Docker's and containerd's profiles do; it
//! holds for everything that the command starts.

use std::collections::BTreeMap;
use std::error::Error;
use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// `io_uring_setup`, `io_uring_enter` and `io_uring_register`: the same numbers on every architecture.
const IO_URING: [i64; 3] = [425, 426, 427];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let command = args.next().ok_or("usage: confined COMMAND [ARGUMENT]...")?;
    let forbidden = IO_URING.map(|number| (number, Vec::new()));
    let filter = SeccompFilter::new(
        BTreeMap::from(forbidden),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    apply_filter(&BpfProgram::try_from(filter)?)?;
    // Returns where the command could not be started.
    Err(Command::new(command).args(args).exec().into())
}
