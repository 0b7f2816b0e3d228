//! `ringrail bench local`: asks that leave no process.
//!
//! On one shard, from one shard to another, from a thread, and ten thousand endpoints in one call. There is
//! no floor to compare with: the figures are times of a call.

use std::fmt;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use ringrail::Conf;
use ringrail::conf::transport_conf;
use ringrail::rpc::{
    Any, Async, EndpointOptions, FnEndpoint, HandlerAsync, LocalRef, Message, Owned, Received,
    ReplyContext, ReplyHandler, RpcEndpoint, RpcEndpointRef, RpcEnv, RpcError, ask_all,
};
use ringrail_transport::{Engine, ParkMode};
use rkyv::{Archive, Deserialize, Serialize};

use crate::cli::failure::Failure;
use crate::cli::output;

/// Endpoints of the fan-out.
const ENDPOINTS: usize = 10_000;
/// Asks of it at a time.
const AT_A_TIME: usize = 1024;

/// Asks within the process: on one shard, across shards, from a thread, of 10,000 endpoints at once
#[derive(Debug, Args)]
pub(super) struct Local {
    /// Asks of each measured run
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    asks: u64,
    /// Runs of each; the median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Archive, Serialize, Deserialize)]
struct Add(u64);

impl Message for Add {
    type Reply = u64;
    const NAME: &'static str = "bench.Add";
}

fn adder() -> FnEndpoint {
    let mut total = 0;
    FnEndpoint::new().on::<Add>(move |add, call| {
        total += add.take()?.0;
        call.reply(total);
        Ok(())
    })
}

/// Adds by a future: at once, or after it has asked another endpoint of its thread.
struct Adding {
    total: u64,
    other: Option<RpcEndpointRef>,
}

impl RpcEndpoint for Adding {
    type Messages = (Async<Add>,);
}

impl HandlerAsync<Add> for Adding {
    async fn handle(&mut self, add: Owned<Add>) -> Result<u64, ringrail::rpc::Failure> {
        let add = add.take()?;
        let Some(other) = &self.other else {
            self.total += add.0;
            return Ok(self.total);
        };
        let other = other.as_local().ok_or(RpcError::NoListenAddress)?;
        Ok(other.ask(add).await?)
    }
}

/// Times of one ask in ns, and of the fan-out in ms.
#[derive(Debug, serde::Serialize)]
struct Report {
    same_shard_ns: f64,
    async_handler_ns: f64,
    async_handler_that_asks_ns: f64,
    across_shards_spinning_ns: Option<f64>,
    from_a_thread_ns: f64,
    fan_out_10000_ms: f64,
}

impl Local {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let report = Report {
            same_shard_ns: self.median(|| self.same_shard())?,
            async_handler_ns: self.median(|| self.async_handler(false))?,
            async_handler_that_asks_ns: self.median(|| self.async_handler(true))?,
            across_shards_spinning_ns: self.across()?,
            from_a_thread_ns: self.median(|| self.thread_to_shard())?,
            fan_out_10000_ms: self.median(fan_out)?,
        };
        if self.json {
            output::json(&report)
        } else {
            output::line(&report)
        }
    }

    fn median(&self, run: impl Fn() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
        let runs = (0..self.rounds.max(1)).map(|_| run());
        let mut times = runs.collect::<Result<Vec<_>, _>>()?;
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    fn same_shard(&self) -> anyhow::Result<f64> {
        let engine = engine(1, ParkMode::Bare, 0)?;
        let env = env(&engine)?;
        let adder = env.setup_endpoint("adder", adder())?;
        self.chain(&engine, &adder.any())
    }

    fn async_handler(&self, asks_another: bool) -> anyhow::Result<f64> {
        let engine = engine(1, ParkMode::Bare, 0)?;
        let env = env(&engine)?;
        let adder = env.setup_endpoint("adder", adder())?;
        let other = asks_another.then(|| adder.any());
        let adding = env.setup_endpoint("adding", Adding { total: 0, other })?;
        self.chain(&engine, &adding.any())
    }

    /// The time of an ask by callback on the shard, one after the other.
    fn chain(&self, engine: &Engine, adder: &RpcEndpointRef) -> anyhow::Result<f64> {
        let (done, ended) = mpsc::channel();
        let (asks, adder) = (self.asks, adder.clone());
        engine.run_on(0, move |_| match adder.as_local() {
            Some(adder) => Chain::start(adder, asks, done),
            None => drop(done.send(Err(RpcError::other("it lives elsewhere")))),
        })?;
        let took = ended.recv().context("the shard ended first")??;
        Ok(took.as_nanos() as f64 / asks as f64)
    }

    /// `None` with one processor: two that spin need two.
    fn across(&self) -> anyhow::Result<Option<f64>> {
        if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
            return Ok(None);
        }
        self.median(|| self.across_once()).map(Some)
    }

