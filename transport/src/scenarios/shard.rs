//! One shard of a cluster: a pump as in a program, with the service under test as its handler.

use std::rc::Rc;
use std::sync::Arc;

use crate::client::{Connection, TransportClient};
use crate::conf::TransportConf;
use crate::server::HandlerFactory;
use crate::shard::handle::{ShardHandle, Turn};
use crate::shard::local::ShardLocal;
use crate::shard::pump::Pump;
use crate::sys::driver::{Driver, Park};

use super::board::Board;
use super::service;

pub(super) struct Shard<D> {
    pub(super) index: usize,
    pub(super) pump: Pump<D>,
    /// Sleeps in its ring; see the ground's `step`.
    pub(super) asleep: bool,
    /// The observations of its handler.
    pub(super) board: Arc<Board>,
    pub(super) handlers: Arc<HandlerFactory>,
}

impl<D: Driver> Shard<D> {
    pub(super) fn new(index: usize, driver: D, conf: &Arc<TransportConf>) -> Self {
        let handle = ShardHandle::new(index, conf.inbox);
        handle.set_waker(driver.waker());
        let metrics = Arc::clone(handle.metrics());
        let local = ShardLocal::new(handle, Arc::clone(conf), metrics, driver.now_ns());
        let board = Arc::new(Board::default());
        let handlers = service::factory(&board);
        Self {
            index,
            pump: Pump::new(driver, local),
            asleep: false,
            board,
            handlers,
        }
    }

    pub(super) fn handle(&self) -> ShardHandle {
        self.pump.local.handle.clone()
    }

    /// Frames that it has taken in, of all its connections.
    pub(super) fn frames_handled(&self) -> u64 {
        self.pump.local.metrics.frames_in.get()
    }

    pub(super) fn turn(&mut self, park: Park) -> bool {
        let worked = self.pump.turn(park).expect("the ring works");
        let pool = self.pump.local.pool.stats();
        assert!(pool.mapped_bytes <= pool.budget_bytes, "{pool:?}");
        assert!(pool.leased_bytes <= pool.budget_bytes, "{pool:?}");
        worked
    }

    /// The connection that a handle names, for code on this shard; `None` if it has ended.
    pub(super) fn connection(&self, client: &TransportClient) -> Option<Connection> {
        connection_on(&self.pump.local, client)
    }
}

/// As [`Shard::connection`].
pub(super) fn connection_on(
    local: &Rc<ShardLocal>,
    client: &TransportClient,
) -> Option<Connection> {
    let _turn = Turn::of(local);
    client.here()
}
