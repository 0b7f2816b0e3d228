//! Some shards, and what drives them.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::client::{Connection, TransportClient};
use crate::conf::TransportConf;
use crate::error::ConnectError;
use crate::metrics::{ErrorKind, MetricsSnapshot};
use crate::shard::command::{Command, ConnectOrder, ListenOrder, ListenerId};
use crate::shard::conn::Protocol;
use crate::sys::driver::{Driver, Listening};
use crate::sys::epoll::EpollDriver;
use crate::sys::sim::{Faults, Rng, SimWorld};
use crate::sys::socket::{Addr, ListenSpec, SocketError};
use crate::sys::uring::UringDriver;

use super::ground::{Ground, Kernel, Simulated};
use super::raw::Raw;
use super::settings;
use super::shard::Shard;
use super::tasks::{Clock, Join, Tasks};

pub(super) struct Cluster<G: Ground> {
    pub(super) ground: G,
    pub(super) shards: Vec<Shard<G::D>>,
    /// Peers that speak bytes, not frames.
    pub(super) raws: Vec<Raw<G::D>>,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    /// The scenario's own choices.
    pub(super) rng: Rng,
    drivers: usize,
    /// Protocols of the listeners and of the connecting sides.
    pub(super) speaks: (Protocol, Protocol),
    /// Protocol violations that raw peers commit on purpose.
    pardoned: Vec<ErrorKind>,
}

impl Cluster<Simulated> {
    /// Shards with these settings, over a link and with faults that the seed gives.
    pub(super) fn simulated(seed: u64, faults: Faults) -> Self {
        let world = SimWorld::new(seed);
        let mut rng = world.fork_rng();
        world.set_link(settings::link(&mut rng));
        world.set_faults(faults);
        Self::new(Simulated::new(world), rng)
    }

    pub(super) fn world(&self) -> &SimWorld {
        &self.ground.world
    }
}

impl Cluster<Kernel<UringDriver>> {
    pub(super) fn real(seed: u64) -> Self {
        Self::new(Kernel::new(), Rng::new(seed))
    }
}

impl Cluster<Kernel<EpollDriver>> {
    pub(super) fn epoll(seed: u64) -> Self {
        Self::new(Kernel::new(), Rng::new(seed))
    }
}

impl<G: Ground> Cluster<G> {
    fn new(ground: G, rng: Rng) -> Self {
        let clock = Clock::default();
        clock.set(ground.now_ns());
        Self {
            ground,
            shards: Vec::new(),
            raws: Vec::new(),
            tasks: Tasks::default(),
            clock,
            rng,
            drivers: 0,
            speaks: (Protocol::Native, Protocol::Native),
            pardoned: Vec::new(),
        }
    }

    /// Adds a shard; its number.
    pub(super) fn add_shard(&mut self, conf: TransportConf) -> usize {
        conf.check().expect("settings that fit together");
        let driver = self.ground.driver(&conf);
        let shard = Shard::new(self.drivers, driver, &Arc::new(conf));
        self.drivers += 1;
        self.shards.push(shard);
        assert!(self.raws.is_empty(), "shards come before raw peers");
        self.shards.len() - 1
    }

    /// Adds a peer that speaks bytes; its number.
    pub(super) fn add_raw(&mut self) -> usize {
        let driver = self.ground.driver(&settings::plain());
        self.raws.push(Raw::new(self.drivers, driver));
        self.drivers += 1;
        self.raws.len() - 1
    }

    /// Has a shard listen.
    pub(super) fn listen(&mut self, shard: usize) -> Addr {
        let addr = G::ADDRESS.parse().expect("an address");
        self.listen_at(shard, addr).expect("a free port")
    }

