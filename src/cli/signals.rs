//! Signals that end a server.

use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::failure::Failure;

/// Passes the first SIGTERM or SIGINT on; the second ends the process.
pub(crate) fn watch_signals() -> Result<Receiver<i32>, Failure> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot watch for signals")?;
    let (first, received) = sync_channel(1);
    std::thread::Builder::new()
        .name(String::from("ringrail-signals"))
        .spawn(move || {
            for signal in signals.forever() {
                if first.try_send(signal).is_err() {
                    std::process::exit(128 + signal);
                }
            }
        })?;
    Ok(received)
}
