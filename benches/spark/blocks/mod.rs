//! Shuffle blocks from files, by the services themselves: Spark's ExternalShuffleService and ringrail's, asked by
//! Spark's block fetcher and by our client, in turns.
//!
//! [`files`] writes what an executor would have left, [`client`] is our client's process, [`table`] shows it all.

pub(crate) mod client;
mod files;
mod table;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ringrail_floors::harness::{Cores, pin, wait_for_quiet};
use ringrail_floors::usage::cpu_seconds_of;
use ringrail_floors::workload::Placement;
use ringrail_spark_peers::{Call, Install, Peer, Process, ServiceKind, ServiceProcess};
use serde::{Deserialize, Serialize};

use files::Files;

pub(crate) const APP: &str = "app-1";
pub(crate) const EXEC: &str = "1";
/// Requests under way at a time: a reducer has up to five of them, of all hosts together.
const IN_FLIGHT: usize = 2;

/// The shape of a shuffle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Shuffle {
    pub(crate) maps: u32,
    pub(crate) reduces: u32,
    /// Bytes of a block.
    pub(crate) size: u32,
}

impl Shuffle {
    /// 64 MiB of data each.
    pub(crate) const ALL: [Self; 2] = [Self::of(16, 64, 64 << 10), Self::of(8, 8, 1 << 20)];

    const fn of(maps: u32, reduces: u32, size: u32) -> Self {
        Self {
            maps,
            reduces,
            size,
        }
    }

    /// The name in tables.
    pub(crate) fn name(&self) -> String {
        let size = match self.size >> 20 {
            0 => format!("{} KiB", self.size >> 10),
            mib => format!("{mib} MiB"),
        };
        format!(
            "blocks {size}, {} maps of {} partitions",
            self.maps, self.reduces
        )
    }

    /// Offset of a block's content in the pattern, in bytes.
    pub(crate) fn offset(&self, map: u32, reduce: u32) -> u64 {
        (u64::from(map) * u64::from(self.reduces) + u64::from(reduce)) * u64::from(self.size)
    }
}

/// The task of ringrail's client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) addr: String,
    pub(crate) shuffle: Shuffle,
    pub(crate) in_flight: usize,
    pub(crate) warm_up: f64,
    pub(crate) seconds: f64,
}

/// The observations of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) bytes: u64,
    pub(crate) bytes_in_all: u64,
    pub(crate) elapsed_s: f64,
    pub(crate) cpu_s: f64,
}

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Round {
    gb_per_s: f64,
    server_s_per_gb: f64,
    client_s_per_gb: f64,
}

/// One service and one client.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    name: &'static str,
    rounds: Vec<Round>,
}

/// All of them.
#[derive(Debug, Serialize)]
pub(crate) struct Blocks {
    name: String,
    entries: Vec<Entry>,
}

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) warm_up: f64,
    pub(crate) patience: Duration,
}

/// A service, in a directory of its own, with an executor's files.
struct Serving {
    process: ServiceProcess,
    _files: Files,
}

struct Ground {
    cores: Cores,
    java: Peer,
    sparks: Serving,
    ours: Serving,
}

/// Measures both services with both clients.
pub(crate) fn measure(install: &Install, shuffle: Shuffle, plan: Plan) -> anyhow::Result<Blocks> {
    let ground = Ground::new(install, shuffle)?;
    let names = [
        "Spark < Spark",
        "ringrail < Spark",
        "Spark < ringrail",
        "ringrail < ringrail",
    ];
    let mut entries = names.map(|name| Entry {
        name,
        rounds: Vec::new(),
    });
    for round in 0..=plan.rounds {
        for entry in &mut entries {
            wait_for_quiet(ground.cores, plan.patience);
            let run = ground.run(entry.name, shuffle, plan, round == 0);
            let run = run.with_context(|| entry.name)?;
            if round > 0 {
                entry.rounds.push(run);
            }
        }
    }
    Ok(Blocks {
        name: shuffle.name(),
        entries: entries.into(),
    })
}

impl Ground {
    fn new(install: &Install, shuffle: Shuffle) -> anyhow::Result<Self> {
        let cores = Cores::choose(Placement::TwoCores)?;
        let heap = ["-Xms512m", "-Xmx1g", "-XX:MaxDirectMemorySize=1g"];
        let java = Peer::start_prepared(install, &heap, |command| pin(command, cores.client))?;
        let ours = ServiceKind::Ringrail(env!("CARGO_BIN_EXE_ringrail").into());
        let sparks = ServiceKind::SparkDaemon(install.clone());
        let serve = |kind| serve(&java, cores, kind, shuffle);
        Ok(Self {
            cores,
            sparks: serve(sparks)?,
            ours: serve(ours)?,
            java,
        })
    }

