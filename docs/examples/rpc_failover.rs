//! Several servers of one kind: work is spread over them, and goes on where one of them ends.
//!
//! ```sh
//! cargo run --example rpc_failover
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;

use ringrail::rpc::{Choice, EndpointGroup, RpcEndpoint, RpcEnv, RpcError};

#[ringrail::interface]
trait Worker {
    /// The name of the worker that did it.
    fn work(&self) -> String;
}

struct Named(String);

impl RpcEndpoint for Named {
    type Messages = WorkerMessages;
}

impl Worker for Named {
    fn work(&self) -> String {
        self.0.clone()
    }
}

/// Counts the work of each server: of the first half, and of the second half, which begins once the first server has ended.
pub(crate) fn run(
    names: &[&str],
    pieces: usize,
) -> Result<[BTreeMap<String, usize>; 2], Box<dyn Error>> {
    let start = |name: &&str| {
        let env = RpcEnv::builder(name).build()?;
        env.setup_endpoint("worker", Named((*name).to_owned()))?;
        Ok(env)
    };
    let servers = names
        .iter()
        .map(start)
        .collect::<Result<Vec<_>, RpcError>>()?;
    let addresses: Vec<_> = servers
        .iter()
        .filter_map(|env| env.address().cloned())
        .collect();

    let env = RpcEnv::builder("asker").client_mode().build()?;
    // Work that is done twice does no harm here, so what was lost with a connection is asked again.
    let workers = EndpointGroup::at(&env, &addresses, "worker")?
        .choosing(Choice::InTurn)
        .asks_again();
    let work = || {
        let mut done = BTreeMap::new();
        for _ in 0..pieces / 2 {
            let by = workers.call_blocking(|worker| WorkerClient::new(worker).work())?;
            *done.entry(by).or_default() += 1;
        }
        Ok::<_, RpcError>(done)
    };
    let with_all = work()?;
    servers[0].shutdown();
    servers[0].await_termination()?;
    Ok([with_all, work()?])
}

fn main() -> Result<(), Box<dyn Error>> {
    let [with_all, without_one] = run(&["ada", "grace", "barbara"], 60)?;
    println!("at first {with_all:?}, then {without_one:?}");
    Ok(())
}
