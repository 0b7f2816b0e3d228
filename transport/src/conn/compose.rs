//! What leaves next: waiting control frames, then slices, in one vectored send.

use std::io;

use ringrail_codec::native::{HEADER_LEN, Header, StreamEnd, UploadEnd};

use crate::buf::{Body, Gather, LeaseMut};
use crate::sys::driver::{Driver, is_passing};

use super::Conn;
use super::transfer::{Carries, FileRange, Transfer, TransferKey, Want};
use super::tx::{Tx, put_by_reference};

/// Transfers looked at for one send: those behind them wait for the next.
const LOOK_AHEAD: usize = 16;

/// How long after a cold read files are left to the workers.
const DISK_BUSY_NS: u64 = 20_000_000;

/// Pieces of a gather that one slice takes at most.
const SLICE_PIECES: usize = 4;

/// What the pump is to post.
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

/// A part of a file that must be read off the disk before it can be sent.
#[derive(Debug)]
pub(crate) struct ReadOrder {
    pub(crate) transfer: TransferKey,
    pub(crate) range: FileRange,
    pub(crate) into: LeaseMut,
}

/// What became of a look at one transfer.
enum Step {
    /// A slice was added, of this many bytes.
    Added(usize),
    /// It is complete and goes.
    Finished,
    /// It waits for credit: others overtake it.
    Blocked,
    /// Its bytes are not at hand yet, or leave in a send of their own: the chunks behind it wait,
    /// for chunks come in the order in which they were asked for.
    Held,
    /// Its next slice goes out by itself, straight from the file.
    Direct(Header, FileRange),
    /// It failed and goes.
    Failed(crate::error::RpcFailure),
}

/// True where a slice still fits: header, body, padding, and the end frame behind it. Control
/// frames may have filled the head to its last byte.
fn has_room(gather: &Gather) -> bool {
    gather.piece_room() >= SLICE_PIECES && gather.head_room() >= 3 * HEADER_LEN
}

