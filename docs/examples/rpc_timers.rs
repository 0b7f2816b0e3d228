//! An endpoint that does something now and then, and something later: timers send it messages.
//!
//! ```sh
//! cargo run --example rpc_timers
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use ringrail::rpc::{
    EndpointContext, EndpointTimer, Failure, RpcEndpoint, RpcEndpointRef, RpcEnv, RpcError,
};

/// Leases end by themselves, unless they are renewed.
#[ringrail::interface]
trait Leases {
    fn renew(&mut self, name: String) -> Result<(), Failure>;
    fn holders(&self) -> Vec<String>;
    /// So many times the endpoint has looked after things.
    fn rounds(&self) -> u64;
    #[message(one_way)]
    fn end(&mut self, name: String);
    #[message(one_way)]
    fn round(&mut self);
}

struct Table {
    me: Option<RpcEndpointRef<Self>>,
    lease: Duration,
    holders: HashMap<String, EndpointTimer>,
    rounds: u64,
}

impl RpcEndpoint for Table {
    type Messages = LeasesMessages;

    fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
        self.me = Some(me.self_ref());
        // Until the endpoint stops.
        me.send_every(Duration::from_millis(2), || LeasesRound)?;
        Ok(())
    }
}

impl Leases for Table {
    fn renew(&mut self, name: String) -> Result<(), Failure> {
        let me = self.me.as_ref().ok_or(Failure::text("not started"))?;
        let end = LeasesEnd { name: name.clone() };
        let timer = me.send_after(self.lease, end)?;
        if let Some(before) = self.holders.insert(name, timer) {
            before.cancel();
        }
        Ok(())
    }

    fn holders(&self) -> Vec<String> {
        self.holders.keys().cloned().collect()
    }

    fn rounds(&self) -> u64 {
        self.rounds
    }

    fn end(&mut self, name: String) {
        self.holders.remove(&name);
    }

    fn round(&mut self) {
        self.rounds += 1;
    }
}

/// A lease of so long is taken; the holders at first, and once it has ended.
pub(crate) fn run(lease: Duration) -> Result<(Vec<String>, Vec<String>), Box<dyn Error>> {
    let env = RpcEnv::builder("leases").build()?;
    let table = Table {
        me: None,
        lease,
        holders: HashMap::new(),
        rounds: 0,
    };
    let leases = LeasesClient::new(&env.setup_endpoint("leases", table)?);
    leases.renew("ada".into()).wait()?;
    let first = leases.holders().wait()?;
    while !leases.holders().wait()?.is_empty() || leases.rounds().wait()? < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((first, leases.holders().wait()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (first, later) = run(Duration::from_millis(50))?;
    println!("{first:?} at first, {later:?} later");
    Ok(())
}
