//! Logs: `tracing` events as lines on stderr.

use std::io::IsTerminal;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use super::failure::Failure;

/// Has what `filter` lets through written to stderr.
pub(crate) fn start(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow!("--log (or RINGRAIL_LOG) `{filter}` is no filter: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow!("cannot start logging: {error}"))?;
    Ok(())
}
