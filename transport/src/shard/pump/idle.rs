//! Release of the buffers that idle connections hold.

use crate::conn::lifecycle::Phase;
use crate::conn::wire::Wire;
use crate::shard::link::Receiving;
use crate::shard::local::ConnKey;
use crate::sys::driver::Driver;

use super::Pump;

impl<D: Driver> Pump<D> {
    /// After bulk, the receive of the next header uses a buffer of the reserve. Once no bulk is
    /// expected any more, that receive ends, and a multishot receive, which holds no buffer, takes
    /// its place. A portion that was asked for after a flood ends likewise.
    pub(super) fn give_back_header(&mut self, key: ConnKey) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let op = match link.recv {
            Some((op, Receiving::Fill | Receiving::Header)) => op,
            Some((op, Receiving::Portion)) => return self.driver.cancel(op),
            _ => return,
        };
        let conn = &link.conn;
        let idle =
            conn.phase() == Phase::Open && conn.wire() == Wire::Native && !conn.expects_bulk();
        if idle && link.rx.leave_exact() {
            self.driver.cancel(op);
        }
    }
}
