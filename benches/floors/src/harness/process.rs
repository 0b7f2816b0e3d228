//! One run of one candidate: start the server, start the client, collect their reports, leave
//! nothing behind.

use super::candidate::Candidate;
use super::cores::{self, Cores};
use super::error::{HarnessError, Side};
use super::load::Watch;
use crate::report::{ClientReport, ServerReport};
use crate::workload::{Length, Placement, Workload};
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may be silent beyond the workload's own length.
const PATIENCE: Duration = Duration::from_secs(60);

/// The output of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The client's last line.
    pub client: ClientReport,
    /// The server's last line.
    pub server: ServerReport,
    /// The fraction of the cores' time that neither side used and that was not idle: what
    /// neighbours took.
    pub used_by_others: f64,
}

/// Runs `workload` once with `candidate` and returns what its two sides reported.
///
/// # Errors
/// See [`HarnessError`]; in every case both processes have ended when this returns.
pub fn run_once(candidate: &dyn Candidate, workload: &Workload) -> Result<Run, HarnessError> {
    workload.validate()?;
    let cores = Cores::choose(workload.placement)?;
    let name = candidate.name();
    let patience = match workload.length {
        Length::Seconds(seconds) => PATIENCE + Duration::from_secs_f64(seconds * 1.5),
        Length::Ops(_) => PATIENCE,
    };
    let pinned = workload.placement != Placement::NotPinned;
    let watch = Watch::start(cores);
    let mut server = Process::start(
        candidate.server_cmd(workload),
        name,
        Side::Server,
        pinned.then_some(cores.server),
    )?;
    let line = server.line(PATIENCE)?;
    let Some(addr) = line.strip_prefix("ready ") else {
        return Err(HarnessError::NotReady {
            candidate: name.to_owned(),
            line,
        });
    };
    let mut client = Process::start(
        candidate.client_cmd(workload, addr),
        name,
        Side::Client,
        pinned.then_some(cores.client),
    )?;
    let client_report = client.report(patience)?;
    client.end()?;
    let server_report = server.report(PATIENCE)?;
    server.end()?;
    Ok(Run {
        client: client_report,
        server: server_report,
        used_by_others: watch.used_by_others(),
    })
}

/// A child process that cannot outlive this value.
struct Process {
    child: Child,
    lines: Receiver<String>,
    candidate: String,
    side: Side,
}

impl Process {
    fn start(
        mut command: Command,
        candidate: &str,
        side: Side,
        core: Option<usize>,
    ) -> Result<Self, HarnessError> {
        let stdin = match side {
            Side::Server => Stdio::piped(),
            Side::Client => Stdio::null(),
        };
        command.stdin(stdin).stdout(Stdio::piped());
        if let Some(core) = core {
            cores::pin(&mut command, core);
        }
        let mut child = command.spawn().map_err(|source| HarnessError::Start {
            candidate: candidate.to_owned(),
            side,
            source,
        })?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self {
            child,
            lines,
            candidate: candidate.to_owned(),
            side,
        })
    }

    fn line(&mut self, patience: Duration) -> Result<String, HarnessError> {
        let (candidate, side) = (self.candidate.clone(), self.side);
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(HarnessError::Silent {
                candidate,
                side,
                waited: patience,
            }),
            Err(RecvTimeoutError::Disconnected) => Err(HarnessError::Ended {
                status: self.wait()?,
                candidate,
                side,
            }),
        }
    }

    /// Closes the process's stdin, if it has one, and reads its last line.
    fn report<R: DeserializeOwned>(&mut self, patience: Duration) -> Result<R, HarnessError> {
        drop(self.child.stdin.take());
        let line = self.line(patience)?;
        serde_json::from_str(&line).map_err(|source| HarnessError::BadReport {
            candidate: self.candidate.clone(),
            side: self.side,
            line,
            source,
        })
    }

    /// Waits for the end of a process that has said its last line.
    fn end(mut self) -> Result<(), HarnessError> {
        let status = self.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(HarnessError::Failed {
            candidate: self.candidate.clone(),
            side: self.side,
            status,
        })
    }

    fn wait(&mut self) -> Result<ExitStatus, HarnessError> {
        let (candidate, side) = (self.candidate.clone(), self.side);
        let started = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if started.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(1)),
                Ok(None) => {
                    return Err(HarnessError::Silent {
                        candidate,
                        side,
                        waited: PATIENCE,
                    });
                }
                Err(source) => {
                    return Err(HarnessError::Wait {
                        candidate,
                        side,
                        source,
                    });
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has been waited for, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
