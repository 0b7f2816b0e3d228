//! RPCs, one at a time: first alone, then beside chunks at full speed, on the same connection or, with
//! two of them, on one of their own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use hdrhistogram::Histogram;
use ringrail_floors::workload::{Length, Workload};
use ringrail_transport::{
    ChunkOptions, Connection, ReceivedBytes, RequestError, ResponseContext, ResponseHandler,
    TransportContext,
};
use serde::{Deserialize, Serialize};

use super::{Side, say};

/// Bytes of a request and its answer.
const RPC_SIZE: usize = 64;
/// The token of RPCs; chunks have their number.
const RPC_TOKEN: u64 = u64::MAX;

/// Upper bound of the histogram of latencies, in nanoseconds.
const LONGEST_NS: u64 = 60_000_000_000;

/// Latencies of one phase, in µs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// RPCs measured.
    pub(crate) count: u64,
    /// Median.
    pub(crate) p50_us: f64,
    /// 99th percentile.
    pub(crate) p99_us: f64,
    /// 99.9th percentile.
    pub(crate) p999_us: f64,
}

/// The client's results.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct MixedReport {
    /// RPCs alone.
    pub(crate) alone: Latency,
    /// RPCs beside chunks.
    pub(crate) loaded: Latency,
    /// Chunk bytes per second meanwhile, in GB/s.
    pub(crate) gb_per_s: f64,
}

/// Measures against the server at `addr`.
pub(super) fn run(workload: &Workload, side: &Side, addr: &str) -> anyhow::Result<()> {
    let Length::Seconds(seconds) = workload.length else {
        bail!("a mixed run lasts for seconds");
    };
    let phase = Duration::from_secs_f64(seconds);
    let context = TransportContext::client_only(side.engine(workload)?);
    let clients = context.create_client_factory(Vec::new());
    let connect = || {
        let client = clients.create_unmanaged_client_blocking(addr);
        client.context("connecting")
    };
    let client = connect()?;
    let bulk = if workload.conns > 1 {
        connect()?
    } else {
        client.clone()
    };
    let (done, report) = mpsc::sync_channel(1);
    let (size, chunks, in_flight) = (
        workload.size(),
        workload.source_chunks(),
        workload.in_flight,
    );
    context.engine().run_on(0, move |_| {
        let (Some(conn), Some(bulk)) = (client.here(), bulk.here()) else {
            let _ = done.send(Err(anyhow!("the connection was lost before the start")));
            return;
        };
        let conns = (conn, bulk);
        Load::start(conns, u64::from(size), chunks, in_flight, phase, done);
    })?;
    let report = report
        .recv()
        .context("the shard ended before the work was done")??;
    say(&serde_json::to_string(&report)?)
}

type Done = mpsc::SyncSender<anyhow::Result<MixedReport>>;

/// The load: RPCs one after the other, and in the second phase chunks.
struct Load {
    conn: Connection,
    /// For chunks.
    bulk: Connection,
    chunk_len: u64,
    chunks: u64,
    in_flight: u32,
    phase: Duration,
    started: Cell<Instant>,
    sent_ns: Cell<u64>,
    next_chunk: Cell<u64>,
    bytes: Cell<u64>,
    loaded: Cell<bool>,
    alone: RefCell<Option<Latency>>,
    latency: RefCell<Histogram<u64>>,
    done: RefCell<Option<Done>>,
}

impl Load {
    fn start(
        (conn, bulk): (Connection, Connection),
        chunk_len: u64,
        chunks: u64,
        in_flight: u32,
        phase: Duration,
        done: Done,
    ) {
        let latency = match Histogram::new_with_bounds(1, LONGEST_NS, 3) {
            Ok(latency) => latency,
            Err(error) => return drop(done.send(Err(error.into()))),
        };
        let load = Rc::new(Load {
            conn,
            bulk,
            chunk_len,
            chunks,
            in_flight,
            phase,
            started: Cell::new(Instant::now()),
            sent_ns: Cell::new(0),
            next_chunk: Cell::new(0),
            bytes: Cell::new(0),
            loaded: Cell::new(false),
            alone: RefCell::new(None),
            latency: RefCell::new(latency),
            done: RefCell::new(Some(done)),
        });
        let handler = Rc::clone(&load) as Rc<dyn ResponseHandler>;
        load.send_rpc(&handler);
    }

    fn send_rpc(&self, this: &Rc<dyn ResponseHandler>) {
        self.sent_ns.set(self.conn.now_ns());
        let sent = self
            .conn
            .send_rpc_with(&[7; RPC_SIZE], None, this, RPC_TOKEN);
        if let Err(error) = sent {
            self.finish(Err(anyhow!("an RPC was not taken: {error}")));
        }
    }

    fn send_chunk(&self, this: &Rc<dyn ResponseHandler>) {
        let id = self.next_chunk.get();
        self.next_chunk.set((id + 1) % self.chunks);
        let options = ChunkOptions {
            len_hint: Some(self.chunk_len),
            ..ChunkOptions::default()
        };
        if let Err(error) = self.bulk.fetch_chunk_with(id, 0, &options, this, id) {
            self.finish(Err(anyhow!("a chunk was not asked for: {error}")));
        }
    }

    fn rpc_answered(&self, this: &Rc<dyn ResponseHandler>) {
        let took = self.conn.now_ns().saturating_sub(self.sent_ns.get());
        self.latency.borrow_mut().saturating_record(took.max(1));
        if self.started.get().elapsed() < self.phase {
            return self.send_rpc(this);
        }
        let latency = summary(&self.latency.borrow());
        if self.loaded.replace(true) {
            return self.finish_loaded(latency);
        }
        *self.alone.borrow_mut() = Some(latency);
        self.latency.borrow_mut().reset();
        self.started.set(Instant::now());
        for _ in 0..self.in_flight {
            self.send_chunk(this);
        }
        self.send_rpc(this);
    }

    fn finish_loaded(&self, loaded: Latency) {
        let seconds = self.started.get().elapsed().as_secs_f64();
        let gb_per_s = self.bytes.get() as f64 / 1e9 / seconds;
        let alone = *self.alone.borrow();
        self.finish(match alone {
            Some(alone) => Ok(MixedReport {
                alone,
                loaded,
                gb_per_s,
            }),
            None => Err(anyhow!("the first phase has no result")),
        });
    }

    fn finish(&self, outcome: anyhow::Result<MixedReport>) {
        if let Some(done) = self.done.borrow_mut().take() {
            let _ = done.send(outcome);
        }
    }
}

impl ResponseHandler for Load {
    fn on_response(
        &self,
        context: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        if self.done.borrow().is_none() {
            return;
        }
        let this = context.handler();
        match outcome {
            Err(error) => self.finish(Err(anyhow!("request {token} failed: {error}"))),
            Ok(body) if token == RPC_TOKEN && body.bytes() == [7; RPC_SIZE] => {
                self.rpc_answered(this)
            }
            Ok(body) if token != RPC_TOKEN && body.bytes().len() as u64 == self.chunk_len => {
                self.bytes.set(self.bytes.get() + self.chunk_len);
                self.send_chunk(this);
            }
            Ok(_) => self.finish(Err(anyhow!("answer {token} is not what was asked for"))),
        }
    }
}

fn summary(latency: &Histogram<u64>) -> Latency {
    let us = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1e3;
    Latency {
        count: latency.len(),
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
    }
}
