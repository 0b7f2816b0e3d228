//! ringrail as a candidate of the harness: two command lines.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use ringrail_floors::harness::Candidate;
use ringrail_floors::workload::{Work, Workload};

use super::worker::{Caller, Setup, asks};

/// ringrail in one of its set-ups, run by this executable.
#[derive(Debug)]
pub(super) struct Product {
    name: &'static str,
    setup: Setup,
    exe: PathBuf,
    /// Arguments that have it configured.
    more: Vec<String>,
}

impl Product {
    /// The set-ups that are measured: bare by each of the callers, with checksums, and by the RPC
    /// environment. `more` are further arguments.
    pub(super) fn all(callers: &[Caller], more: &[String]) -> io::Result<Vec<Self>> {
        let exe = std::env::current_exe()?;
        let product = |name, checksum, asks, caller| Product {
            name,
            setup: Setup {
                checksum,
                hosted: false,
                spark: false,
                asks,
                caller,
            },
            exe: exe.clone(),
            more: more.to_vec(),
        };
        let by = |caller: &Caller| {
            let name = match caller {
                Caller::Callback => "ringrail",
                Caller::Future => "ringrail future",
                Caller::Tokio => "ringrail tokio",
                Caller::Thread => "ringrail thread",
            };
            product(name, false, false, *caller)
        };
        let mut all: Vec<_> = callers.iter().map(by).collect();
        all.push(product("ringrail+crc", true, false, Caller::Callback));
        all.push(product("ringrail ask", false, true, Caller::Callback));
        Ok(all)
    }

    /// A command line of this executable.
    pub(super) fn command(&self, role: &str, workload: &Workload) -> Command {
        let mut command = Command::new(&self.exe);
        let workload = serde_json::to_string(workload).unwrap_or_default();
        let setup = serde_json::to_string(&self.setup).unwrap_or_default();
        command.args(["bench-worker", role, &workload, &setup]);
        command.args(&self.more);
        command
    }
}

impl Candidate for Product {
    fn name(&self) -> &str {
        self.name
    }

    fn supports(&self, workload: &Workload) -> bool {
        match workload.work {
            Work::Chunks { .. } => !self.setup.asks && self.setup.caller == Caller::Callback,
            // Checksums are of bodies that travel in slices; RPCs of this size have none.
            Work::Rpc { size, reply } if self.setup.asks => {
                workload.conns == 1 && size == reply && asks::SIZES.contains(&size)
            }
            Work::Rpc { .. } => !self.setup.checksum,
        }
    }

    fn server_cmd(&self, workload: &Workload) -> Command {
        self.command("server", workload)
    }

    fn client_cmd(&self, workload: &Workload, addr: &str) -> Command {
        let mut command = self.command("client", workload);
        command.arg(addr);
        command
    }
}
