//! The cost of the drivers on this machine: a request and its reply, one at a time, and many at a time.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ringrail::{
    Connection, Engine, IoDriver, ReceivedBytes, Responder, RpcHandler, TransportClient,
    TransportConf, TransportContext,
};
use serde::Serialize;

use super::name_of;
use crate::cli::failure::Failure;

/// Bytes of a request and of its reply.
const PAYLOAD: [u8; 64] = [7; 64];
/// Requests before the first that counts.
const WARM_UP: usize = 200;
/// Requests of which the median is taken.
const SINGLE: usize = 2_000;
/// Requests in flight at a time, and how long they are sent.
const IN_FLIGHT: usize = 64;
const PIPELINED: Duration = Duration::from_millis(200);

/// One driver's figures.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    driver: &'static str,
    /// Median of a 64-byte request and its reply, from a plain thread, in µs.
    p50_us: f64,
    /// Requests per second with 64 in flight, from a plain thread.
    per_second: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  {:<8} 64-byte request and reply from a thread: p50 {:.1} µs; {} in flight: {:.0} per second",
            self.driver, self.p50_us, IN_FLIGHT, self.per_second
        )
    }
}

struct Echo;

impl RpcHandler for Echo {
    fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        reply.reply(body.bytes());
    }
}

/// Measures the driver that would run, and epoll beside io_uring.
pub(super) fn measure(driver: IoDriver) -> Result<Vec<Cost>, Failure> {
    let drivers: &[IoDriver] = match driver {
        IoDriver::Epoll => &[IoDriver::Epoll],
        _ => &[IoDriver::IoUring, IoDriver::Epoll],
    };
    drivers.iter().map(|driver| cost_of(*driver)).collect()
}

fn engine(driver: IoDriver) -> Result<Engine, Failure> {
    let builder = Engine::builder(TransportConf::default());
    Ok(builder.shards(1).driver(driver).start()?)
}

fn cost_of(driver: IoDriver) -> Result<Cost, Failure> {
    let server = TransportContext::new(engine(driver)?, || Rc::new(Echo));
    let server = server.create_server("127.0.0.1:0".parse().map_err(anyhow::Error::from)?)?;
    let clients = TransportContext::client_only(engine(driver)?);
    let client = clients.connect(&server.local_addr().to_string())?;
    Ok(Cost {
        driver: name_of(driver),
        p50_us: single(&client)?,
        per_second: pipelined(&client)?,
    })
}

fn single(client: &TransportClient) -> Result<f64, Failure> {
    let mut times = Vec::with_capacity(SINGLE);
    for number in 0..WARM_UP + SINGLE {
        let began = Instant::now();
        client.send_rpc(&PAYLOAD[..]).wait()?;
        if number >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    times.sort_unstable();
    Ok(times[SINGLE / 2].as_secs_f64() * 1e6)
}

fn pipelined(client: &TransportClient) -> Result<f64, Failure> {
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < PIPELINED {
        let asked: Vec<_> = (0..IN_FLIGHT)
            .map(|_| client.send_rpc(&PAYLOAD[..]))
            .collect();
        for reply in asked {
            reply.wait()?;
        }
        count += IN_FLIGHT;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
