//! Slices of files: the way of each is chosen when it is sent, by what the page cache and the table of checksums
//! say of it.
//!
//! The composer of a connection asks ([`Ask`]); this part of the pump looks, with the driver, and answers.
//! `docs/design.md` has the table of ways.

use std::rc::Rc;

use crate::buf::{LeaseMut, MapSlice};
use crate::conn::body_queue::BodyKey;
use crate::conn::composer::{Ask, Composer, FileAnswer, FileAsk, Way};
use crate::conn::file_sums::{Look, SumTicket};
use crate::conn::transfer::FileRange;
use crate::shard::conn::Conn;
use crate::shard::conn::compose::{Composing, Outgoing};
use crate::sys::driver::Driver;

use super::Pump;

/// How long after a cold read files are left to the workers.
const DISK_BUSY_NS: u64 = 20_000_000;

/// A part of a file that must be read off the disk before it can be sent.
#[derive(Debug)]
pub(super) struct ReadOrder {
    /// The range, and the body that it is for. An id of the peer's would not do: the peer may retract one and use
    /// it again.
    pub(super) body: BodyKey,
    pub(super) range: FileRange,
    pub(super) into: LeaseMut,
}

/// The sum of a range that can be sent without user space looking at it; `None` where none is needed.
type Unseen = Option<u32>;

impl<D: Driver> Pump<D> {
    /// The next send of a connection; reads that must come first are pushed on `reads`.
    pub(super) fn compose(&mut self, conn: &Rc<Conn>) -> Outgoing {
        let mut composing = conn.begin_compose();
        loop {
            let mut composer = match composing {
                Composing::Done(outgoing) => return outgoing,
                Composing::Bodies(composer) => composer,
            };
            self.answer_all(conn, &mut composer);
            composing = conn.end_compose(composer);
        }
    }

    fn answer_all(&mut self, conn: &Conn, composer: &mut Composer) {
        loop {
            match conn.go_on_composing(composer) {
                Ask::Done => return,
                Ask::File(asked) => {
                    let answer = self.way_of(conn, &asked);
                    conn.answer_file(composer, asked, answer);
                }
                Ask::Ahead(asked) => {
                    if let Some(ticket) = self.read_ahead(conn, &asked) {
                        conn.answer_ahead(composer, &asked, ticket);
                    }
                }
                Ask::State(file) => composer.file_state(self.driver.file_state(&file)),
                Ask::Failed(..) => unreachable!("the connection deals with bodies that failed"),
            }
        }
    }

    /// Has the disk begin with a body whose turn to be sent has not come; where its sums are kept, if so.
    fn read_ahead(&mut self, conn: &Conn, asked: &FileAsk) -> Option<Option<SumTicket>> {
        let range = &asked.range;
        if self.is_resident(range) != Some(false) {
            return None;
        }
        self.note_disk_busy();
        let into = self.local.pool.lease(range.len)?;
        let (_, ticket) = self.unseen(conn, asked);
        self.order_read(asked, into);
        Some(ticket)
    }

    /// A slice of a file: straight from it where it is large and in memory, else through a lease.
    fn way_of(&mut self, conn: &Conn, asked: &FileAsk) -> FileAnswer {
        let range = &asked.range;
        let mut resident = self.is_resident(range);
        if resident == Some(false) {
            self.note_disk_busy();
        } else if self.disk_is_busy() {
            resident = Some(false);
        }
        let (unseen, ticket) = self.unseen(conn, asked);
        if resident == Some(true)
            && let Some(crc) = unseen
        {
            if range.len >= self.direct_min(range) {
                let way = Way::Direct { crc };
                return FileAnswer { way, ticket };
            }
            if let Some(body) = mapped(range) {
                let way = Way::Mapped { body, crc };
                return FileAnswer { way, ticket };
            }
        }
        let way = match self.local.pool.lease(range.len) {
            None => {
                conn.wait_to_send();
                Way::NoMemory
            }
            Some(into) if resident == Some(false) => {
                self.order_read(asked, into);
                Way::Ordered
            }
            Some(into) => self.read_now(asked, into),
        };
        FileAnswer { way, ticket }
    }

    /// How a range can be sent whose bytes user space does not look at; `None` where it has to. Its sums are kept
    /// once it has been read, under the ticket.
    fn unseen(&self, conn: &Conn, asked: &FileAsk) -> (Option<Unseen>, Option<SumTicket>) {
        let range = &asked.range;
        if conn.seals() {
            return (None, None);
        }
        if !asked.summed {
            return (Some(None), None);
        }
        if range.mapping.is_none() && range.len < self.direct_min(range) {
            return (None, None);
        }
        let Some(state) = self.driver.file_state(&range.file) else {
            return (None, None);
        };
        let (offset, len, now_ns) = (range.offset, range.len as u64, self.local.now_ns());
        let mut sums = self.local.file_sums.borrow_mut();
        match sums.look(&state, offset, len, now_ns) {
            Look::Known(crc) => (Some(Some(crc)), None),
            Look::Unknown(ticket) => (None, Some(ticket)),
            Look::Never => (None, None),
        }
    }

    /// A slice that is read into a lease, if it lies in memory as it seems to.
    fn read_now(&mut self, asked: &FileAsk, mut into: LeaseMut) -> Way {
        let range = &asked.range;
        let room = &mut into.buffer_mut()[..range.len];
        match self.driver.read_resident(&range.file, range.offset, room) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.order_read(asked, into);
                Way::Ordered
            }
            Err(error) => Way::Read(Err(error)),
            Ok(count) => {
                self.local.metrics.bytes_out_file_read.add(count as u64);
                into.set_len(count);
                Way::Read(Ok(into.freeze()))
            }
        }
    }

    fn is_resident(&self, range: &FileRange) -> Option<bool> {
        self.driver
            .is_resident(&range.file, range.offset, range.len)
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
        self.local.now_ns() < self.disk_busy_until_ns
    }

    fn note_disk_busy(&mut self) {
        self.disk_busy_until_ns = self.local.now_ns() + DISK_BUSY_NS;
    }

    /// Has a slice read off the disk, away from the shard.
    fn order_read(&mut self, asked: &FileAsk, into: LeaseMut) {
        self.reads.push(ReadOrder {
            body: asked.body,
            range: asked.range.clone(),
            into,
        });
    }
}

/// The range in its file's mapping.
fn mapped(range: &FileRange) -> Option<MapSlice> {
    let start = usize::try_from(range.offset).ok()?;
    range.mapping.as_ref()?.slice(start, range.len)
}
