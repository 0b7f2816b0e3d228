//! The factory of clients: who asks it again after a loss gets another connection, and is served.

use std::rc::Rc;
use std::sync::Arc;

use crate::client::TransportClientFactory;
use crate::conf::TransportConf;
use crate::error::{ConnectError, RequestError};
use crate::server::NoRpcHandler;
use crate::shard::Engine;
use crate::shard::conn::Protocol;
use crate::sys::sim::{Faults, Injury, Script, When};
use crate::sys::socket::Addr;

use super::board::read;
use super::cluster::Cluster;
use super::content::{Deed, Order};
use super::ground::Ground;
use super::tasks::{self, Clock};
use super::{actors, seeds, settings};

const MS: u64 = 1_000_000;

fn conf() -> TransportConf {
    TransportConf {
        connections_per_peer: 2,
        connect_timeout: std::time::Duration::from_secs(2),
        connection_timeout: std::time::Duration::from_secs(4),
        ..settings::plain()
    }
}

/// A server, two shards that ask, and the factory over those.
fn served<G: Ground>(cluster: &mut Cluster<G>) -> (Addr, TransportClientFactory) {
    for _ in 0..3 {
        cluster.add_shard(conf());
    }
    let addr = cluster.listen(0);
    let asking = [1, 2].map(|shard| cluster.shards[shard].handle());
    let engine = Engine::of_shards(asking.to_vec(), conf());
    let handlers = Arc::new(|| Rc::new(NoRpcHandler) as Rc<_>);
    let factory = TransportClientFactory::new(engine, handlers, Vec::new(), Protocol::Native);
    (addr, factory)
}

/// Repeats an order until it is answered, over any connection available. Returns the number of
/// attempts.
async fn persist(factory: TransportClientFactory, addr: String, order: Order, clock: Clock) -> u32 {
    let mut attempts = 0;
    loop {
        attempts += 1;
        assert!(attempts < 1000, "{order:?} is never answered");
        let client = match factory.create_client(&addr).await {
            Ok(client) => client,
            Err(error) => {
                let explained = matches!(
                    error,
                    ConnectError::Io { .. }
                        | ConnectError::TimedOut { .. }
                        | ConnectError::Handshake { .. }
                );
                assert!(explained, "{error:?}");
                clock.sleep(5 * MS).await;
                continue;
            }
        };
        match actors::order(client, order, 200, clock.clone()).await {
            Ok(()) => return attempts,
            Err(error) => {
                let lost = matches!(
                    error,
                    RequestError::Closed { .. } | RequestError::NotConnected
                );
                assert!(lost && error.is_retryable(), "{error:?}");
            }
        }
    }
}

pub(super) fn everybody_persists<G: Ground>(cluster: &mut Cluster<G>, count: u64) -> u32 {
    let (addr, factory) = served(cluster);
    let joins = (0..count).map(|tag| {
        let (factory, addr) = (factory.clone(), addr.to_string());
        let order = Order::new(Deed::Reply, tag, 300);
        let (begin, clock) = (cluster.rng.below(400 * MS), cluster.clock.clone());
        cluster.spawn(async move {
            clock.sleep(begin).await;
            persist(factory, addr, order, clock).await
        })
    });
    let joins: Vec<_> = joins.collect();
    let attempts = cluster.block_on(tasks::all(joins));
    let board = &cluster.shards[0].board;
    for tag in 0..count {
        let handled = board.times_handled(tag);
        let asked = attempts[tag as usize];
        assert!(
            (1..=asked).contains(&handled),
            "request {tag}: {handled} of {asked}"
        );
    }
    attempts.iter().sum()
}

#[test]
fn every_request_is_answered_in_the_end_over_a_network_that_breaks() {
    let again = std::cell::Cell::new(0);
    seeds::each(60, |seed| {
        let faults = Faults {
            reset: 0.02,
            vanish: 0.002,
            connect_refused: 0.1,
            accept_error: 0.05,
            ..Faults::rough()
        };
        let mut cluster = Cluster::simulated(seed, faults);
        let attempts = everybody_persists(&mut cluster, 60);
        again.set(again.get() + attempts - 60);
        cluster.finish();
    });
    assert!(again.get() > 0, "nothing was ever lost");
}

#[test]
fn the_factory_works_on_the_kernel_s_ring() {
    let mut cluster = Cluster::real(1);
    assert_eq!(everybody_persists(&mut cluster, 40), 40);
    cluster.finish();
}

/// Two connections are made and used in turn; the one that was reset is replaced when it is next
/// asked for, the other stays.
#[test]
fn a_connection_that_was_reset_is_replaced_and_no_other() {
    seeds::each(60, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let lost = cluster.rng.below(2) as usize;
        cluster.world().script(Script {
            connection: lost,
            when: When::Time(3_000 * MS),
            injury: Injury::Reset,
        });
        let (addr, factory) = served(&mut cluster);
        let client = |cluster: &mut Cluster<_>| {
            let (factory, addr) = (factory.clone(), addr.to_string());
            let made = async move { factory.create_client(&addr).await };
            cluster.block_on(made).expect("a connection")
        };
        let before = [client(&mut cluster), client(&mut cluster)];
        let again = [client(&mut cluster), client(&mut cluster)];
        cluster.run_for(10 * MS);
        assert_eq!(read(&cluster.shards[0].board.opened), 2, "they are shared");
        cluster.run_for(4_000 * MS);
        let alive = before.iter().filter(|it| it.is_active()).count();
        assert_eq!(alive, 1, "one was reset");
        let after = [client(&mut cluster), client(&mut cluster)];
        assert!(after.iter().all(|it| it.is_active()));
        cluster.run_for(10 * MS);
        assert_eq!(read(&cluster.shards[0].board.opened), 3, "one was replaced");
        for (tag, client) in after.into_iter().enumerate() {
            let order = Order::new(Deed::Reply, tag as u64, 10);
            let clock = cluster.clock.clone();
            let asked = cluster.block_on(actors::order(client, order, 100, clock));
            asked.expect("it works");
        }
        drop((before, again));
        cluster.finish();
    });
}

/// Many who ask at once for a peer that does not answer cost it one attempt per slot at a time, and
/// all are told.
#[test]
fn who_asks_for_a_dead_peer_is_told_and_the_pool_recovers() {
    seeds::each(30, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let (addr, factory) = served(&mut cluster);
        cluster.world().set_faults(Faults {
            connect_refused: 1.0,
            ..Faults::rough()
        });
        let ask = |cluster: &Cluster<_>| {
            let (factory, addr) = (factory.clone(), addr.to_string());
            cluster.spawn(async move { factory.create_client(&addr).await })
        };
        let joins: Vec<_> = (0..20).map(|_| ask(&cluster)).collect();
        for outcome in cluster.block_on(tasks::all(joins)) {
            let error = outcome.expect_err("it is dead");
            assert!(matches!(error, ConnectError::Io { .. }), "{error:?}");
        }
        cluster.world().set_faults(Faults::rough());
        let joins: Vec<_> = (0..20).map(|_| ask(&cluster)).collect();
        for outcome in cluster.block_on(tasks::all(joins)) {
            outcome.expect("it is back");
        }
        cluster.run_for(10 * MS);
        assert_eq!(read(&cluster.shards[0].board.opened), 2, "one per slot");
        cluster.finish();
    });
}
