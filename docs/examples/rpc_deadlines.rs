//! A deadline that goes through three endpoints: whoever asks first decides how long anybody waits.
//!
//! ```sh
//! cargo run --example rpc_deadlines
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use ringrail::ShardHandle;
use ringrail::rpc::{Failure, RpcEndpoint, RpcEnv, RpcError, time_left};

#[ringrail::interface]
trait Store {
    /// How long its caller waits, in ms; none where nobody does.
    async fn patience(&self) -> Option<u64>;
    /// Takes half a second.
    async fn search(&self) -> Result<(), Failure>;
}

struct Disk;

impl RpcEndpoint for Disk {
    type Messages = StoreMessages;
}

impl Store for Disk {
    async fn patience(&self) -> Option<u64> {
        time_left().map(|left| left.as_millis() as u64)
    }

    async fn search(&self) -> Result<(), Failure> {
        let shard = ShardHandle::current().ok_or(Failure::text("on no shard"))?;
        shard.sleep(Duration::from_millis(500)).await;
        Ok(())
    }
}

/// Asks a store for everything.
struct Cache(StoreClient);

impl RpcEndpoint for Cache {
    type Messages = CachedMessages;
}

#[ringrail::interface]
trait Cached {
    async fn patience(&self) -> Result<Option<u64>, Failure>;
    async fn search(&self) -> Result<(), Failure>;
}

impl Cached for Cache {
    async fn patience(&self) -> Result<Option<u64>, Failure> {
        // No time is given here: it is what the cache's own caller has left.
        Ok(self.0.patience().await?)
    }

    async fn search(&self) -> Result<(), Failure> {
        Ok(self.0.search().await?)
    }
}

/// How long the store is given when the cache is asked with so much time, and what becomes of a store that takes longer.
pub(crate) fn run(time: Duration) -> Result<(Option<u64>, RpcError), Box<dyn Error>> {
    let stores = RpcEnv::builder("stores").build()?;
    let store = stores.setup_endpoint("store", Disk)?.uri().to_string();
    let caches = RpcEnv::builder("caches").build()?;
    let store = StoreClient::connect_blocking(&caches, &store)?;
    let cache = caches
        .setup_endpoint("cache", Cache(store))?
        .uri()
        .to_string();

    let env = RpcEnv::builder("asker").client_mode().build()?;
    let cache = CachedClient::connect_blocking(&env, &cache)?.with_timeout(time);
    let given = cache.patience().wait()?;
    let late = cache.search().wait().err().ok_or("it was answered")?;
    Ok((given, late))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (given, late) = run(Duration::from_millis(300))?;
    println!("the store was given {given:?} ms; then: {late}");
    Ok(())
}