    fn across_once(&self) -> anyhow::Result<f64> {
        let engine = engine(2, ParkMode::Hosted, 1_000_000)?;
        let env = env(&engine)?;
        let made = || adder();
        let adder = env.setup_endpoint_with("adder", EndpointOptions::on_shard(0), made)?;
        let (done, ended) = mpsc::channel();
        let asks = self.asks;
        engine.run_on(1, move |_| {
            tokio_uring::spawn(async move {
                let started = Instant::now();
                let outcome = ask_in_turn(&adder, asks).await;
                // The measuring thread may have given up.
                let _ = done.send((outcome, started.elapsed()));
            });
        })?;
        let (outcome, took) = ended.recv().context("the shard ended first")?;
        ensure!(outcome? == asks, "answers are missing");
        Ok(took.as_nanos() as f64 / asks as f64)
    }

    fn thread_to_shard(&self) -> anyhow::Result<f64> {
        let engine = engine(1, ParkMode::Bare, 0)?;
        let env = env(&engine)?;
        let adder = env.setup_endpoint("adder", adder())?;
        let asks = (self.asks / 10).max(1);
        let started = Instant::now();
        let mut last = 0;
        for _ in 0..asks {
            last = adder.ask_blocking(Add(1))?;
        }
        ensure!(last == asks, "answers are missing");
        Ok(started.elapsed().as_nanos() as f64 / asks as f64)
    }
}

async fn ask_in_turn(adder: &RpcEndpointRef<FnEndpoint>, asks: u64) -> Result<u64, RpcError> {
    let mut last = 0;
    for _ in 0..asks {
        last = adder.ask(Add(1)).await?;
    }
    Ok(last)
}

fn fan_out() -> anyhow::Result<f64> {
    let engine = engine(2, ParkMode::Bare, 0)?;
    let env = env(&engine)?;
    let refs = (0..ENDPOINTS)
        .map(|at| env.setup_endpoint(&format!("adder-{at}"), adder()))
        .collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let replies = ask_all(refs.iter().map(|adder| adder.ask(Add(1))), AT_A_TIME).wait()?;
    let took = started.elapsed();
    for reply in replies {
        ensure!(reply? == 1, "an endpoint was asked twice");
    }
    Ok(took.as_secs_f64() * 1000.0)
}

fn engine(shards: usize, park: ParkMode, spin_us: u32) -> anyhow::Result<Engine> {
    let mut conf = transport_conf(&Conf::new())?;
    conf.spin_us = spin_us;
    let engine = Engine::builder(conf).shards(shards).park(park).start();
    engine.context("starting the shards")
}

fn env(engine: &Engine) -> anyhow::Result<RpcEnv> {
    let env = RpcEnv::builder("bench").engine(engine.clone());
    Ok(env.client_mode().build()?)
}

type Done = mpsc::Sender<Result<Duration, RpcError>>;

/// Asks one after the other: each reply has the next one asked.
struct Chain {
    adder: LocalRef<Any>,
    asks: u64,
    started: Instant,
    done: Done,
}

impl Chain {
    fn start(adder: LocalRef<Any>, asks: u64, done: Done) {
        let chain = Rc::new(Chain {
            adder,
            asks,
            started: Instant::now(),
            done,
        });
        let handler: Rc<dyn ReplyHandler<u64>> = chain.clone();
        chain.ask(&handler);
    }

    fn ask(&self, handler: &Rc<dyn ReplyHandler<u64>>) {
        if let Err(error) = self.adder.ask_with(Add(1), handler, 0) {
            self.end(Err(error));
        }
    }

    #[cold]
    fn end(&self, outcome: Result<Duration, RpcError>) {
        // The measuring thread may have given up.
        let _ = self.done.send(outcome);
    }
}

impl ReplyHandler<u64> for Chain {
    fn on_reply(
        &self,
        context: ReplyContext<'_, u64>,
        _token: u64,
        outcome: Result<Received<'_, u64>, RpcError>,
    ) {
        match outcome.and_then(Received::take) {
            Ok(total) if total < self.asks => self.ask(context.handler()),
            Ok(_) => self.end(Ok(self.started.elapsed())),
            Err(error) => self.end(Err(error)),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "ask on one shard                  {:>10.0} ns",
            self.same_shard_ns
        )?;
        writeln!(
            f,
            "the same, async handler           {:>10.0} ns",
            self.async_handler_ns
        )?;
        writeln!(
            f,
            "the same, which asks another      {:>10.0} ns",
            self.async_handler_that_asks_ns
        )?;
        if let Some(across) = self.across_shards_spinning_ns {
            writeln!(f, "ask across shards, spinning       {across:>10.0} ns")?;
        }
        writeln!(
            f,
            "ask from a thread, shard parked   {:>10.0} ns",
            self.from_a_thread_ns
        )?;
        write!(
            f,
            "10,000 endpoints in one call      {:>10.1} ms",
            self.fan_out_10000_ms
        )
    }
}
