//! How long a request takes there and back: from a plain thread, and on the shard itself.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use ringrail::block::{BlockClient, BlockRequest, RailUri};
use ringrail::codec::archive::encode_to_vec;
use ringrail::{
    Connection, Engine, ParkMode, ReceivedBytes, RequestError, ResponseContext, ResponseHandler,
    TransportConf, TransportContext,
};
use serde::Serialize;

/// Bytes of a request's payload.
const PAYLOAD: usize = 64;

/// Requests before the first that counts.
const WARM_UP: u32 = 500;

/// Times of one kind of call, in µs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Latency {
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
    requests: u64,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            p50_us,
            p99_us,
            max_us,
            ..
        } = self;
        write!(
            f,
            "p50 {p50_us:.1} µs, p99 {p99_us:.1} µs, max {max_us:.1} µs"
        )
    }
}

fn latency_of(times: &Histogram<u64>) -> Latency {
    let us = |ns: u64| ns as f64 / 1000.0;
    Latency {
        p50_us: us(times.value_at_quantile(0.5)),
        p99_us: us(times.value_at_quantile(0.99)),
        max_us: us(times.max()),
        requests: times.len(),
    }
}

/// Times from 1 ns to a minute, to three digits.
fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// Sends `count` requests from this thread, then `count` from the shard.
pub(super) fn measure(
    uri: &RailUri,
    count: u32,
    conf: TransportConf,
) -> anyhow::Result<(Latency, Latency)> {
    let builder = Engine::builder(conf).shards(1).unpinned();
    let engine = builder.park(ParkMode::Bare).start()?;
    let clients = TransportContext::client_only(engine.clone()).create_client_factory(Vec::new());
    let client = BlockClient::new(clients.create_client_blocking(uri.address())?);
    Ok((
        from_thread(&client, count)?,
        on_shard(&engine, &client, count)?,
    ))
}

fn from_thread(client: &BlockClient, count: u32) -> anyhow::Result<Latency> {
    let mut times = histogram()?;
    for number in 0..WARM_UP + count {
        let begun = Instant::now();
        let reply = client.ping(vec![number as u8; PAYLOAD]).wait()?;
        if reply[..] != [number as u8; PAYLOAD] {
            return Err(anyhow!("a reply was not what was sent"));
        }
        if number >= WARM_UP {
            times.saturating_record(nanos(begun.elapsed()));
        }
    }
    Ok(latency_of(&times))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

type Result = std::result::Result<Histogram<u64>, RequestError>;

/// Sends the next request when a reply has come, on the shard.
struct Pinger {
    request: Vec<u8>,
    left: Cell<u32>,
    begun: Cell<Instant>,
    counts_from: u32,
    times: RefCell<Histogram<u64>>,
    done: SyncSender<Result>,
}

impl Pinger {
    fn send(&self, connection: &Connection, this: &Rc<dyn ResponseHandler>) {
        self.begun.set(Instant::now());
        if let Err(error) = connection.send_rpc_with(&self.request, None, this, 0) {
            self.end(Err(error));
        }
    }

    fn end(&self, result: Result) {
        // Sending fails only after the measurement was abandoned.
        let _ = self.done.try_send(result);
    }
}

impl ResponseHandler for Pinger {
    fn on_response(
        &self,
        context: &ResponseContext<'_>,
        _token: u64,
        outcome: std::result::Result<ReceivedBytes<'_>, RequestError>,
    ) {
        if let Err(error) = outcome {
            return self.end(Err(error));
        }
        let left = self.left.get();
        if left < self.counts_from {
            self.times
                .borrow_mut()
                .saturating_record(nanos(self.begun.get().elapsed()));
        }
        if left == 0 {
            let times = self.times.borrow().clone();
            return self.end(Ok(times));
        }
        self.left.set(left - 1);
        self.send(&context.connection(), context.handler());
    }
}

fn on_shard(engine: &Engine, client: &BlockClient, count: u32) -> anyhow::Result<Latency> {
    let mut request = Vec::new();
    encode_to_vec(
        &BlockRequest::Ping {
            payload: vec![7; PAYLOAD],
        },
        &mut request,
    )?;
    let (done, result) = sync_channel(1);
    let times = histogram()?;
    let client = client.transport().clone();
    engine.run_on(client.shard().index(), move |_| {
        let connection = client.here()?;
        let pinger = Rc::new(Pinger {
            request,
            left: Cell::new(WARM_UP + count),
            begun: Cell::new(Instant::now()),
            counts_from: count,
            times: RefCell::new(times),
            done,
        });
        let handler = Rc::clone(&pinger) as Rc<dyn ResponseHandler>;
        pinger.send(&connection, &handler);
        Some(())
    })?;
    let times = result.recv().context("the connection has ended")??;
    Ok(latency_of(&times))
}
