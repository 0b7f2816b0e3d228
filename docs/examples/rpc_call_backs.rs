//! Client mode and refs in messages: a program that listens nowhere is called back all the same, over the
//! connection that it made.
//!
//! ```sh
//! cargo run --example rpc_call_backs
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use ringrail::rpc::{FnEndpoint, Message, RpcEndpointRef, RpcEnv};
use rkyv::{Archive, Deserialize, Serialize};

/// Asks to be told of every tick.
#[derive(Archive, Serialize, Deserialize)]
struct Subscribe {
    listener: RpcEndpointRef,
    ticks: u64,
}

impl Message for Subscribe {
    type Reply = bool;
    const NAME: &'static str = "clock.Subscribe";
}

#[derive(Archive, Serialize, Deserialize)]
struct Tick(u64);

impl Message for Tick {
    type Reply = ();
    const NAME: &'static str = "clock.Tick";
}

/// Subscribes to so many ticks; those that came.
pub(crate) fn run(ticks: u64) -> Result<Vec<u64>, Box<dyn Error>> {
    let server = RpcEnv::builder("clocks").build()?;
    let clock = FnEndpoint::new().on::<Subscribe>(|subscribe, call| {
        // Read here, the ref belongs to this env and leads back over the subscriber's connection.
        let Subscribe { listener, ticks } = subscribe.take()?;
        call.reply(true);
        for at in 1..=ticks {
            listener.send(Tick(at))?;
        }
        Ok(())
    });
    server.setup_endpoint("clock", clock)?;
    let address = server.address().ok_or("it listens")?.clone();

    let client = RpcEnv::builder("subscriber").client_mode().build()?;
    let (heard, ears) = mpsc::channel();
    let listener = FnEndpoint::new().on::<Tick>(move |tick, _| {
        // The listening thread may have ended.
        let _ = heard.send(tick.take()?.0);
        Ok(())
    });
    let listener = client.setup_endpoint("listener", listener)?.any();
    let clock = client.setup_endpoint_ref_blocking(&address, "clock")?;
    clock.ask_blocking(Subscribe { listener, ticks })?;
    let next = |_| ears.recv_timeout(Duration::from_secs(10));
    Ok((0..ticks).map(next).collect::<Result<_, _>>()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("heard {:?}", run(5)?);
    Ok(())
}