    fn run(&self, name: &str, shuffle: Shuffle, plan: Plan, first: bool) -> anyhow::Result<Round> {
        let (service, client) = name.split_once(" < ").context("a name of two")?;
        let service = match service {
            "Spark" => &self.sparks.process,
            _ => &self.ours.process,
        };
        let pid = service.id().context("the service has ended")?;
        let order = Order {
            addr: format!("127.0.0.1:{}", service.port()),
            shuffle,
            in_flight: IN_FLIGHT,
            warm_up: plan.seconds / 10.0,
            seconds: if first { plan.warm_up } else { plan.seconds },
        };
        let before = cpu_seconds_of(pid)?;
        let seen = match client {
            "Spark" => self.ask_java(service.port(), &order)?,
            _ => self.ask_ours(&order)?,
        };
        let cpu_s = cpu_seconds_of(pid)? - before;
        ensure!(seen.bytes > 0, "nothing came");
        let gb = |bytes: u64| bytes as f64 / 1e9;
        Ok(Round {
            gb_per_s: gb(seen.bytes) / seen.elapsed_s,
            server_s_per_gb: cpu_s / gb(seen.bytes_in_all),
            client_s_per_gb: seen.cpu_s / gb(seen.bytes),
        })
    }

    fn ask_java(&self, port: u16, order: &Order) -> anyhow::Result<Seen> {
        let call = Call::new("load_blocks")
            .arg("port", port)
            .arg("app", APP)
            .arg("exec", EXEC)
            .arg("maps", order.shuffle.maps)
            .arg("reduces", order.shuffle.reduces)
            .arg("size", order.shuffle.size)
            .arg("in_flight", order.in_flight)
            .arg("warm_up", order.warm_up)
            .arg("seconds", order.seconds)
            .arg("spark.shuffle.io.mode", "NIO");
        Ok(serde_json::from_value(self.java.call(&call)?)?)
    }

    fn ask_ours(&self, order: &Order) -> anyhow::Result<Seen> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command
            .arg("--block-client")
            .arg(serde_json::to_string(order)?);
        pin(&mut command, self.cores.client);
        let log = tempfile::NamedTempFile::new()?;
        let mut process = Process::start("our client", command, log.path().to_owned())?;
        let stdout = process.stdout().context("its stdout has been taken")?;
        let mut line = String::new();
        std::io::BufReader::new(stdout).read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("it said {line:?}: {}", process.log()))
    }
}

/// Starts a service on the server's core, with one thread for its connections, and registers an executor.
fn serve(
    java: &Peer,
    cores: Cores,
    kind: ServiceKind,
    shuffle: Shuffle,
) -> anyhow::Result<Serving> {
    let files = Files::write(shuffle)?;
    let conf = [
        ("spark.shuffle.io.serverThreads", "1"),
        ("spark.shuffle.io.mode", "NIO"),
    ];
    let conf: BTreeMap<_, _> = conf.map(|(key, value)| (key.into(), value.into())).into();
    let process = ServiceProcess::start(kind, &conf, files.root())?;
    let pid = process.id().context("the service has ended")?;
    // All of its threads; those to come take after the ones that make them.
    let core = cores.server.to_string();
    let moved = Command::new("taskset")
        .args(["-a", "-c", "-p", &core, &pid.to_string()])
        .output()
        .context("taskset, of util-linux")?;
    if !moved.status.success() {
        bail!("taskset: {}", String::from_utf8_lossy(&moved.stderr));
    }
    let name = format!("registrar-{pid}");
    let call = |command: &str| Call::new(command).arg("name", &name);
    java.call(&call("blocks").arg("app", APP).arg("port", process.port()))?;
    java.call(
        &call("register")
            .arg("exec", EXEC)
            .arg("dirs", files.dir().display())
            .arg("sub_dirs", files::SUB_DIRS)
            .arg(
                "manager",
                "org.apache.spark.shuffle.sort.SortShuffleManager",
            ),
    )?;
    java.call(&call("blocks_close"))?;
    Ok(Serving {
        process,
        _files: files,
    })
}
