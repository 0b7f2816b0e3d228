//! Errors of Spark's processes.

use std::io;
use std::time::Duration;

/// Why something could not be had of Spark.
#[derive(Debug, thiserror::Error)]
pub enum SparkError {
    /// Spark has not been set up.
    #[error(
        "no Spark {version} at {path}: run `eval \"$(.ci/spark)\"` first, which sets RINGRAIL_SPARK"
    )]
    NotInstalled {
        /// The version that was looked for.
        version: &'static str,
        /// The path.
        path: String,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// The attempted action.
        what: String,
        /// The reason.
        source: io::Error,
    },
    /// The peer's answer to a command says that it failed, as Spark's client would have told a
    /// program.
    #[error("{command} failed: {text}")]
    Refused {
        /// The command.
        command: String,
        /// Java's stack trace.
        text: String,
    },
    /// No answer came in time.
    #[error("{what} took longer than {waited:?}; its log ends with:\n{log}")]
    Silent {
        /// The awaited event.
        what: String,
        /// The time waited.
        waited: Duration,
        /// The end of the process's log.
        log: String,
    },
    /// The process ended before it had done what was asked.
    #[error("{what} ended early; its log ends with:\n{log}")]
    Ended {
        /// The process.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// An answer was not what the protocol promises.
    #[error("{what} said {line:?}")]
    Garbled {
        /// The process that printed the line.
        what: String,
        /// The line.
        line: String,
    },
}

impl SparkError {
    /// For `map_err` on what the system refuses.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