    pub(super) fn listen_at(&mut self, shard: usize, addr: Addr) -> Result<Addr, SocketError> {
        let (done, listening) = oneshot::channel();
        let order = ListenOrder {
            id: ListenerId(self.shards[shard].index as u64),
            on: Listening::Spec(ListenSpec::new(addr)),
            handlers: Arc::clone(&self.shards[shard].handlers),
            bootstraps: Arc::new([]),
            speaks: self.speaks.0.clone(),
            done,
        };
        self.post(shard, Command::Listen(Box::new(order)));
        self.block_on(listening).expect("the shard answers")
    }

    pub(super) fn post(&self, shard: usize, command: Command) {
        self.shards[shard].handle().post_surely(command);
    }

    /// Has a shard connect.
    pub(super) fn connecting(
        &self,
        shard: usize,
        addr: &Addr,
    ) -> impl Future<Output = Result<TransportClient, ConnectError>> + use<G> {
        let (opened, live) = oneshot::channel();
        let order = ConnectOrder {
            addr: addr.clone(),
            handlers: Arc::clone(&self.shards[shard].handlers),
            speaks: self.speaks.1.clone(),
            opened,
        };
        let (handle, peer) = (self.shards[shard].handle(), Arc::new(addr.clone()));
        self.post(shard, Command::Connect(Box::new(order)));
        async move {
            let live = live.await.unwrap_or(Err(ConnectError::Stopped))?;
            Ok(TransportClient::new(handle, live, peer))
        }
    }

    pub(super) fn connect(&mut self, shard: usize, addr: &Addr) -> TransportClient {
        let connecting = self.connecting(shard, addr);
        self.block_on(connecting).expect("a connection")
    }

    /// A server, a client, and a connection between them, open on both sides.
    pub(super) fn pair(&mut self, server: TransportConf, client: TransportConf) -> TransportClient {
        let (server, client) = (self.add_shard(server), self.add_shard(client));
        let addr = self.listen(server);
        let connection = self.connect(client, &addr);
        self.until(|cluster| cluster.shards[server].board.peers().len() == 1);
        connection
    }

    /// Has every shard answer what its handler owes, over and over.
    pub(super) fn settle_often(&self, every_ns: u64) {
        for shard in &self.shards {
            let (board, clock) = (Arc::clone(&shard.board), self.clock.clone());
            drop(self.spawn(async move {
                loop {
                    clock.sleep(every_ns).await;
                    board.settle();
                }
            }));
        }
    }

    pub(super) fn metrics(&self, shard: usize) -> MetricsSnapshot {
        self.shards[shard].pump.publish_metrics();
        self.shards[shard].handle().metrics().snapshot()
    }

    /// Runs code with a connection, as a handler on its shard would.
    pub(super) fn on_shard<T>(
        &self,
        shard: usize,
        client: &TransportClient,
        run: impl FnOnce(&Connection) -> T,
    ) -> T {
        let connection = self.shards[shard].connection(client);
        run(&connection.expect("the connection is open"))
    }

    pub(super) fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Join<T> {
        self.tasks.spawn(future)
    }

    /// A raw peer has done this on purpose: it is not held against the engine in the end.
    pub(super) fn pardon(&mut self, kind: ErrorKind) {
        self.pardoned.push(kind);
    }

