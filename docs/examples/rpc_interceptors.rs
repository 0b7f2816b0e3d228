//! Code around handlers and before asks: who is let in, how long handlers take, how much a client may ask.
//!
//! ```sh
//! cargo run --example rpc_interceptors
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringrail::rpc::{
    CallInfo, Failure, FailureCode, Interceptor, Interceptors, RpcEndpoint, RpcEnv, RpcError,
};

#[ringrail::interface(name = "vault")]
trait Vault {
    fn read(&self) -> String;
    fn destroy(&mut self);
}

struct Secrets(Interceptors);

impl RpcEndpoint for Secrets {
    type Messages = VaultMessages;

    fn interceptors(&self) -> Option<&Interceptors> {
        Some(&self.0)
    }
}

impl Vault for Secrets {
    fn read(&self) -> String {
        "the answer".to_owned()
    }

    fn destroy(&mut self) {}
}

/// Lets peers of this host read, and nothing else.
struct ReadOnly;

impl Interceptor for ReadOnly {
    fn before(&self, call: &CallInfo) -> Result<(), Failure> {
        let is_local = call.peer().is_some_and(|peer| peer.host() == "127.0.0.1");
        match (is_local, call.message()) {
            (true, "vault.read") => Ok(()),
            (_, message) => {
                let text = format!("{message} is not for {:?}", call.peer());
                Err(Failure::new(FailureCode::Unauthorized, text))
            }
        }
    }
}

/// How often each message was answered, and refused.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, u64>>);

impl Interceptor for Counts {
    fn after(&self, call: &CallInfo, failure: Option<&Failure>, _took: Duration) {
        let outcome = failure.map_or("answered", |_| "refused");
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(format!("{} {outcome}", call.message()));
        *count.or_default() += 1;
    }
}

/// Of a client: so many asks, then none.
struct Quota(AtomicU64);

impl Interceptor for Quota {
    fn before(&self, _: &CallInfo) -> Result<(), Failure> {
        let one_less = |left: u64| left.checked_sub(1);
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        left.map(drop)
            .map_err(|_| Failure::new(FailureCode::Busy, "the quota is used up"))
    }
}

/// The counts, and the outcomes of the asks.
type Seen = (BTreeMap<String, u64>, Vec<Result<(), RpcError>>);

/// A client reads, and tries other things.
pub(crate) fn run() -> Result<Seen, Box<dyn Error>> {
    let counts: Arc<Counts> = Arc::default();
    let around: [Arc<dyn Interceptor>; 2] = [Arc::clone(&counts) as _, Arc::new(ReadOnly)];
    let server = RpcEnv::builder("vaults").build()?;
    let vault = server.setup_endpoint("vault", Secrets(Interceptors::new(around)))?;
    let uri = vault.uri().to_string();

    let env = RpcEnv::builder("asker").client_mode().build()?;
    let quota: Arc<dyn Interceptor> = Arc::new(Quota(AtomicU64::new(3)));
    let vault =
        VaultClient::connect_blocking(&env, &uri)?.with_interceptors(Interceptors::new([quota]));
    let asks = vec![
        vault.read().wait().map(drop),
        vault.destroy().wait(),
        vault.read().wait().map(drop),
        vault.read().wait().map(drop),
    ];
    let counts = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((counts.clone(), asks))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (counts, asks) = run()?;
    println!("{counts:?}");
    for ask in asks {
        println!("{ask:?}");
    }
    Ok(())
}
