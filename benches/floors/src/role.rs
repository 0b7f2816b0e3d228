//! The two processes of a floor: what a binary becomes when the environment names a role.
//!
//! The harness starts the current executable once more with [`ROLE`] set; its `main` calls
//! [`run_if_asked`] first and so turns into the server or the client of a floor, whatever command
//! line it has otherwise. The line protocol is the one that every candidate speaks
//! ([`crate::harness::Candidate`]).

use crate::floor::Floor;
use crate::net;
use crate::report::{ClientReport, ServerReport};
use crate::source::Chunks;
use crate::usage::{Who, cpu_seconds};
use crate::workload::Workload;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Map;
use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode};

/// `server` or `client`.
pub const ROLE: &str = "RINGRAIL_FLOOR_ROLE";
/// The floor's name.
pub const FLOOR: &str = "RINGRAIL_FLOOR";
/// The workload as JSON.
pub const WORKLOAD: &str = "RINGRAIL_FLOOR_WORKLOAD";
/// The server's address; for clients.
pub const ADDR: &str = "RINGRAIL_FLOOR_ADDR";

/// The input of a server.
pub(crate) struct Serving<'a> {
    /// The workload.
    pub(crate) workload: &'a Workload,
    /// Its chunks; `None` for workloads without chunks.
    pub(crate) chunks: Option<Chunks>,
}

impl Serving<'_> {
    /// The chunks' bytes; none for RPCs.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.chunks.as_ref().map_or(&[], Chunks::bytes)
    }

    /// The chunks' file, if they come from one.
    pub(crate) fn file(&self) -> Option<&File> {
        self.chunks.as_ref().and_then(Chunks::file)
    }
}

/// The totals of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    ops: u64,
    bytes: u64,
}

impl Served {
    /// `ops` answers of `size` bytes each.
    pub(crate) fn count(&mut self, ops: u64, size: u32) {
        self.ops += ops;
        self.bytes += ops * u64::from(size);
    }

    /// Adds the totals of another connection.
    pub(crate) fn add(&mut self, other: &Self) {
        self.ops += other.ops;
        self.bytes += other.bytes;
    }
}

/// Runs the role that the environment names, if it names one: call this first in `main`, and exit
/// with what it returns.
///
/// ```
/// assert!(ringrail_floors::role::run_if_asked().is_none()); // nobody asked
/// ```
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    let role = env::var(ROLE).ok()?;
    Some(match run(&role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor {role}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

/// Makes `command` run the role of `floor` for `workload`; `addr` is the server's address, for
/// clients.
pub(crate) fn ask(command: &mut Command, floor: Floor, workload: &Workload, addr: Option<&str>) {
    let json = serde_json::to_string(workload).unwrap_or_default();
    command.env(FLOOR, floor.name()).env(WORKLOAD, json);
    match addr {
        None => command.env(ROLE, "server"),
        Some(addr) => command.env(ROLE, "client").env(ADDR, addr),
    };
}

fn run(role: &str) -> Result<()> {
    let floor: Floor = var(FLOOR)?.parse()?;
    let workload: Workload =
        serde_json::from_str(&var(WORKLOAD)?).context("reading the workload")?;
    workload.validate()?;
    match role {
        "server" => server(floor, &workload),
        "client" => client(floor, &workload),
        other => bail!("{ROLE} is {other:?}, not server or client"),
    }
}

fn server(floor: Floor, workload: &Workload) -> Result<()> {
    let serving = Serving {
        workload,
        chunks: workload.source().map(Chunks::open).transpose()?,
    };
    let listener = net::listen()?;
    let addr = listener.local_addr()?;
    let cpu_before = cpu_seconds(Who::Process);
    say(format_args!("ready {addr}"))?;
    let served = floor.serve(&serving, &listener, io::stdin().as_fd())?;
    say_json(&ServerReport {
        cpu_s: cpu_seconds(Who::Process) - cpu_before,
        ops: Some(served.ops),
        bytes: Some(served.bytes),
        extra: Map::new(),
    })
}

fn client(floor: Floor, workload: &Workload) -> Result<()> {
    let addr = var(ADDR)?.parse().context("reading the server's address")?;
    let metered = floor.drive(workload, addr)?;
    say_json(&ClientReport::checked(&metered, workload.answer_size()))
}

fn var(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}

fn say_json(report: &impl Serialize) -> Result<()> {
    say(format_args!("{}", serde_json::to_string(report)?))
}

fn say(line: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
