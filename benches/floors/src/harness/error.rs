//! Errors of a measurement.

use crate::workload::WorkloadError;
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// One of a candidate's two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The answering process.
    Server,
    /// The asking process.
    Client,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// Why there is no result. The stderr of a process goes to the harness's own.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// The workload is outside its limits.
    #[error("this workload cannot be run")]
    Workload(#[from] WorkloadError),
    /// No candidate can do the workload.
    #[error("none of the candidates can do {workload}")]
    NoCandidates {
        /// The workload's name.
        workload: String,
    },
    /// No rounds were asked for.
    #[error("a comparison needs at least one round")]
    NoRounds,
    /// The workload wants two cores and the process may use only one.
    #[error(
        "the workload wants two cores, but this process may run on {allowed} only: see taskset, cpusets and container limits"
    )]
    TooFewCores {
        /// How many cores the process may run on.
        allowed: usize,
    },
    /// The cores that this process may run on are unknown.
    #[error("asking the kernel which cores this process may run on")]
    Cores(#[source] io::Error),
    /// A process could not be started.
    #[error("starting the {side} of {candidate}")]
    Start {
        /// The candidate.
        candidate: String,
        /// The process.
        side: Side,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A process said nothing for too long, and was killed.
    #[error("the {side} of {candidate} said nothing for {waited:?} and was killed")]
    Silent {
        /// The candidate.
        candidate: String,
        /// The process.
        side: Side,
        /// Time that the harness waited.
        waited: Duration,
    },
    /// A process ended without its report line.
    #[error(
        "the {side} of {candidate} ended ({status}) without the line expected of it; its stderr says why"
    )]
    Ended {
        /// The candidate.
        candidate: String,
        /// The process.
        side: Side,
        /// Its exit status.
        status: ExitStatus,
    },
    /// A process reported and then failed.
    #[error("the {side} of {candidate} reported, but then ended with {status}")]
    Failed {
        /// The candidate.
        candidate: String,
        /// The process.
        side: Side,
        /// Its exit status.
        status: ExitStatus,
    },
    /// A server's first line is not `ready ADDR`.
    #[error("the server of {candidate} began with {line:?}, not with `ready ADDR`")]
    NotReady {
        /// The candidate.
        candidate: String,
        /// The line.
        line: String,
    },
    /// A report is not the JSON that it should be.
    #[error("the {side} of {candidate} reported {line:?}")]
    BadReport {
        /// The candidate.
        candidate: String,
        /// The process.
        side: Side,
        /// The line.
        line: String,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// The client did nothing, or did not check what it got.
    #[error("the client of {candidate} reported {what}: that is no measurement")]
    NotMeasured {
        /// The candidate.
        candidate: String,
        /// The missing value.
        what: &'static str,
    },
    /// Waiting for a process failed.
    #[error("waiting for the {side} of {candidate}")]
    Wait {
        /// The candidate.
        candidate: String,
        /// The process.
        side: Side,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}
