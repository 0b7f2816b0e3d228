//! Results on stdout: lines for people, or one JSON document for programs.

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;

use super::failure::Failure;

/// Prints a line and flushes it, so that a reader of the pipe gets it at once.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("cannot write to stdout")?;
    Ok(())
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_string_pretty(value).context("cannot write JSON")?)
}
