//! Everything at once, both ways over the same connections.

use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use crate::client::{ChunkOptions, Connection, TransportClient};
use crate::error::RequestError;
use crate::sys::sim::{Faults, Rng};

use super::actors::{self, Callbacks, Ended};
use super::cluster::Cluster;
use super::content::{ChunkName, Deed, Order};
use super::ground::Ground;
use super::seeds;
use super::service::UploadPlan;
use super::settings;
use super::tasks::Clock;

pub(super) type Action = Pin<Box<dyn Future<Output = Ended>>>;

pub(super) fn a_len(rng: &mut Rng) -> usize {
    if rng.chance(0.05) { 0 } else { rng.cut(60_000) }
}

fn an_order(rng: &mut Rng, tag: u64) -> Order {
    let deeds = [
        Deed::Reply,
        Deed::Reply,
        Deed::ReplyShared,
        Deed::Defer,
        Deed::AskBack,
        Deed::Fail,
        Deed::Drop,
    ];
    let deed = deeds[rng.below(deeds.len() as u64) as usize];
    Order::new(deed, tag << 1, a_len(rng))
}

/// One request of any kind, by any of the interfaces.
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
    match (rng.below(10), here) {
        (0..=2, _) => Box::pin(actors::order(client, an_order(rng, tag), len, clock)),
        (3, Some(here)) => {
            let here = (here, Rc::clone(callbacks));
            let order = an_order(rng, tag);
            Box::pin(actors::order_by_callback(here, order, len, clock))
        }
        (4, Some(here)) => {
            let order = an_order(rng, tag);
            Box::pin(actors::order_on_shard(here, order, len, clock))
        }
        (5..=7, here) => {
            let here = here.filter(|_| rng.chance(0.3));
            a_fetch(rng, (client, here), (tag, len), clock)
        }
        (8, _) => {
            let what = (rng.chance(0.5), tag, len);
            let offset = (rng.below(len as u64 + 1) * rng.below(2)) as usize;
            let pause_ns = rng.below(2) * rng.below(3_000_000);
            Box::pin(actors::stream(client, what, offset, pause_ns, clock))
        }
        _ => {
            let plan = UploadPlan {
                len,
                fails_at: rng.chance(0.2).then(|| rng.below(150_000) as usize),
                reply_len: a_len(rng),
                ..UploadPlan::new(tag)
            };
            Box::pin(actors::upload(client, plan, rng.chance(0.5), clock))
        }
    }
}

/// A chunk or a part of one, from either kind of handle.
fn a_fetch(
    rng: &mut Rng,
    (client, here): (TransportClient, Option<Connection>),
    (tag, len): (u64, usize),
    clock: Clock,
) -> Action {
    let name = ChunkName {
        from_file: rng.chance(0.5),
        len,
    };
    let hint = match rng.below(3) {
        0 => None,
        1 => Some(len as u64),
        _ => Some(rng.below(200_000)),
    };
    if let Some(here) = here {
        return Box::pin(actors::chunk_on_shard(here, name, tag as u32, hint, clock));
    }
    let options = ChunkOptions {
        offset: rng.below(len as u64 + 1) * rng.below(2),
        max_len: if rng.chance(0.2) {
            rng.below(50_000)
        } else {
            u64::MAX
        },
        len_hint: hint,
        timeout: None,
        checksum: rng.below(4) > 0,
    };
    Box::pin(actors::chunk(client, name, tag as u32, options, clock))
}

/// Begins a while later; some are dropped midway, which is as good as done.
async fn begin(action: Action, clock: Clock, after_ns: u64, drop_after_ns: Option<u64>) -> Ended {
    clock.sleep(after_ns).await;
    let Some(drop_after_ns) = drop_after_ns else {
        return action.await;
    };
    let mut action = action;
    let mut end = pin!(clock.sleep(drop_after_ns));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(outcome) = action.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        end.as_mut().poll(cx).map(|()| Ok(()))
    })
    .await
}

/// Answers what handlers owe, in any order, a little later.
pub(super) async fn answer_debts(
    board: std::sync::Arc<super::board::Board>,
    clock: Clock,
    mut rng: Rng,
) {
    loop {
        clock.sleep(1 + rng.below(2_000_000)).await;
        for _ in 0..1 + rng.below(4) {
            if let Some(debt) = board.take_debt(rng.next_u64()) {
                debt.reply.reply(debt.body);
            }
        }
    }
}

