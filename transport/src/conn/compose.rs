//! The next send: waiting control frames, then slices, in one vectored send.

use std::rc::Rc;

use ringrail_codec::native::{Cancel, HEADER_LEN, Kind, StreamEnd, UploadEnd};

use crate::buf::{Gather, Summed};
use crate::conf::Checksum;
use crate::error::{CloseReason, RequestError, RpcFailure};
use crate::sys::driver::Driver;

use super::compose_file::ReadOrder;
use super::lane::Spot;
use super::transfer::{Carries, FileRange, Transfer, Want};
use super::tx::{Tx, put_by_reference};
use super::{Conn, spark};

/// Transfers looked at for one send: those behind them wait for the next.
pub(super) const LOOK_AHEAD: usize = 16;

/// Pieces of a gather that one slice takes at most.
const SLICE_PIECES: usize = 4;

/// The operation that the pump is to post.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Nothing to send.
    Nothing,
    /// One vectored send.
    Gather(Gather),
    /// A gather, then a part of a file straight from it, then zeros up to the alignment.
    File {
        /// Control frames and the slice's header.
        head: Gather,
        /// The slice's body.
        range: FileRange,
        /// Zeros behind it.
        padding: usize,
    },
}

/// A send of more bytes than this is bulk: its end is waited for, to go on.
pub(crate) const BULK_LEN: usize = 16 << 10;

impl Outgoing {
    /// Whether there is so much of it that the socket is filled, and waited for.
    pub(crate) fn is_bulk(&self) -> bool {
        match self {
            Outgoing::Nothing => false,
            Outgoing::Gather(gather) => gather.remaining() > BULK_LEN,
            Outgoing::File { .. } => true,
        }
    }
}

/// A body that is through, or what it failed of.
pub(super) type Ended = (Transfer, Option<RpcFailure>);

/// The outcome of a look at one transfer.
pub(super) enum Step {
    /// A slice was added, of this many bytes.
    Added(usize),
    /// It is complete and goes.
    Finished,
    /// It waits for credit: others overtake it.
    Blocked,
    /// Its bytes are not at hand yet, or leave in a send of their own: the chunks behind it wait,
    /// for chunks come in the order in which they were asked for.
    Held,
    /// Its next slice goes out by itself, straight from the file, with so many zeros behind it.
    Direct(usize, FileRange),
    /// It failed and goes.
    Failed(RpcFailure),
}

/// True where a slice still fits: header, body, padding, and the end frame behind it. Control
/// frames may have filled the head to its last byte.
pub(super) fn has_room(gather: &Gather) -> bool {
    gather.piece_room() >= SLICE_PIECES && gather.head_room() >= 3 * HEADER_LEN
}

impl Conn {
    /// Takes what is to be sent next; reads that must come first are pushed on `reads`.
    pub(crate) fn compose<D: Driver>(
        self: &Rc<Self>,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
    ) -> Outgoing {
        if let Some(side) = self.spark() {
            return self.compose_spark(side, driver, reads);
        }
        let mut tx = self.tx.borrow_mut();
        let Some(mut gather) = tx.take(&self.local.pool) else {
            return Outgoing::Nothing;
        };
        if tx.has_backlog() || tx.transfers.ready_len() == 0 {
            return Outgoing::Gather(gather);
        }
        let mut ended = std::mem::take(&mut tx.ended);
        let direct = self.add_bodies(&mut tx, &mut gather, driver, reads, &mut ended);
        drop(tx);
        for (transfer, failure) in ended.drain(..) {
            self.end_transfer(&transfer, failure);
        }
        self.tx.borrow_mut().ended = ended;
        match direct {
            Some((padding, range)) => Outgoing::File {
                head: gather,
                range,
                padding,
            },
            None if gather.is_empty() => {
                self.local.pool.recycle(gather);
                Outgoing::Nothing
            }
            None => Outgoing::Gather(gather),
        }
    }

    /// Adds slices to what is gathered; the padding and the body of one that leaves straight from
    /// its file. Bodies that are through, or failed, are pushed on `ended`.
    fn add_bodies<D: Driver>(
        &self,
        tx: &mut Tx,
        gather: &mut Gather,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        ended: &mut Vec<Ended>,
    ) -> Option<(usize, FileRange)> {
        let (slice_max, batch) = self.portions();
        let (mut left, mut chunks_held, mut passed) = (batch, false, 0);
        let mut next = tx.transfers.first();
        while let Some(at) = next
            && passed < LOOK_AHEAD
            && left > 0
            && has_room(gather)
        {
            let behind = tx.transfers.after(at);
            let is_chunk = tx.transfers.at(at).is_chunk();
            if chunks_held && is_chunk {
                self.read_ahead(&mut tx.transfers, at, driver, reads, slice_max);
                (next, passed) = (behind, passed + 1);
                continue;
            }
            let portion = (slice_max, left == batch);
            match self.step(tx, at, gather, driver, reads, portion) {
                Step::Added(len) => left = left.saturating_sub(len.max(1)),
                Step::Blocked => {
                    tx.transfers.park(at);
                    next = behind;
                }
                Step::Held => {
                    chunks_held |= is_chunk;
                    (next, passed) = (behind, passed + 1);
                }
                Step::Finished => {
                    ended.push((tx.transfers.remove(at), None));
                    next = behind;
                }
                Step::Failed(failure) => {
                    ended.push((tx.transfers.remove(at), Some(failure)));
                    next = behind;
                }
                Step::Direct(padding, range) => return Some((padding, range)),
            }
        }
        None
    }

