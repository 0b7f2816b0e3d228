//! Announcements on stdout: lines for people, or JSON objects for programs.

use std::net::SocketAddr;

use anyhow::Context;
use ringrail::TransportServer;
use ringrail::shuffle::ShuffleService;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::output;

/// One line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Listening {
        addr: String,
        port: Option<u16>,
        metrics: Option<SocketAddr>,
        executors: usize,
        pid: u32,
    },
    Draining {
        signal: i32,
    },
    Drained {
        chunks: u64,
        bytes: u64,
    },
}

/// Tells in the form that was asked for.
pub(super) struct Announce {
    json: bool,
}

impl Announce {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Connections are taken.
    pub(super) fn listening(
        &self,
        server: &TransportServer,
        metrics: Option<SocketAddr>,
        executors: usize,
    ) -> Result<(), Failure> {
        let addr = server.local_addr().to_string();
        if self.json {
            return object(&Event::Listening {
                addr,
                port: server.port(),
                metrics,
                executors,
                pid: std::process::id(),
            });
        }
        output::line(format_args!("listening on {addr}"))?;
        if let Some(metrics) = metrics {
            output::line(format_args!("metrics on http://{metrics}/metrics"))?;
        }
        Ok(())
    }

    /// A signal has come.
    pub(super) fn draining(&self, signal: i32) -> Result<(), Failure> {
        tracing::info!(signal, "draining; a second signal ends at once");
        match self.json {
            true => object(&Event::Draining { signal }),
            false => Ok(()),
        }
    }

    /// Nothing is left to do.
    pub(super) fn drained(&self, service: &ShuffleService) -> Result<(), Failure> {
        let metrics = service.metrics();
        let (chunks, bytes) = (metrics.chunks(), metrics.chunk_bytes());
        tracing::info!(chunks, bytes, "drained");
        match self.json {
            true => object(&Event::Drained { chunks, bytes }),
            false => Ok(()),
        }
    }
}

fn object(event: &Event) -> Result<(), Failure> {
    output::line(serde_json::to_string(event).context("cannot write JSON")?)
}
