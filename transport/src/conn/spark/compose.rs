//! Composition of the next send: queued frames first, then bodies in order.
//!
//! A body that has begun continues until its end, with no frame in between. Queued frames are sent
//! before the next body begins, so an RPC's answer overtakes all bodies except the current one. Bodies
//! keep their order, because an answer to a stream request is identified by its position alone.

use std::rc::Rc;

use crate::buf::{Gather, MIN_LEASE_LEN};
use crate::conn::Conn;
use crate::conn::compose::{Ended, LOOK_AHEAD, Outgoing, Step, has_room};
use crate::conn::compose_file::ReadOrder;
use crate::conn::transfer::{FileRange, Want};
use crate::conn::tx::Tx;
use crate::sys::driver::Driver;

use super::Side;

impl Conn {
    /// Takes the data to send next; reads that must come first are pushed on `reads`.
    pub(crate) fn compose_spark<D: Driver>(
        self: &Rc<Self>,
        side: &Side,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
    ) -> Outgoing {
        if let Some(gather) = side.unsealed.borrow_mut().take() {
            return self.sealed(side, gather);
        }
        let mut tx = self.tx.borrow_mut();
        let running = tx.transfers.is_running();
        let pool = &self.local.pool;
        let gather = match running {
            true => pool.gather(MIN_LEASE_LEN),
            false => tx.take(pool),
        };
        let Some(mut gather) = gather else {
            if running {
                self.local.wait_for_memory(self.key);
            }
            return Outgoing::Nothing;
        };
        if !running && (tx.has_backlog() || tx.transfers.ready_len() == 0) {
            drop(tx);
            let outgoing = self.sealed(side, gather);
            self.note_auth_sent(side);
            return outgoing;
        }
        let mut ended = std::mem::take(&mut tx.ended);
        let direct = self.add_plain_bodies(&mut tx, &mut gather, driver, reads, &mut ended);
        drop(tx);
        let some_ended = !ended.is_empty();
        for (transfer, failure) in ended.drain(..) {
            self.end_transfer(&transfer, failure);
        }
        self.tx.borrow_mut().ended = ended;
        match direct {
            Some(range) => Outgoing::File {
                head: gather,
                range,
                padding: 0,
            },
            None if gather.is_empty() => {
                self.local.pool.recycle(gather);
                // A body that had ended before, and blocked those after it.
                match some_ended {
                    true => self.compose_spark(side, driver, reads),
                    false => Outgoing::Nothing,
                }
            }
            None => self.sealed(side, gather),
        }
    }

    /// Adds bodies in order to the gathered data; returns the part of one that is sent directly
    /// from its file.
    fn add_plain_bodies<D: Driver>(
        &self,
        tx: &mut Tx,
        gather: &mut Gather,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        ended: &mut Vec<Ended>,
    ) -> Option<FileRange> {
        let slice_max = self.local.conf.slice_len;
        let batch = self.pace.batch().max(slice_max as usize);
        let mut left = batch;
        while let Some(at) = tx.transfers.first()
            && left > 0
            && has_room(gather)
        {
            let key = tx.transfers.key_of(at);
            let transfer = tx.transfers.at(at);
            let step = match transfer.want(slice_max) {
                Want::Done => {
                    transfer.begin(gather);
                    Step::Finished
                }
                Want::Wait | Want::Reading => Step::Held,
                Want::Ready => self.add_slice(transfer, gather, driver, slice_max),
                Want::File(range) => {
                    self.add_file((key, transfer), gather, driver, reads, range, left == batch)
                }
            };
            match step {
                Step::Added(len) => left = left.saturating_sub(len.max(1)),
                Step::Finished => ended.push((tx.transfers.remove(at), None)),
                Step::Failed(failure) => ended.extend(
                    self.fail_ready(tx, at, failure)
                        .map(|(transfer, failure)| (transfer, Some(failure))),
                ),
                Step::Direct(_, range) => return Some(range),
                Step::Held | Step::Blocked => {
                    let mut next = tx.transfers.after(at);
                    for _ in 1..LOOK_AHEAD {
                        let Some(at) = next else { break };
                        next = tx.transfers.after(at);
                        self.read_ahead(&mut tx.transfers, at, driver, reads, slice_max);
                    }
                    break;
                }
            }
        }
        None
    }
}
