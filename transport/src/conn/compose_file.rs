//! Slices of files on their way out: the way of each is chosen when it is sent.

use std::io;

use ringrail_codec::native::Header;

use crate::buf::{Body, Gather, LeaseMut};
use crate::sys::driver::{Driver, is_passing};

use super::Conn;
use super::compose::Step;
use super::file_sums::Look;
use super::lane::{Lane, LaneKey, Spot};
use super::transfer::{FileRange, Transfer, Want};
use super::tx::put_by_reference;

/// How long after a cold read files are left to the workers.
const DISK_BUSY_NS: u64 = 20_000_000;

/// A part of a file that must be read off the disk before it can be sent.
#[derive(Debug)]
pub(crate) struct ReadOrder {
    /// The transfer that it is for. An id of the peer's would not do: the peer may retract one and use it again.
    pub(crate) transfer: LaneKey,
    pub(crate) range: FileRange,
    pub(crate) into: LeaseMut,
}

/// A range of a file that can be sent without user space looking at it.
#[derive(Clone, Copy, Debug)]
struct Unseen {
    /// Its sum, where its header needs one.
    crc: Option<u32>,
}

impl Conn {
    /// Has the disk begin with a chunk whose turn to be sent has not come.
    pub(super) fn read_ahead<D: Driver>(
        &self,
        lane: &mut Lane,
        at: Spot,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        slice_max: u32,
    ) {
        let Want::File(range) = lane.at(at).want(slice_max) else {
            return;
        };
        if driver.is_resident(&range.file, range.offset, range.len) != Some(false) {
            return;
        }
        self.note_disk_busy();
        if let Some(into) = self.local.pool.lease(range.len) {
            self.unseen(lane.at(at), driver, &range);
            order_read((lane.key_of(at), lane.at(at)), reads, range, into);
        }
    }

    /// A slice of a file: straight from it where it is large and in memory, else through a lease.
    pub(super) fn add_file<D: Driver>(
        &self,
        (key, transfer): (LaneKey, &mut Transfer),
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
        let unseen = self.unseen(transfer, driver, &range);
        if resident == Some(true)
            && let Some(unseen) = unseen
        {
            if range.len >= self.direct_min(&range) {
                return self.send_directly(transfer, gather, (range, unseen), is_first);
            }
            if let Some(step) = self.add_mapped(transfer, gather, &range, unseen) {
                return step;
            }
        }
        let Some(into) = self.local.pool.lease(range.len) else {
            self.local.wait_for_memory(self.key);
            return Step::Held;
        };
        if resident == Some(false) {
            return order_read((key, transfer), reads, range, into);
        }
        self.add_read((key, transfer), gather, driver, reads, range, into)
    }

    /// How a range can be sent whose bytes user space does not look at; `None` where it has to. Its sums are kept
    /// once it has been read.
    fn unseen<D: Driver>(
        &self,
        transfer: &mut Transfer,
        driver: &D,
        range: &FileRange,
    ) -> Option<Unseen> {
        transfer.set_ticket(None);
        if self.seals() {
            return None;
        }
        if !transfer.is_summed() {
            return Some(Unseen { crc: None });
        }
        if range.mapping.is_none() && range.len < self.direct_min(range) {
            return None;
        }
        let state = driver.file_state(&range.file)?;
        let (offset, len, now_ns) = (range.offset, range.len as u64, self.local.now_ns());
        let mut sums = self.local.file_sums.borrow_mut();
        match sums.look(&state, offset, len, now_ns) {
            Look::Known(crc) => Some(Unseen { crc: Some(crc) }),
            Look::Unknown(ticket) => {
                transfer.set_ticket(Some(ticket));
                None
            }
            Look::Never => None,
        }
    }

    /// The header of a slice that is cut here and whose body nobody looks at.
    fn cut_unseen(&self, transfer: &mut Transfer, len: usize, unseen: Unseen) -> Option<Header> {
        let header = transfer.cut_file(len)?;
        self.local.metrics.frames_out.increment();
        let Some(crc) = unseen.crc else {
            return Some(header);
        };
        self.local.metrics.bytes_out_sum_known.add(len as u64);
        Some(header.with_crc(crc))
    }

