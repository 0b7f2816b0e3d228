//! The endpoint that tells what an env has: for `ringrail rpc` and whoever debugs a cluster.

use std::sync::Arc;

use rkyv::{Archive, Deserialize, Serialize};

use super::borrowed::Slice;
use super::call::RpcCallContext;
use super::endpoint::{Handle, RpcEndpoint};
use super::env::{EndpointOptions, RpcEnv};
use super::error::RpcError;
use super::failure::Failure;
use super::handler::Handler;
use super::message::{Lane, Message};
use super::metrics::EndpointMetrics;
use super::received::{Received, View};
use super::shared::EnvShared;

/// The inspector's name in every env that listens.
pub const INSPECTOR_NAME: &str = "endpoint-inspector";

/// Asks the inspector for everything that the env has.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspect;

impl Message for Inspect {
    type Reply = EnvReport;
    const NAME: &'static str = "rpc.Inspect";
    const LANE: Lane = Lane::Liveness;
}

/// Asks the inspector for these bytes back: a ping.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Bytes that are to come back.
    pub payload: Vec<u8>,
}

impl Message for Ping {
    type Reply = Vec<u8>;
    const NAME: &'static str = "rpc.Ping";
    const LANE: Lane = Lane::Liveness;
}

/// A report on an env.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct EnvReport {
    /// Its name.
    pub name: String,
    /// Threads that connections and endpoints live on.
    pub shards: u32,
    /// Its endpoints, one entry per instance, by name.
    pub endpoints: Vec<EndpointReport>,
}

/// Metrics of an instance of an endpoint; times in ns.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct EndpointReport {
    /// Its name.
    pub name: String,
    /// The thread that it lives on.
    pub host: String,
    /// Messages that were handled.
    pub handled: u64,
    /// Handlers and hooks that failed.
    pub failed: u64,
    /// Messages that were refused: the inbox was full.
    pub refused: u64,
    /// Messages that wait.
    pub depth: u64,
    /// Messages that waited at most.
    pub depth_max: u64,
    /// How long the first of those that wait has waited.
    pub age_ns: u64,
    /// How long any message has waited at most.
    pub age_max_ns: u64,
}

impl From<EndpointMetrics> for EndpointReport {
    fn from(metrics: EndpointMetrics) -> Self {
        Self {
            name: metrics.name.to_string(),
            host: metrics.host.into(),
            handled: metrics.handled,
            failed: metrics.failed,
            refused: metrics.refused,
            depth: metrics.depth,
            depth_max: metrics.depth_max,
            age_ns: super::clock::ns(metrics.age),
            age_max_ns: super::clock::ns(metrics.age_max),
        }
    }
}

struct Inspector {
    env: Arc<EnvShared>,
}

impl RpcEndpoint for Inspector {
    type Messages = (Inspect, Ping);
}

impl Handler<Inspect> for Inspector {
    fn handle(&mut self, _: Received<'_, Inspect>) -> Result<EnvReport, Failure> {
        let endpoints = self.env.registry.metrics();
        Ok(EnvReport {
            name: self.env.name().to_owned(),
            shards: self.env.shards().len() as u32,
            endpoints: endpoints.into_iter().map(EndpointReport::from).collect(),
        })
    }
}

impl Handle<Ping> for Inspector {
    fn handle(
        &mut self,
        ping: Received<'_, Ping>,
        call: RpcCallContext<'_, Vec<u8>>,
    ) -> Result<(), RpcError> {
        call.reply_as(match ping.view() {
            View::Archived(ping) => Slice(&ping.payload),
            View::Local(ping) => Slice(&ping.payload),
        });
        Ok(())
    }
}

/// Sets the inspector up, on every shard.
pub(crate) fn set_up(env: &RpcEnv) -> Result<(), RpcError> {
    let shared = Arc::clone(env.shared());
    let make = move || Inspector {
        env: Arc::clone(&shared),
    };
    env.setup_replicated(INSPECTOR_NAME, EndpointOptions::default(), make)?;
    Ok(())
}
