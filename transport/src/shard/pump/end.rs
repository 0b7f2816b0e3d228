//! The end of a connection, and of the shard.

use std::io;

use crate::conn::lifecycle::Phase;
use crate::error::CloseReason;
use crate::shard::handle::Turn;
use crate::shard::local::ConnKey;
use crate::sys::driver::{Driver, OpKey, Park};

use super::Pump;

impl<D: Driver> Pump<D> {
    /// Cancels the operations in flight, then closes the socket, then removes the connection.
    pub(super) fn take_down(&mut self, key: ConnKey) {
        let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
            return;
        };
        if !link.cancelled {
            link.cancelled = true;
            let operations: Vec<OpKey> = link.operations().collect();
            for op in operations {
                self.driver.cancel(op);
            }
            self.driver.shutdown(link.sock, true);
        }
        if !link.is_quiet() {
            return;
        }
        assert_eq!(
            link.conn.phase(),
            Phase::Closed,
            "only a connection that is over gives its socket up"
        );
        self.driver.close(link.sock);
        self.links[key.slot as usize] = None;
        self.local.remove_conn(key);
        self.accept_where_blocked();
    }

    /// Begins the shutdown: nothing new is accepted, every connection closes.
    pub(crate) fn begin_shut_down(&mut self) {
        self.local.handle.inbox().close();
        let _turn = Turn::of(&self.local);
        self.unlisten(|_| true);
        for conn in self.local.all_conns() {
            conn.close(CloseReason::Shutdown);
        }
        self.local.stop_tasks();
    }

    /// True if no socket is left.
    pub(crate) fn is_down(&self) -> bool {
        self.links.iter().all(Option::is_none) && self.listeners.iter().all(Option::is_none)
    }

    /// Shuts everything down and waits until the kernel has completed all operations: the shard
    /// stops.
    pub(in crate::shard) fn shut_down(&mut self) -> io::Result<()> {
        self.begin_shut_down();
        let patience = self.driver.now_ns() + 2_000_000_000;
        loop {
            self.turn(Park::No)?;
            if self.is_down() || self.driver.now_ns() > patience {
                return Ok(());
            }
            let until = self.driver.now_ns() + 1_000_000;
            self.turn(Park::Until(Some(until)))?;
        }
    }
}