impl Conn {
    /// Takes what is to be sent next; reads that must come first are pushed on `reads`.
    pub(crate) fn compose<D: Driver>(&self, driver: &D, reads: &mut Vec<ReadOrder>) -> Outgoing {
        let mut tx = self.tx.borrow_mut();
        let Some(mut gather) = tx.take(&self.local.pool) else {
            return Outgoing::Nothing;
        };
        if tx.has_backlog() || tx.transfers.ready_len() == 0 {
            return Outgoing::Gather(gather);
        }
        let (slice_max, batch) = self.portions();
        let mut left = batch;
        let (mut at, mut ended) = (0, Vec::new());
        let mut direct = None;
        let mut chunks_held = false;
        while at < tx.transfers.ready_len().min(LOOK_AHEAD) && left > 0 && has_room(&gather) {
            let is_chunk = tx.transfers.ready_mut(at).is_chunk();
            if chunks_held && is_chunk {
                self.read_ahead(tx.transfers.ready_mut(at), driver, reads, slice_max);
                at += 1;
                continue;
            }
            match self.step(
                &mut tx,
                at,
                &mut gather,
                driver,
                reads,
                (slice_max, left == batch),
            ) {
                Step::Added(len) => left = left.saturating_sub(len.max(1)),
                Step::Blocked => tx.transfers.park(at),
                Step::Held => {
                    chunks_held |= is_chunk;
                    at += 1;
                }
                Step::Finished => ended.extend(tx.transfers.remove(at).map(|t| (t, None))),
                Step::Failed(failure) => {
                    ended.extend(tx.transfers.remove(at).map(|t| (t, Some(failure))));
                }
                Step::Direct(header, range) => {
                    direct = Some((header.padding_len(), range));
                    break;
                }
            }
        }
        drop(tx);
        for (transfer, failure) in ended {
            self.end_transfer(&transfer, failure);
        }
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

    fn step<D: Driver>(
        &self,
        tx: &mut Tx,
        at: usize,
        gather: &mut Gather,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        (slice_max, is_first): (u32, bool),
    ) -> Step {
        let transfer = tx.transfers.ready_mut(at);
        if transfer.deadline_ns <= self.local.now_ns() {
            self.local.metrics.requests_timed_out.increment();
            return Step::Finished;
        }
        match transfer.want(slice_max) {
            Want::Done => self.close_body(transfer, gather),
            Want::Wait => Step::Blocked,
            Want::Reading => Step::Held,
            Want::Ready => self.add_slice(transfer, gather, slice_max),
            Want::File(range) => self.add_file(transfer, gather, driver, reads, range, is_first),
        }
    }

    /// Has the disk begin with a chunk whose turn to be sent has not come.
    fn read_ahead<D: Driver>(
        &self,
        transfer: &mut Transfer,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        slice_max: u32,
    ) {
        let Want::File(range) = transfer.want(slice_max) else {
            return;
        };
        if driver.is_resident(&range.file, range.offset, range.len) != Some(false) {
            return;
        }
        self.note_disk_busy();
        if let Some(into) = self.local.pool.lease(range.len) {
            order_read(transfer, reads, range, into);
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

    fn add_slice(&self, transfer: &mut Transfer, gather: &mut Gather, slice_max: u32) -> Step {
        let Some((header, body)) = transfer.cut(slice_max) else {
            return Step::Blocked;
        };
        self.local.metrics.frames_out.increment();
        let Some(body) = body else {
            gather.put(&header.encode());
            return Step::Added(HEADER_LEN);
        };
        let len = body.len();
        put_by_reference(gather, &self.with_crc(header, &body), body);
        Step::Added(len)
    }

    fn with_crc(&self, header: Header, body: &Body) -> Header {
        match body.as_slice() {
            Some(bytes) if self.sends_crc() => header.with_crc_of(bytes),
            _ => header,
        }
    }

    pub(crate) fn sends_crc(&self) -> bool {
        self.local.conf.checksum && self.terms.get().send_crc
    }

    /// A slice of a file: straight from it where it is large and in memory, else through a lease.
    fn add_file<D: Driver>(
        &self,
        transfer: &mut Transfer,
        gather: &mut Gather,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        range: FileRange,
        is_first: bool,
    ) -> Step {
        let mut resident = driver.is_resident(&range.file, range.offset, range.len);
        if resident == Some(false) {
            self.note_disk_busy();
        } else if self.disk_is_busy() {
            resident = Some(false);
        }
        if resident == Some(true) {
            if range.len >= self.local.conf.sendfile_min && !self.sends_crc() {
                return self.send_directly(transfer, gather, range, is_first);
            }
            if let Some(step) = self.add_mapped(transfer, gather, &range) {
                return step;
            }
        }
        let Some(into) = self.local.pool.lease(range.len) else {
            self.local.wait_for_memory(self.key);
            return Step::Held;
        };
        if resident == Some(false) {
            return order_read(transfer, reads, range, into);
        }
        self.add_read(transfer, gather, driver, reads, range, into)
    }

    /// True for a while after something had to be read off the disk. Even pages that are in memory
    /// are then left to the workers: to touch them starts the kernel's reading ahead, which blocks
    /// whoever does it when the disk's queue is full.
    fn disk_is_busy(&self) -> bool {
        self.local.now_ns() < self.local.disk_busy_until_ns.get()
    }

    fn note_disk_busy(&self) {
        let until = self.local.now_ns() + DISK_BUSY_NS;
        self.local.disk_busy_until_ns.set(until);
    }

    /// A slice that leaves by itself, straight from the page cache.
    fn send_directly(
        &self,
        transfer: &mut Transfer,
        gather: &mut Gather,
        range: FileRange,
        is_first: bool,
    ) -> Step {
        if !is_first {
            // What is gathered goes first; the file is next time's.
            return Step::Held;
        }
        let Some(header) = transfer.cut_file(range.len) else {
            return Step::Blocked;
        };
        gather.put(&header.encode());
        self.local.metrics.frames_out.increment();
        Step::Direct(header, range)
    }

    /// A slice that is read into a lease, if it lies in memory as it seems to.
    fn add_read<D: Driver>(
        &self,
        transfer: &mut Transfer,
        gather: &mut Gather,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        range: FileRange,
        mut into: LeaseMut,
    ) -> Step {
        let room = &mut into.buffer_mut()[..range.len];
        let read = match driver.read_resident(&range.file, range.offset, room) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return order_read(transfer, reads, range, into);
            }
            Err(error) => Err(error),
            Ok(count) => {
                self.local.metrics.bytes_out_file_read.add(count as u64);
                into.set_len(count);
                Ok(into.freeze())
            }
        };
        match transfer.loaded(read) {
            Ok(()) => self.add_slice(transfer, gather, u32::MAX),
            Err(failure) => Step::Failed(failure),
        }
    }

    /// A small slice of a mapped file: gathered from the mapping. It lies in memory.
    fn add_mapped(
        &self,
        transfer: &mut Transfer,
        gather: &mut Gather,
        range: &FileRange,
    ) -> Option<Step> {
        let mapping = range.mapping.as_ref().filter(|_| !self.sends_crc())?;
        let body = mapping.slice(usize::try_from(range.offset).ok()?, range.len)?;
        let header = transfer.cut_file(range.len)?;
        put_by_reference(gather, &header, Body::Mapped(body));
        self.local.metrics.frames_out.increment();
        Some(Step::Added(range.len))
    }

    /// A read ordered by [`compose`](Self::compose) has ended.
    pub(crate) fn file_read(&self, key: TransferKey, into: LeaseMut, read: io::Result<usize>) {
        let mut tx = self.tx.borrow_mut();
        let Some(at) = tx.transfers.position(key) else {
            return;
        };
        let failed = match read {
            Err(error) if is_passing(&error) => {
                tx.transfers.ready_mut(at).unread();
                None
            }
            read => {
                let lease = read.map(|count| {
                    self.local.metrics.bytes_out_file_read.add(count as u64);
                    let mut into = into;
                    into.set_len(count);
                    into.freeze()
                });
                tx.transfers.ready_mut(at).loaded(lease).err()
            }
        };
        let ended = failed.and_then(|failure| tx.transfers.remove(at).map(|t| (t, failure)));
        drop(tx);
        if let Some((transfer, failure)) = ended {
            self.end_transfer(&transfer, Some(failure));
        }
        self.mark_dirty();
    }

    /// The last step of a body on its way out, whole or not.
    pub(super) fn end_transfer(
        &self,
        transfer: &Transfer,
        failure: Option<crate::error::RpcFailure>,
    ) {
        use ringrail_codec::native::Kind;
        if let Carries::Chunk { stream } = transfer.carries {
            self.chunks_sent(&[stream]);
        }
        let kind = match transfer.carries {
            Carries::Chunk { .. } => Kind::ChunkFailure,
            Carries::Stream => Kind::StreamFailure,
            Carries::Reply => Kind::RpcFailure,
            Carries::Upload | Carries::Request { .. } | Carries::OneWay => {
                if let Some(failure) = failure {
                    let peer = self.peer.clone();
                    let error = crate::error::RequestError::Source { peer, failure };
                    self.control(
                        &ringrail_codec::native::Cancel { id: transfer.id }.header(),
                        &[],
                    );
                    self.resolve_failure(transfer.id, error);
                }
                return;
            }
        };
        match failure {
            Some(failure) => self.answer_failure_as(kind, transfer.id, &failure),
            None => {
                // Large replies were counted out when they were given.
                if kind != Kind::RpcFailure {
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
        self.tx.borrow().is_empty()
    }
}

/// Has a slice read off the disk, away from the shard.
fn order_read(
    transfer: &mut Transfer,
    reads: &mut Vec<ReadOrder>,
    range: FileRange,
    into: LeaseMut,
) -> Step {
    transfer.reading();
    reads.push(ReadOrder {
        transfer: transfer.key(),
        range,
        into,
    });
    Step::Held
}
