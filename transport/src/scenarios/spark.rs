//! Everything at once in Spark's protocol, plain, authenticated and encrypted.

use std::rc::Rc;
use std::sync::Arc;

use crate::client::{ChunkOptions, TransportClient};
use crate::error::RequestError;
use crate::shard::conn::Protocol;
use crate::spark::{
    AuthEngine, Cipher, ClientAuthentication, ClientMode, EngineVersion, Secret,
    ServerAuthentication, ServerMode,
};
use crate::sys::sim::{Faults, Rng};

use super::actors::{self, Callbacks};
use super::cluster::Cluster;
use super::content::{ChunkName, Deed, Order};
use super::ground::Ground;
use super::mixed::{Action, a_len, carry_out, is_explained};
use super::seeds;
use super::service::UploadPlan;

/// The protocols of both sides: Spark's, configured or detected, with a random handshake.
fn spoken(rng: &mut Rng) -> (Protocol, Protocol) {
    let engine = AuthEngine {
        version: match rng.chance(0.5) {
            true => EngineVersion::V1,
            false => EngineVersion::V2,
        },
        cipher: match rng.chance(0.5) {
            true => Cipher::AesCtr,
            false => Cipher::AesGcm,
        },
    };
    let sasl_fallback = rng.chance(0.5);
    let (server, client) = match rng.below(4) {
        0 => return (Protocol::Either, Protocol::SparkClient(None)),
        1 => return (Protocol::SparkServer(None), Protocol::SparkClient(None)),
        2 => (ServerMode::Sasl, ClientMode::Sasl),
        _ => (
            ServerMode::Engine {
                engine,
                sasl_fallback,
            },
            ClientMode::Engine {
                engine,
                sasl_fallback,
            },
        ),
    };
    let secret = || Secret::from("known to both");
    let server = ServerAuthentication::shared(server, secret());
    let client = ClientAuthentication::new(client, "app", secret());
    (
        Protocol::SparkServer(Some(Arc::new(server))),
        Protocol::SparkClient(Some(Arc::new(client))),
    )
}

fn an_action<G: Ground>(
    cluster: &mut Cluster<G>,
    shard: usize,
    client: &TransportClient,
    tag: u64,
    callbacks: &Rc<Callbacks>,
) -> Action {
    let (client, clock) = (client.clone(), cluster.clock.clone());
    let here = cluster.shards[shard].connection(&client);
    let rng = &mut cluster.rng;
    let len = a_len(rng);
    let deeds = [Deed::Reply, Deed::ReplyShared, Deed::Defer];
    let deed = deeds[rng.below(3) as usize];
    let order = Order::new(deed, tag << 1, a_len(rng));
    let name = ChunkName {
        from_file: rng.chance(0.5),
        len,
    };
    match (rng.below(9), here) {
        (0 | 1, _) => Box::pin(actors::order(client, order, len, clock)),
        (2, Some(here)) => {
            let here = (here, Rc::clone(callbacks));
            Box::pin(actors::order_by_callback(here, order, len, clock))
        }
        (3, Some(here)) => Box::pin(actors::order_on_shard(here, order, len, clock)),
        (4, Some(here)) => {
            let chunk = actors::chunk_on_shard(here, name, tag as u32, None, clock);
            Box::pin(chunk)
        }
        (2..=5, _) => {
            let options = ChunkOptions::default();
            Box::pin(actors::chunk(client, name, tag as u32, options, clock))
        }
        (6 | 7, _) => {
            let what = (name.from_file, tag, len);
            let pause_ns = rng.below(2) * rng.below(3_000_000);
            Box::pin(actors::stream(client, what, 0, pause_ns, clock))
        }
        _ => {
            let plan = UploadPlan {
                len,
                reply_len: a_len(rng),
                ..UploadPlan::new(tag)
            };
            Box::pin(actors::upload(client, plan, rng.chance(0.5), clock))
        }
    }
}

pub(super) fn everything<G: Ground>(
    cluster: &mut Cluster<G>,
    actions: u64,
    cancels: f64,
    lossless: bool,
) {
    cluster.speaks = spoken(&mut cluster.rng);
    // Of a failure Spark's protocol tells the text alone.
    let explained = |error: &RequestError| {
        error.to_string().contains("reading the file at") || is_explained(error)
    };
    carry_out(cluster, (actions, cancels), lossless, an_action, explained);
    if lossless && cancels == 0.0 {
        cluster.assert_at_rest();
    }
}

#[test]
fn whatever_loses_nothing_lets_everything_succeed() {
    seeds::each(150, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        everything(&mut cluster, 30, 0.0, true);
        cluster.finish();
    });
}

#[test]
fn what_is_given_up_midway_disturbs_nobody() {
    seeds::each(150, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        everything(&mut cluster, 30, 0.5, true);
        cluster.finish();
    });
}

#[test]
fn in_chaos_everything_succeeds_or_fails_for_a_reason() {
    seeds::each(150, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::chaos());
        everything(&mut cluster, 20, 0.2, false);
        cluster.finish();
    });
}

#[test]
fn everything_works_on_the_kernel_s_ring() {
    for seed in 0..8 {
        let mut cluster = Cluster::real(seed);
        everything(&mut cluster, 40, 0.2, true);
        cluster.finish();
    }
}
