//! A sender that is faster than its receiver: `send` says so, `send_async` waits for room.
//!
//! ```sh
//! cargo run --example rpc_room
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use ringrail::conf::Conf;
use ringrail::rpc::{EndpointOptions, FailureCode, RpcEndpoint, RpcEnv};

#[ringrail::interface]
trait Log {
    /// Slow: it blocks its thread, which is its own.
    #[message(one_way)]
    fn line(&mut self, text: String);
    fn count(&self) -> u64;
}

#[derive(Default)]
struct Lines(u64);

impl RpcEndpoint for Lines {
    type Messages = LogMessages;
}

impl Log for Lines {
    fn line(&mut self, _: String) {
        std::thread::sleep(Duration::from_micros(100));
        self.0 += 1;
    }

    fn count(&self) -> u64 {
        self.0
    }
}

/// Sends so many lines to a log with little room; those that were written, and those that `send` refused.
pub(crate) fn run(lines: u64) -> Result<(u64, u64), Box<dyn Error>> {
    let conf = Conf::new()
        .with("ringrail.transport.inbox", "8")
        .with("ringrail.rpc.inbox.capacity", "8");
    let env = RpcEnv::builder("logs")
        .conf(conf)
        .backend("local")
        .shards(1)
        .build()?;
    let log = env.setup_endpoint_with("log", EndpointOptions::isolated(), Lines::default)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let mut refused = 0;
    runtime.block_on(async {
        for at in 0..lines {
            let line = || LogLine {
                text: format!("line {at}"),
            };
            match log.send(line()) {
                // No room: this waits until there is some.
                Err(error) if error.code() == FailureCode::Busy => {
                    refused += 1;
                    log.send_async(line()).await?;
                }
                sent => sent?,
            }
        }
        Ok::<(), Box<dyn Error>>(())
    })?;
    // Handled after all that was sent before. An ask does not wait for room: it is asked again.
    let client = LogClient::new(&log);
    let count = runtime.block_on(async {
        loop {
            match client.count().await {
                Err(error) if error.code() == FailureCode::Busy => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                answered => break answered,
            }
        }
    })?;
    Ok((count, refused))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (written, refused) = run(1000)?;
    println!("{written} lines were written, {refused} of them had to wait");
    Ok(())
}
