//! The honest peer: one request after the other, every answer compared.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ringrail_transport::{Engine, ParkMode, Pin, TransportConf, TransportContext};

/// Latencies that the honest peer saw.
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

/// Asks for `length`, after a warm-up of a tenth of it, by futures on a shard of the second processor.
pub(crate) fn ask(addr: &str, length: Duration) -> anyhow::Result<Figures> {
    let conf = TransportConf {
        pin: Pin::Always,
        first_cpu: 1,
        ..TransportConf::default()
    };
    let engine = Engine::builder(conf)
        .shards(1)
        .park(ParkMode::Bare)
        .start()
        .context("starting the honest peer's shard")?;
    let context = TransportContext::client_only(engine);
    let client = context.connect(addr).context("connecting")?;
    let asking = context.engine().spawn_on(0, move |_| async move {
        let conn = client.here().context("the connection was lost")?;
        let request = [7; 64];
        let mut times = hdrhistogram::Histogram::<u64>::new(3)?;
        let begin = Instant::now();
        let measured = begin + length / 10;
        loop {
            let sent = Instant::now();
            let answer = conn.send_rpc(&request, None).await?;
            ensure!(answer[..] == request, "an answer has another content");
            if sent >= measured {
                times.record(sent.elapsed().as_nanos() as u64)?;
            }
            if sent >= measured + length {
                return Ok(times);
            }
        }
    });
    let times: hdrhistogram::Histogram<u64> = asking.wait()??;
    let us = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Figures {
        calls: times.len(),
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
    })
}
