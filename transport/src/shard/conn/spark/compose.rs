//! Composition of the next send: queued frames first, then bodies in order.
//!
//! A body that has begun continues until its end, with no frame in between. Queued frames are sent
//! before the next body begins, so an RPC's answer overtakes all bodies except the current one. Bodies
//! keep their order, because an answer to a stream request is identified by its position alone.

use std::rc::Rc;

use crate::buf::MIN_LEASE_LEN;
use crate::conn::composer::Discipline;
use crate::shard::conn::Conn;
use crate::shard::conn::compose::{Composing, Outgoing};

use super::SparkState;

impl Conn {
    /// Begins the next send.
    pub(in crate::shard::conn) fn begin_compose_spark(
        self: &Rc<Self>,
        side: &SparkState,
    ) -> Composing {
        if let Some(gather) = side.unsealed.borrow_mut().take() {
            return Composing::Done(self.sealed(side, gather));
        }
        let mut tx = self.tx.borrow_mut();
        let running = tx.transfers.is_running();
        let pool = &self.local.pool;
        let gather = match running {
            true => pool.gather(MIN_LEASE_LEN),
            false => tx.take(pool),
        };
        let Some(gather) = gather else {
            if running {
                self.wait_to_send();
            }
            return Composing::Done(Outgoing::Nothing);
        };
        if !running && (tx.has_backlog() || tx.transfers.ready_len() == 0) {
            drop(tx);
            let outgoing = self.sealed(side, gather);
            self.note_auth_sent(side);
            return Composing::Done(outgoing);
        }
        let slice_max = self.local.conf.slice_len;
        let batch = self.batch_sizer.get().batch().max(slice_max as usize);
        self.composer(&mut tx, gather, Discipline::InOrder, (slice_max, batch))
    }
}
