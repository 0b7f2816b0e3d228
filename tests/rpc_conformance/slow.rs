//! Endpoints that take their time.

use ringrail::rpc::{
    Async, EndpointOptions, FnEndpoint, HandleAsync, HeldCall, Owned, RpcEndpoint, RpcEndpointRef,
    RpcEnv, RpcError,
};
use tokio::sync::oneshot;

use crate::actors::{Echo, message};
use crate::ground::{Gate, Journal};

message! { #[derive(Clone)] Count { } -> u64, "guarantees.Count" }

/// An endpoint on a thread of its own whose handlers wait for `gate`, with places for `capacity` messages.
pub(crate) fn gated(
    env: &RpcEnv,
    gate: &Gate,
    journal: &Journal,
    capacity: usize,
) -> RpcEndpointRef<FnEndpoint> {
    let options = EndpointOptions {
        inbox_capacity: Some(capacity),
        ..EndpointOptions::isolated()
    };
    let (gate, journal) = (gate.clone(), journal.clone());
    let make = move || {
        let counts = (gate.clone(), journal.clone());
        FnEndpoint::new()
            .on::<Echo>(move |echo, call| {
                let n = echo.take()?.n;
                journal.write(format!("echo {n}"));
                assert!(n != 0 || gate.pass());
                call.reply(n);
                Ok(())
            })
            .on::<Count>(move |_, call| {
                let (gate, journal) = &counts;
                journal.write("count");
                assert!(gate.pass());
                call.reply(1);
                Ok(())
            })
    };
    env.setup_endpoint_with("gated", options, make).unwrap()
}

/// Handles by futures, of which the first waits: its thread is not blocked, and its inbox fills.
struct Slow {
    first: Option<oneshot::Receiver<()>>,
    journal: Journal,
}

impl RpcEndpoint for Slow {
    type Messages = (Async<Echo>,);
}

impl HandleAsync<Echo> for Slow {
    async fn handle(&mut self, echo: Owned<Echo>, call: HeldCall<u64>) -> Result<(), RpcError> {
        let n = echo.take()?.n;
        self.journal.write(format!("echo {n}"));
        if let Some(first) = self.first.take() {
            let _ = first.await;
        }
        call.reply(n);
        Ok(())
    }
}

/// An endpoint on a shard that is slow until the sender is used or dropped, with places for `capacity`.
pub(crate) fn slow(env: &RpcEnv, shard: usize, capacity: usize) -> (Journal, oneshot::Sender<()>) {
    let (go, first) = oneshot::channel();
    let journal = Journal::default();
    let options = EndpointOptions {
        inbox_capacity: Some(capacity),
        ..EndpointOptions::on_shard(shard)
    };
    set_up(env, (&format!("slow{shard}"), options), first, &journal);
    (journal, go)
}

/// An endpoint that is slow until `first` is told.
pub(crate) fn slow_until(
    env: &RpcEnv,
    name: &str,
    first: oneshot::Receiver<()>,
    journal: &Journal,
) -> RpcEndpointRef {
    set_up(env, (name, EndpointOptions::on_shard(0)), first, journal)
}

fn set_up(
    env: &RpcEnv,
    (name, options): (&str, EndpointOptions),
    first: oneshot::Receiver<()>,
    journal: &Journal,
) -> RpcEndpointRef {
    let journal = journal.clone();
    let make = move || Slow {
        first: Some(first),
        journal,
    };
    env.setup_endpoint_with(name, options, make).unwrap().any()
}
