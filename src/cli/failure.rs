//! How the command ends: exit codes, and the one place that prints errors.

use std::fmt;
use std::process::ExitCode;

use anyhow::Error;

/// Something failed that no other code is for.
pub(crate) const FAILED: u8 = 1;
/// Some files could not be fetched; all others are there.
pub(crate) const INCOMPLETE: u8 = 3;
/// The server could not be reached, or went away: trying later may help.
pub(crate) const NO_SERVER: u8 = 4;
/// The destination cannot be written: disk full, permissions, something in the way.
pub(crate) const NO_DESTINATION: u8 = 5;

/// A command's failure: what to print and which code to exit with.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: Error,
}

impl Failure {
    /// A failure with a code of its own.
    pub(crate) fn with(code: u8, error: impl Into<Error>) -> Self {
        Self {
            code,
            error: error.into(),
        }
    }

    /// Prints the error and what caused it; the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut last = self.error.to_string();
        eprintln!("ringrail: {last}");
        for cause in self.error.chain().skip(1) {
            let text = cause.to_string();
            // Errors of this crate say their causes themselves.
            if !last.contains(&text) {
                eprintln!("  because: {text}");
            }
            last = text;
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::with(FAILED, error)
    }
}

/// The result of a subcommand.
pub(crate) type Outcome = Result<ExitCode, Failure>;
