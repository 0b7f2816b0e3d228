//! Two processes: without an argument it serves, and prints where; with that as its argument, it asks.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]
use ringrail::rpc::{Failure, RpcEndpoint, RpcEnv};
use std::{env, error::Error, future, time::Duration};

#[ringrail::interface]
trait Counter {
    fn add(&mut self, n: u64) -> Result<u64, Failure>;
    async fn never(&self);
}

struct Counting(u64);

impl RpcEndpoint for Counting {
    type Messages = CounterMessages;
}

impl Counter for Counting {
    fn add(&mut self, n: u64) -> Result<u64, Failure> {
        self.0 = self.0.checked_add(n).ok_or(Failure::text("too much"))?;
        Ok(self.0)
    }
    async fn never(&self) {
        future::pending().await
    }
}

pub(crate) fn run(uri: Option<String>) -> Result<(), Box<dyn Error>> {
    let Some(uri) = uri else {
        let env = RpcEnv::builder("counters").build()?;
        println!("{}", env.setup_endpoint("counter", Counting(0))?.uri());
        return Ok(env.await_termination()?);
    };
    let env = RpcEnv::builder("asker").client_mode().build()?;
    let counter = CounterClient::connect_blocking(&env, &uri)?;
    println!("sum: {}", counter.add(2).wait()?);
    println!("refused: {:?}", counter.add(u64::MAX).wait());
    let hasty = counter.with_timeout(Duration::from_millis(50));
    println!("late: {:?}", hasty.never().wait());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(env::args().nth(1))
}
