//! The processes of a measurement: servers and clients, Java's and ours, each pinned.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, anyhow, bail};
use ringrail_floors::harness::{Cores, pin};
use ringrail_floors::report::ClientReport;
use ringrail_floors::workload::{Length, Source, Work, Workload};
use ringrail_spark_peers::{Call, Install, Peer, Process};
use tempfile::TempDir;

use crate::pairs::{Client, Server};

/// Memory of either Java process: room for the chunks, as an executor would have.
const HEAP: [&str; 3] = ["-Xms512m", "-Xmx1g", "-XX:MaxDirectMemorySize=1g"];

/// The Java processes and where everything is.
pub(crate) struct Processes {
    pub(crate) cores: Cores,
    pub(crate) java_server: Peer,
    pub(crate) java_client: Peer,
    exe: PathBuf,
    dir: TempDir,
}

/// A server that listens; it ends with this value.
pub(crate) enum Listening {
    /// Inside the Java process.
    Java { port: u64, pid: u32 },
    /// A process of its own.
    Own { port: u64, process: Process },
}

impl Processes {
    /// Starts Java on both cores.
    pub(crate) fn start(install: &Install, cores: Cores) -> anyhow::Result<Self> {
        let java = |core| Peer::start_prepared(install, &HEAP, |command| pin(command, core));
        Ok(Self {
            cores,
            java_server: java(cores.server)?,
            java_client: java(cores.client)?,
            exe: std::env::current_exe().context("finding this program")?,
            dir: tempfile::tempdir().context("a temporary directory")?,
        })
    }

    /// Starts `server` for `workload`.
    pub(crate) fn serve(&self, server: Server, workload: &Workload) -> anyhow::Result<Listening> {
        let json = serde_json::to_string(workload)?;
        let mut command = match server {
            Server::Spark => return self.serve_java(workload),
            Server::Ringrail => ringrail("server", &json),
            Server::Floor => self.floor(&["serve", &json, "gather"]),
            Server::Sendfile => self.floor(&["serve", &json, "sendfile"]),
        };
        pin(&mut command, self.cores.server);
        let mut process = self.own(command)?;
        let line = first_line(&mut process)?;
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| anyhow!("the server said {line:?}"))?;
        Ok(Listening::Own { port, process })
    }

    fn serve_java(&self, workload: &Workload) -> anyhow::Result<Listening> {
        let mut call = Call::new("serve")
            .arg("name", "bench")
            .arg("spark.shuffle.io.mode", "NIO");
        if let Work::Chunks { size, source } = &workload.work {
            call = call
                .arg("chunk_len", size)
                .arg("source_len", source.bytes());
            if let Source::File { path, .. } = source {
                call = call.arg("file", path.display());
            }
        }
        let port = self.java_server.call(&call)?["port"].as_u64();
        Ok(Listening::Java {
            port: port.context("no port")?,
            pid: self.java_server.id(),
        })
    }

    /// Ends the server in the Java process.
    pub(crate) fn stop_java(&self) -> anyhow::Result<()> {
        self.java_server
            .call(&Call::new("stop").arg("name", "bench"))?;
        Ok(())
    }

    /// Does `workload` against the server at `port`.
    pub(crate) fn load(
        &self,
        client: Client,
        workload: &Workload,
        port: u64,
    ) -> anyhow::Result<ClientReport> {
        let json = serde_json::to_string(workload)?;
        let addr = format!("127.0.0.1:{port}");
        let mut command = match client {
            Client::Spark => return self.load_java(workload, port),
            Client::Ringrail => {
                let mut command = ringrail("client", &json);
                command.arg(addr);
                command
            }
            Client::Floor => self.floor(&["load", &json, &addr]),
        };
        pin(&mut command, self.cores.client);
        let mut process = self.own(command)?;
        let line = first_line(&mut process)?;
        serde_json::from_str(&line).with_context(|| format!("the client said {line:?}"))
    }

    fn load_java(&self, workload: &Workload, port: u64) -> anyhow::Result<ClientReport> {
        let Length::Seconds(seconds) = workload.length else {
            bail!("Java measures for a time, not for a number of requests");
        };
        let call = Call::new("load")
            .arg("port", port)
            .arg("conns", workload.conns)
            .arg("in_flight", workload.in_flight)
            .arg("size", workload.size())
            .arg("seconds", seconds)
            .arg("warm_up", seconds / 10.0)
            .arg("spark.shuffle.io.mode", "NIO");
        let call = match &workload.work {
            Work::Rpc { .. } => call.arg("work", "rpc"),
            Work::Chunks { source, .. } => {
                call.arg("work", "chunks").arg("source_len", source.bytes())
            }
        };
        Ok(serde_json::from_value(self.java_client.call(&call)?)?)
    }

    fn floor(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command.arg("--floor").args(args);
        command
    }

    fn own(&self, command: Command) -> anyhow::Result<Process> {
        Ok(Process::start(
            "a side",
            command,
            self.dir.path().join("stderr"),
        )?)
    }
}

impl Listening {
    /// The port that it listens on.
    pub(crate) fn port(&self) -> u64 {
        match self {
            Self::Java { port, .. } | Self::Own { port, .. } => *port,
        }
    }

    /// The process that serves.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Java { pid, .. } => *pid,
            Self::Own { process, .. } => process.id(),
        }
    }
}

/// The product's side of a measurement, as `ringrail bench` starts it, in Spark's protocol.
fn ringrail(role: &str, workload: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringrail"));
    let setup = r#"{"checksum":false,"hosted":false,"asks":false,"spark":true}"#;
    command.args(["bench-worker", role, workload, setup]);
    command
}

/// The first line of a process's stdout. Its end is noticed too, so this needs no limit of time but
/// that of the work itself.
fn first_line(process: &mut Process) -> anyhow::Result<String> {
    use std::io::BufRead;
    let stdout = process.stdout().context("its stdout has been taken")?;
    let mut line = String::new();
    std::io::BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        bail!("a side ended early: {}", process.log());
    }
    Ok(line.trim().to_owned())
}
