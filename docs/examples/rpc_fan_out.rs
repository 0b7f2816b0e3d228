//! A thousand endpoints asked in one call: no thread per ask, so many at a time.
//!
//! ```sh
//! cargo run --example rpc_fan_out
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use ringrail::rpc::{Message, RpcEnv, RpcError, ask_all, endpoint_fn};
use rkyv::{Archive, Deserialize, Serialize};

#[derive(Archive, Serialize, Deserialize)]
struct Report {
    round: u64,
}

impl Message for Report {
    type Reply = u64;
    const NAME: &'static str = "worker.Report";
}

/// Asks so many workers of another environment; the sum of what they report.
pub(crate) fn run(workers: u64) -> Result<u64, Box<dyn Error>> {
    let cluster = RpcEnv::builder("cluster").build()?;
    for number in 0..workers {
        let worker = endpoint_fn::<Report>(move |report, call| {
            call.reply(report.take()?.round * number);
            Ok(())
        });
        cluster.setup_endpoint(&format!("worker-{number}"), worker)?;
    }
    let address = cluster.address().ok_or("it listens")?.clone();

    let driver = RpcEnv::builder("driver").client_mode().build()?;
    let refs: Vec<_> = (0..workers)
        .map(|number| driver.ref_at(&address, &format!("worker-{number}")))
        .collect::<Result<_, _>>()?;
    let asks = refs.iter().map(|worker| worker.ask(Report { round: 2 }));
    let replies = ask_all(asks, 128).wait()?;
    Ok(replies.into_iter().sum::<Result<u64, RpcError>>()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("a thousand workers report {}", run(1000)?);
    Ok(())
}
