//! Candidates of a measurement: two command lines that speak one line protocol.

use crate::floor::Floor;
use crate::role;
use crate::workload::Workload;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// Something that can do a workload in two processes.
///
/// The harness starts both commands, pinned to the cores that the workload names, with their
/// standard streams its own. They must set congestion control `cubic` and TCP_NODELAY on every
/// socket.
///
/// **Server**: listens on a free port of 127.0.0.1; prints `ready ADDR` and a newline (`ready
/// 127.0.0.1:40123`) when it accepts connections and has its chunks in memory; serves until its
/// stdin ends; then prints one line of JSON, a [`ServerReport`](crate::report::ServerReport), and
/// exits with success. A server must end when its stdin ends, so that none outlives
/// the harness.
///
/// **Client**: does the workload against ADDR ([`Workload::length`] measured, its
/// [`warm_up`](crate::workload::Length::warm_up) before that), checks the id, order and length of
/// every answer and a sample of the content ([`crate::pattern`]), prints one line of JSON, a
/// [`ClientReport`](crate::report::ClientReport), and exits with success; on a wrong answer, says
/// so on stderr and exits with a failure. Its stdin is empty.
///
/// ```
/// use ringrail_floors::harness::Candidate;
/// use ringrail_floors::workload::Workload;
/// use std::process::Command;
///
/// struct Mine;
///
/// impl Candidate for Mine {
///     fn name(&self) -> &str {
///         "mine"
///     }
///     fn server_cmd(&self, workload: &Workload) -> Command {
///         let mut command = Command::new("my-transport");
///         command.arg("bench-server").arg(serde_json::to_string(workload).unwrap());
///         command
///     }
///     fn client_cmd(&self, workload: &Workload, addr: &str) -> Command {
///         let mut command = Command::new("my-transport");
///         command.args(["bench-client", addr]).arg(serde_json::to_string(workload).unwrap());
///         command
///     }
/// }
/// ```
pub trait Candidate {
    /// The name in tables; unique among the candidates of a comparison.
    fn name(&self) -> &str;

    /// Whether others are measured against it.
    fn is_floor(&self) -> bool {
        false
    }

    /// Whether it can do this work; if not, it is left out of the comparison.
    fn supports(&self, _workload: &Workload) -> bool {
        true
    }

    /// The command that serves the workload.
    fn server_cmd(&self, workload: &Workload) -> Command;

    /// The command that does the workload against the server at `addr`.
    fn client_cmd(&self, workload: &Workload, addr: &str) -> Command;
}

/// A floor of this crate, run by an executable whose `main` begins with [`role::run_if_asked`].
#[derive(Clone, Debug)]
pub struct FloorCandidate {
    floor: Floor,
    exe: PathBuf,
}

impl FloorCandidate {
    /// `floor`, run by `exe`.
    pub fn new(floor: Floor, exe: impl Into<PathBuf>) -> Self {
        Self {
            floor,
            exe: exe.into(),
        }
    }

    /// Every floor, run by the current executable.
    ///
    /// # Errors
    /// The system cannot tell what the current executable is.
    pub fn all() -> io::Result<Vec<Self>> {
        let exe = std::env::current_exe()?;
        Ok(Floor::ALL.map(|floor| Self::new(floor, &exe)).into())
    }
}

impl Candidate for FloorCandidate {
    fn name(&self) -> &str {
        self.floor.name()
    }

    fn is_floor(&self) -> bool {
        self.floor.is_baseline()
    }

    fn supports(&self, workload: &Workload) -> bool {
        self.floor.supports(workload)
    }

    fn server_cmd(&self, workload: &Workload) -> Command {
        let mut command = Command::new(&self.exe);
        role::ask(&mut command, self.floor, workload, None);
        command
    }

    fn client_cmd(&self, workload: &Workload, addr: &str) -> Command {
        let mut command = Command::new(&self.exe);
        role::ask(&mut command, self.floor, workload, Some(addr));
        command
    }
}
