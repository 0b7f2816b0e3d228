//! The commands `serve` and `fetch`, run as processes of their own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

fn ringrail() -> anyhow::Result<Command> {
    Ok(Command::new(
        std::env::current_exe().context("cannot find this program's own file")?,
    ))
}

/// A `ringrail serve` that runs; dropping it ends it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    uri: String,
}

impl Server {
    /// `more` are further arguments.
    pub(super) fn start(
        dir: &Path,
        listen: &str,
        no_checksum: bool,
        more: &[String],
    ) -> anyhow::Result<Self> {
        let mut command = ringrail()?;
        command
            .arg("serve")
            .arg(dir)
            .args(["--listen", listen])
            .args(more)
            .stdout(Stdio::piped());
        if no_checksum {
            command.arg("--no-checksum");
        }
        let mut child = command.spawn().context("cannot start `ringrail serve`")?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let uri = line
            .strip_prefix("listening on ")
            .map(|uri| uri.trim_end().to_owned());
        let mut server = Self {
            child,
            uri: uri.unwrap_or_default(),
        };
        if server.uri.is_empty() {
            let status = server.child.wait()?;
            bail!("`ringrail serve` has not begun to listen ({status})");
        }
        Ok(server)
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// Has it drain, as an operator would.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            bail!("`ringrail serve` ended with {status}")
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The report of a fetch process.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Fetched {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) gb_per_s: f64,
}

pub(super) fn fetch(
    uri: &str,
    to: &Path,
    connections: usize,
    no_verify: bool,
    more: &[String],
) -> anyhow::Result<Fetched> {
    let mut command = ringrail()?;
    command
        .args([
            "fetch",
            uri,
            "--json",
            "--connections",
            &connections.to_string(),
            "-o",
        ])
        .arg(to)
        .args(more);
    if no_verify {
        command.arg("--no-verify");
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `ringrail fetch`")?;
    if !output.status.success() {
        return Err(anyhow!("`ringrail fetch` ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).context("`ringrail fetch` printed no result")
}
