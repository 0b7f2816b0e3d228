//! The server: a process of its own with one shard; echoes requests and serves chunks of 64 KiB.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use ringrail_floors::usage::{Who, cpu_seconds};
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::StreamManager;
use ringrail_transport::{
    Connection, Engine, ParkMode, Pin, ReceivedBytes, Responder, RpcFailure, RpcHandler,
    TransportConf, TransportContext,
};
use serde::{Deserialize, Serialize};

/// The server's figures since the last time it was asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) cpu_s: f64,
    pub(crate) connections: u64,
    pub(crate) pool_used: u64,
    pub(crate) pool_high_water: u64,
    pub(crate) pool_budget: u64,
}

struct Serving {
    chunk: Bytes,
}

impl RpcHandler for Serving {
    fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        reply.reply(body.bytes());
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Serving {
    fn get_chunk(&self, _: &Connection, _: u64, _: u32) -> Result<ManagedBuffer, RpcFailure> {
        Ok(self.chunk.clone().into())
    }
}

/// Serves until stdin ends; answers every line with a report.
pub(crate) fn serve() -> anyhow::Result<()> {
    let conf = TransportConf {
        pin: Pin::Always,
        coalesce_us: std::env::var("COAL").map_or(100, |v| v.parse().unwrap()),
        ..TransportConf::default()
    };
    let engine = Engine::builder(conf)
        .shards(1)
        .park(ParkMode::Bare)
        .start()
        .context("starting the server's shard")?;
    let context = TransportContext::new(engine, || {
        Rc::new(Serving {
            chunk: vec![5; 64 << 10].into(),
        })
    });
    let server = context.create_server("127.0.0.1:0".parse()?)?;
    println!("{}", server.local_addr());
    let mut before = cpu_seconds(Who::Process);
    for line in std::io::stdin().lock().lines() {
        line?;
        let metrics = context.engine().metrics();
        let now = cpu_seconds(Who::Process);
        let report = Report {
            cpu_s: now - before,
            connections: metrics.connections_active,
            pool_used: metrics.pool_bytes_used,
            pool_high_water: metrics.pool_bytes_high_water,
            pool_budget: metrics.pool_bytes_budget,
        };
        before = now;
        println!("{}", serde_json::to_string(&report)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// The server as the measuring process sees it; ended when dropped.
pub(crate) struct Server {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    addr: String,
}

impl Server {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("starting the server")?;
        let asks = child.stdin.take().context("the server's stdin")?;
        let answers = child.stdout.take().context("the server's stdout")?;
        let mut server = Self {
            child,
            asks,
            answers: BufReader::new(answers),
            addr: String::new(),
        };
        server.addr = server.line()?;
        Ok(server)
    }

    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let len = self.answers.read_line(&mut line)?;
        ensure!(len > 0, "the server has ended");
        Ok(line.trim().to_owned())
    }

    /// Its figures since the last report.
    pub(crate) fn report(&mut self) -> anyhow::Result<Report> {
        self.asks.write_all(b"report\n")?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("a report: {line}"))
    }

    /// Waits until it has so many connections, or more.
    pub(crate) fn wait_for(&mut self, connections: usize) -> anyhow::Result<()> {
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            let have = self.report()?.connections as usize;
            if have == connections || (connections > 0 && have > connections) {
                return Ok(());
            }
            ensure!(
                Instant::now() < limit,
                "the server has {have} connections after 60 s, not {connections}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