    /// From which length on a range leaves by `sendfile`: what is not mapped would be copied twice.
    fn direct_min(&self, range: &FileRange) -> usize {
        let conf = &self.local.conf;
        match range.mapping {
            Some(_) => conf.sendfile_min,
            None => conf.sendfile_min.min(conf.sendfile_unmapped_min),
        }
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
        (range, unseen): (FileRange, Unseen),
        is_first: bool,
    ) -> Step {
        if !is_first {
            // The gathered frames go first; the file goes in the next send.
            return Step::Held;
        }
        let Some(header) = self.cut_unseen(transfer, range.len, unseen) else {
            return Step::Blocked;
        };
        if transfer.is_plain() {
            transfer.begin(gather);
            return Step::Direct(0, range);
        }
        gather.put(&header.encode());
        Step::Direct(header.padding_len(), range)
    }

    /// A slice that is read into a lease, if it lies in memory as it seems to.
    fn add_read<D: Driver>(
        &self,
        (key, transfer): (LaneKey, &mut Transfer),
        gather: &mut Gather,
        driver: &D,
        reads: &mut Vec<ReadOrder>,
        range: FileRange,
        mut into: LeaseMut,
    ) -> Step {
        let room = &mut into.buffer_mut()[..range.len];
        let read = match driver.read_resident(&range.file, range.offset, room) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return order_read((key, transfer), reads, range, into);
            }
            Err(error) => Err(error),
            Ok(count) => {
                self.local.metrics.bytes_out_file_read.add(count as u64);
                into.set_len(count);
                Ok(into.freeze())
            }
        };
        match transfer.loaded(read) {
            Ok(()) => self.add_slice(transfer, gather, driver, u32::MAX),
            Err(failure) => Step::Failed(failure),
        }
    }

    /// A small slice of a mapped file: gathered from the mapping. It lies in memory.
    fn add_mapped(
        &self,
        transfer: &mut Transfer,
        gather: &mut Gather,
        range: &FileRange,
        unseen: Unseen,
    ) -> Option<Step> {
        let mapping = range.mapping.as_ref()?;
        let body = mapping.slice(usize::try_from(range.offset).ok()?, range.len)?;
        let header = self.cut_unseen(transfer, range.len, unseen)?;
        if transfer.is_plain() {
            transfer.begin(gather);
            gather.put_body(Body::Mapped(body));
        } else {
            put_by_reference(gather, &header, Body::Mapped(body));
        }
        Some(Step::Added(range.len))
    }

    /// A read ordered by [`compose`](Self::compose) has ended.
    pub(crate) fn file_read(&self, key: LaneKey, into: LeaseMut, read: io::Result<usize>) {
        let mut tx = self.tx.borrow_mut();
        let Some(at) = tx.transfers.find(key) else {
            return;
        };
        let failed = match read {
            Err(error) if is_passing(&error) => {
                tx.transfers.at(at).unread();
                None
            }
            read => {
                let lease = read.map(|count| {
                    self.local.metrics.bytes_out_file_read.add(count as u64);
                    let mut into = into;
                    into.set_len(count);
                    into.freeze()
                });
                tx.transfers.at(at).loaded(lease).err()
            }
        };
        let ended = failed.and_then(|failure| self.fail_ready(&mut tx, at, failure));
        drop(tx);
        if let Some((transfer, failure)) = ended {
            self.end_transfer(&transfer, Some(failure));
        }
        self.mark_dirty();
    }
}

/// Has a slice read off the disk, away from the shard.
fn order_read(
    (key, transfer): (LaneKey, &mut Transfer),
    reads: &mut Vec<ReadOrder>,
    range: FileRange,
    into: LeaseMut,
) -> Step {
    transfer.reading();
    reads.push(ReadOrder {
        transfer: key,
        range,
        into,
    });
    Step::Held
}