/// Whether an error is one that the network's faults explain.
pub(super) fn is_explained(error: &RequestError) -> bool {
    match error {
        RequestError::Closed { .. }
        | RequestError::NotConnected
        | RequestError::Source { .. }
        | RequestError::TimedOut { .. } => true,
        // A request of the handler's own failed, or a file could not be read.
        RequestError::Remote { failure, .. } => {
            let text = failure.to_string();
            text.contains("asking back") || text.contains("SourceIo")
        }
        _ => false,
    }
}

/// Two shards and one or two connections between them: their ends, each with its shard.
fn connected<G: Ground>(cluster: &mut Cluster<G>, lossless: bool) -> Vec<(usize, TransportClient)> {
    let conf = settings::any(&mut cluster.rng);
    let other = settings::any(&mut cluster.rng);
    let (server, client) = (cluster.add_shard(conf), cluster.add_shard(other));
    for shard in &cluster.shards {
        let rng = Rng::new(cluster.rng.next_u64());
        let (board, clock) = (shard.board.clone(), cluster.clock.clone());
        drop(cluster.spawn(answer_debts(board, clock, rng)));
    }
    let addr = cluster.listen(server);
    let mut ends = Vec::new();
    for _ in 0..1 + cluster.rng.below(2) {
        let connecting = cluster.connecting(client, &addr);
        match cluster.block_on(connecting) {
            Ok(connection) => ends.push((client, connection)),
            Err(error) => assert!(!lossless, "{error}"),
        }
    }
    cluster.run_for(10_000_000);
    ends.extend(
        cluster.shards[server]
            .board
            .peers()
            .into_iter()
            .map(|peer| (server, peer)),
    );
    ends
}

/// Makes an action; the arguments are the cluster, the index of the acting end, its client, the
/// action's tag and the callback collector.
type MakeAction<G> = fn(&mut Cluster<G>, usize, &TransportClient, u64, &Rc<Callbacks>) -> Action;

pub(super) fn everything<G: Ground>(
    cluster: &mut Cluster<G>,
    actions: u64,
    cancels: f64,
    lossless: bool,
) {
    carry_out(
        cluster,
        (actions, cancels),
        lossless,
        an_action,
        is_explained,
    );
    if lossless {
        cluster.assert_at_rest();
    }
}

/// Connects two shards and has so many actions done between them, some of which are given up midway; each
/// succeeds, or fails for a reason that counts as one where something may be lost.
pub(super) fn carry_out<G: Ground>(
    cluster: &mut Cluster<G>,
    (actions, cancels): (u64, f64),
    lossless: bool,
    an_action: MakeAction<G>,
    is_explained: fn(&RequestError) -> bool,
) {
    let ends = connected(cluster, lossless);
    let callbacks = Rc::new(Callbacks::default());
    let mut joins = Vec::new();
    for tag in 1..=actions {
        if ends.is_empty() {
            break;
        }
        let at = cluster.rng.below(ends.len() as u64) as usize;
        let (shard, connection) = ends[at].clone();
        let action = an_action(cluster, shard, &connection, tag, &callbacks);
        let rng = &mut cluster.rng;
        let (after, dropped) = (rng.below(20_000_000), rng.chance(cancels));
        let drop_after = dropped.then(|| rng.below(10_000_000));
        let clock = cluster.clock.clone();
        joins.push(cluster.spawn(begin(action, clock, after, drop_after)));
    }
    for (at, outcome) in cluster
        .block_on(super::tasks::all(joins))
        .into_iter()
        .enumerate()
    {
        if let Err(error) = outcome {
            assert!(!lossless, "action {at}: {error}");
            assert!(is_explained(&error), "action {at}: {error:?}");
        }
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
fn what_is_retracted_midway_disturbs_nobody() {
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
fn a_seed_replays_to_the_last_event() {
    let history = |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::chaos());
        everything(&mut cluster, 20, 0.2, false);
        let (trace, now_ns) = (cluster.world().trace(), cluster.world().now_ns());
        cluster.finish();
        (trace, now_ns)
    };
    for seed in 0..5 {
        assert!(history(seed) == history(seed), "seed {seed}");
    }
}

#[test]
fn everything_works_on_the_kernel_s_ring() {
    for seed in 0..5 {
        let mut cluster = Cluster::real(seed);
        everything(&mut cluster, 40, 0.2, true);
        cluster.finish();
    }
}
