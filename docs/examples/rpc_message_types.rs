//! Several message types for one endpoint, each with its reply type: what does not fit does not compile.
//!
//! ```sh
//! cargo run --example rpc_message_types
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;

use ringrail::rpc::{Handle, Message, Received, RpcCallContext, RpcEndpoint, RpcEnv, RpcError};
use rkyv::{Archive, Deserialize, Serialize};

#[derive(Archive, Serialize, Deserialize)]
struct Put {
    key: String,
    value: u64,
}

impl Message for Put {
    /// The previous value of the key, if it was set.
    type Reply = Option<u64>;
    const NAME: &'static str = "store.Put";
}

#[derive(Archive, Serialize, Deserialize)]
struct Sum;

impl Message for Sum {
    type Reply = u64;
    const NAME: &'static str = "store.Sum";
}

/// Wants no reply: `send` it.
#[derive(Archive, Serialize, Deserialize)]
struct Clear;

impl Message for Clear {
    type Reply = ();
    const NAME: &'static str = "store.Clear";
}

#[derive(Default)]
struct Store {
    values: BTreeMap<String, u64>,
}

impl RpcEndpoint for Store {
    type Messages = (Put, Sum, Clear);
}

impl Handle<Put> for Store {
    fn handle(
        &mut self,
        put: Received<'_, Put>,
        call: RpcCallContext<'_, Option<u64>>,
    ) -> Result<(), RpcError> {
        let Put { key, value } = put.take()?;
        call.reply(self.values.insert(key, value));
        Ok(())
    }
}

impl Handle<Sum> for Store {
    fn handle(
        &mut self,
        _: Received<'_, Sum>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        call.reply(self.values.values().sum());
        Ok(())
    }
}

impl Handle<Clear> for Store {
    fn handle(
        &mut self,
        _: Received<'_, Clear>,
        _: RpcCallContext<'_, ()>,
    ) -> Result<(), RpcError> {
        self.values.clear();
        Ok(())
    }
}

/// Puts these values; their sum, and the sum after clearing.
pub(crate) fn run(values: &[(&str, u64)]) -> Result<(u64, u64), Box<dyn Error>> {
    let env = RpcEnv::builder("stores").build()?;
    // A ref that knows the endpoint's type: `store.ask(Hello { .. })` would not compile.
    let store = env.setup_endpoint("store", Store::default())?;
    for &(key, value) in values {
        let key = key.to_owned();
        store.ask_blocking(Put { key, value })?;
    }
    let full = store.ask_blocking(Sum)?;
    // Messages of one sender come in order, so the sum that is asked next is of what is left.
    store.send(Clear)?;
    Ok((full, store.ask_blocking(Sum)?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (full, cleared) = run(&[("a", 1), ("b", 2), ("a", 3)])?;
    println!("{full} in the store, {cleared} once it is cleared");
    Ok(())
}