    fn step<D: Driver>(
        &self,
        tx: &mut Tx,
        at: Spot,
        gather: &mut Gather,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        (slice_max, is_first): (u32, bool),
    ) -> Step {
        let key = tx.transfers.key_of(at);
        let transfer = tx.transfers.at(at);
        if transfer.deadline_ns <= self.local.now_ns() {
            self.local.metrics.requests_timed_out.increment();
            return Step::Finished;
        }
        match transfer.want(slice_max) {
            Want::Done => self.close_body(transfer, gather),
            Want::Wait => Step::Blocked,
            Want::Reading => Step::Held,
            Want::Ready => self.add_slice(transfer, gather, driver, slice_max),
            Want::File(range) => {
                self.add_file((key, transfer), gather, driver, reads, range, is_first)
            }
        }
    }

    /// The end frame of a stream or upload; then the transfer goes.
    fn close_body(&self, transfer: &Transfer, gather: &mut Gather) -> Step {
        let (id, sent_len) = (transfer.id, transfer.total());
        let header = match transfer.carries {
            Carries::Stream => StreamEnd { id, sent_len }.header(),
            Carries::Upload => UploadEnd { id, sent_len }.header(),
            _ => return Step::Finished,
        };
        gather.put(&header.encode());
        Step::Finished
    }

    pub(super) fn add_slice<D: Driver>(
        &self,
        transfer: &mut Transfer,
        gather: &mut Gather,
        driver: &D,
        slice_max: u32,
    ) -> Step {
        let Some((header, body)) = transfer.cut(slice_max) else {
            return Step::Blocked;
        };
        self.local.metrics.frames_out.increment();
        let Some(body) = body else {
            gather.put(&header.encode());
            return Step::Added(HEADER_LEN);
        };
        let len = body.len();
        if transfer.is_plain() {
            transfer.begin(gather);
            gather.put_body(body);
            return Step::Added(len);
        }
        let header = match body.as_slice() {
            Some(bytes) if transfer.is_summed() => {
                header.with_crc(self.sum(transfer, bytes, driver))
            }
            _ => header,
        };
        put_by_reference(gather, &header, body);
        Step::Added(len)
    }

    /// The sum of the slice that was cut last, combined from what is known; what is not is computed, and kept
    /// where its block, or its file, does not change.
    fn sum<D: Driver>(&self, transfer: &mut Transfer, bytes: &[u8], driver: &D) -> u32 {
        let summed = match transfer.take_ticket(bytes.len()) {
            None => transfer.sum_of_cut(bytes),
            Some((ticket, file, at)) => {
                let state = driver.file_state(file);
                let sums = self.local.file_sums.borrow();
                let table = state.and_then(|state| sums.keep(ticket, &state));
                table.map_or_else(|| Summed::whole(bytes), |table| table.fill(at, bytes))
            }
        };
        let metrics = &self.local.metrics;
        metrics.bytes_out_summed.add(summed.computed as u64);
        let known = bytes.len() - summed.computed;
        metrics.bytes_out_sum_known.add(known as u64);
        summed.crc
    }

    pub(crate) fn sends_crc(&self) -> bool {
        self.local.conf.checksum != Checksum::Never && self.terms.get().send_crc
    }

    /// The last step of a body on its way out, whole or not.
    pub(super) fn end_transfer(&self, transfer: &Transfer, failure: Option<RpcFailure>) {
        if let Carries::Chunk { stream } = transfer.carries {
            self.chunks_sent(&[stream]);
        }
        if let Some(failure) = failure.as_ref().filter(|_| transfer.has_begun()) {
            // Its head has promised what cannot follow, and nothing else can.
            let text = failure.to_string();
            return self.close(CloseReason::BodyBroken(text));
        }
        let kind = match transfer.carries {
            Carries::Chunk { .. } => Kind::ChunkFailure,
            Carries::Stream => Kind::StreamFailure,
            Carries::Reply | Carries::Merged => Kind::RpcFailure,
            // It was the answer itself, and counted out when it was given.
            Carries::Refusal => return self.note_end(),
            Carries::Upload | Carries::Request { .. } | Carries::OneWay => {
                if let Some(failure) = failure {
                    let peer = self.peer.clone();
                    let error = RequestError::Source { peer, failure };
                    self.control(&Cancel { id: transfer.id }.header(), &[]);
                    self.resolve_failure(transfer.id, error);
                }
                return;
            }
        };
        match failure {
            Some(failure) => self.answer_failure_as(kind, transfer.id, &failure),
            None => {
                self.forget_asked(transfer.id);
                // Large replies were counted out when they were given.
                if transfer.carries != Carries::Reply {
                    self.answered();
                }
                self.note_end();
            }
        }
    }

    /// A gather has been sent: its memory is used again.
    pub(crate) fn gather_sent(&self, gather: Gather) {
        let (bodies, mapped) = gather.body_bytes();
        let metrics = &self.local.metrics;
        metrics
            .bytes_out_gathered
            .add((gather.total() - mapped) as u64);
        if mapped > 0 {
            metrics.bytes_out_mapped.add(mapped as u64);
        }
        let _ = bodies;
        self.tx.borrow_mut().sent(&self.local.pool, gather);
    }

    /// True where nothing is left to be sent.
    pub(crate) fn is_flushed(&self) -> bool {
        let sealing = self.spark().is_some_and(spark::Side::is_sealing);
        self.tx.borrow().is_empty() && !sealing
    }
}