    /// Drives everything until a future has ended.
    ///
    /// # Panics
    /// If it never ends.
    pub(super) fn block_on<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let join = self.tasks.spawn(future);
        self.until(|_| join.is_over());
        join.take().expect("it is over")
    }

    /// Drives everything for so long.
    pub(super) fn run_for(&mut self, ns: u64) {
        let clock = self.clock.clone();
        self.block_on(async move { clock.sleep(ns).await });
    }

    /// Drives everything until `goal` holds.
    ///
    /// # Panics
    /// If it never holds.
    pub(super) fn until(&mut self, mut goal: impl FnMut(&Self) -> bool) {
        let give_up_ns = self.ground.now_ns() + G::PATIENCE_NS;
        loop {
            let mut busy = self.tasks.run();
            for shard in &mut self.shards {
                busy |= self.ground.step(shard);
            }
            for raw in &mut self.raws {
                busy |= self.ground.poke(raw.index, &mut raw.driver) | raw.turn();
            }
            if goal(self) {
                return;
            }
            if busy {
                continue;
            }
            assert!(self.ground.now_ns() < give_up_ns, "the scenario hangs");
            let next = self.clock.next();
            let goes_on = self.ground.pass(&mut self.shards, next);
            assert!(goes_on, "nothing will ever happen any more");
            self.clock.set(self.ground.now_ns());
        }
    }

    /// Checks that nothing is under way on any connection after a grace period.
    ///
    /// # Panics
    /// If something still is.
    pub(super) fn assert_at_rest(&mut self) {
        for _ in 0..50 {
            self.run_for(100_000_000);
            if self.loose_ends().is_empty() {
                return;
            }
        }
        panic!("left under way: {:?}", self.loose_ends());
    }

    fn loose_ends(&self) -> Vec<(&'static str, usize)> {
        let conns = self
            .shards
            .iter()
            .flat_map(|shard| shard.pump.local.all_conns());
        conns.flat_map(|conn| conn.loose_ends()).collect()
    }

    /// Shuts everything down and checks that nothing is left.
    ///
    /// # Panics
    /// If something is left, or a handler observed a violation.
    pub(super) fn finish(mut self) {
        self.tasks.drop_all();
        for shard in &mut self.shards {
            shard.board.clear();
            shard.pump.begin_shut_down();
        }
        for raw in &mut self.raws {
            raw.close();
        }
        let give_up_ns = self.ground.now_ns() + G::PATIENCE_NS;
        while !self.is_down() {
            for shard in &mut self.shards {
                shard.turn(crate::sys::driver::Park::No);
            }
            for raw in &mut self.raws {
                self.ground.poke(raw.index, &mut raw.driver);
                raw.turn();
            }
            let soon = self.ground.now_ns() + 1_000_000;
            self.ground.pass(&mut self.shards, Some(soon));
            assert!(soon < give_up_ns, "the shards do not come to an end");
        }
        let Self {
            ground,
            shards,
            raws,
            pardoned,
            ..
        } = self;
        for raw in &raws {
            ground.assert_quiescent(raw.index);
        }
        drop(raws);
        for shard in shards {
            ground.assert_quiescent(shard.index);
            assert_clean(shard, &pardoned);
        }
    }

    fn is_down(&self) -> bool {
        self.shards.iter().all(|shard| shard.pump.is_down()) && self.raws.iter().all(Raw::is_over)
    }
}

/// Protocol violations that engines never commit against each other.
const MISDEEDS: [ErrorKind; 6] = [
    ErrorKind::Malformed,
    ErrorKind::Oversized,
    ErrorKind::Unexpected,
    ErrorKind::Checksum,
    ErrorKind::FlowControl,
    ErrorKind::Archive,
];

fn assert_clean<D: Driver>(shard: Shard<D>, pardoned: &[ErrorKind]) {
    let Shard { pump, board, .. } = shard;
    let local = std::rc::Rc::clone(&pump.local);
    drop(pump);
    assert_eq!(board.faults(), Vec::<String>::new());
    for kind in MISDEEDS.into_iter().filter(|kind| !pardoned.contains(kind)) {
        let count = local.metrics.errors(kind).get();
        assert_eq!(count, 0, "a rule between peers was broken: {kind:?}");
    }
    assert_eq!(local.conn_count(), 0, "connections left");
    assert_eq!(super::board::read(&board.sending), 0, "chunks never sent");
    let (opened, closed) = (&board.opened, &board.closed);
    assert_eq!(super::board::read(opened), super::board::read(closed));
    let pool = local.pool.stats();
    assert_eq!(pool.leased_bytes, 0, "a buffer was lost: {pool:?}");
    assert_eq!(local.timer_count(), 0, "timers left");
}
