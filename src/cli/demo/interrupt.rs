//! Ctrl-C ends the demonstration, and what it made is removed all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

/// Whether a signal has come. A second one ends the process at once.
#[derive(Clone, Debug)]
pub(super) struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    pub(super) fn watch() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, and raises it.
            register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))
                .and_then(|_| register(signal, Arc::clone(&flag)))
                .context("cannot watch for signals")?;
        }
        Ok(Self { flag })
    }

    /// An error once a signal has come.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.flag.load(Ordering::Acquire) {
            bail!("interrupted; what was made is removed");
        }
        Ok(())
    }
}
