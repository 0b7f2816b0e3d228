//! Cuts bodies into slices for the next send, in turn, as far as a batch goes.
//!
//! The shell gives it the gather that control frames lie in already, the bodies, and how much may leave. It
//! does no I/O: where a slice depends on something outside, on a file above all, [`Composer::run`] returns an
//! [`Ask`] and is called again once that is answered.
//!
//! ```text
//!            run ──► Done ─────────────► finish ──► gather, range of a file, bodies that ended
//!             │ ▲
//!         Ask ▼ │ answer, answer_ahead, file_state, replaced
//!      the shell: page cache, checksums, reads, memory
//! ```
//!
//! Two disciplines. *Interleaved* (the native protocol): bodies take turns by slices; those without credit are
//! overtaken; chunks keep their order among themselves. *In order* (Spark's protocol): a body is sent whole
//! before the next begins. Bodies behind one that waits for its file are read ahead.

use std::fs::File;
use std::io;
use std::sync::Arc;

use ringrail_codec::native::{HEADER_LEN, Header, StreamEnd, UploadEnd};

use crate::buf::{Body, Gather, Lease, MapSlice, Summed};
use crate::error::RpcFailure;
use crate::sys::driver::FileState;

use super::body_queue::{BodyKey, BodyQueue, Spot};
use super::file_sums::{FileSums, SumTicket};
use super::send_queue::{Ended, put_by_reference};
use super::transfer::{Carries, FileRange, Transfer, Want};

/// Bodies examined for one send; those behind them wait for the next.
const LOOK_AHEAD: usize = 16;

/// Pieces of a gather that one slice takes at most.
const SLICE_PIECES: usize = 4;

/// The order in which bodies share a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discipline {
    /// By slices, in turn.
    Interleaved,
    /// One after the other, each whole.
    InOrder,
}

/// The limits of one send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portions {
    /// Bytes of a slice at most.
    pub(crate) slice_max: u32,
    /// Bytes of bodies after which no further slice is added.
    pub(crate) batch: usize,
    pub(crate) now_ns: u64,
}

/// A range of a file that the next slice consists of.
#[derive(Debug)]
pub(crate) struct FileAsk {
    pub(crate) body: BodyKey,
    pub(crate) range: FileRange,
    /// The slice carries a checksum.
    pub(crate) summed: bool,
}

/// A fact that the composer needs, or work that must be done, before it can go on.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Nothing: the send is complete.
    Done,
    /// The way in which this range leaves. Answer by [`Composer::answer`].
    File(FileAsk),
    /// Whether this range, whose turn has not come, is being read off the disk. Answer by
    /// [`Composer::answer_ahead`].
    Ahead(FileAsk),
    /// The state of a file of which a slice was read. Answer by [`Composer::file_state`].
    State(Arc<File>),
    /// A body failed, in a discipline where its answer keeps its place: the shell removes or replaces it, and
    /// gives what is to be ended to [`Composer::ended`].
    Failed(Spot, RpcFailure),
}

/// The way in which a range of a file leaves.
#[derive(Debug)]
pub(crate) enum Way {
    /// In a send of its own, straight from the file; with its sum, where the slice carries one.
    Direct { crc: Option<u32> },
    /// Gathered from a mapping, unread.
    Mapped { body: MapSlice, crc: Option<u32> },
    /// It has been read, or could not be.
    Read(io::Result<Lease>),
    /// A read of it is under way.
    Ordered,
    /// There is no memory to read it into.
    NoMemory,
}

/// The answer to an [`Ask::File`].
#[derive(Debug)]
pub(crate) struct FileAnswer {
    pub(crate) way: Way,
    /// The place of the slice's sums, once it has been read.
    pub(crate) ticket: Option<SumTicket>,
}

/// Counts of one composition, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) frames: u64,
    pub(crate) timed_out: u64,
    /// Bytes whose sum was computed.
    pub(crate) summed: u64,
    /// Bytes whose sum was known.
    pub(crate) sum_known: u64,
}

/// The result of a composition.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) gather: Gather,
    /// A range that follows the gather straight from its file, and the zeros behind it.
    pub(crate) direct: Option<(FileRange, usize)>,
    /// Bodies that are complete, or have failed.
    pub(crate) ended: Vec<Ended>,
    pub(crate) counts: Counts,
}

/// The outcome of a look at one body.
enum Step {
    Ask(Ask),
    /// A slice of so many bytes was added.
    Added(usize),
    Finished,
    /// It waits for credit: others overtake it.
    Blocked,
    /// Its bytes are not here, or leave in a send of their own.
    Held,
    Direct(FileRange, usize),
    Failed(RpcFailure),
}

/// The composition of one send. See the module.
#[derive(Debug)]
pub(crate) struct Composer {
    gather: Gather,
    discipline: Discipline,
    portions: Portions,
    /// Bytes of the batch that are left.
    left: usize,
    next: Option<Spot>,
    /// Bodies passed over.
    passed: usize,
    /// A body waits for its file: those that may not overtake it are only read ahead.
    held: bool,
    /// The state of the file that was asked for last.
    state: Option<Option<FileState>>,
    failed: Option<(Spot, RpcFailure)>,
    direct: Option<(FileRange, usize)>,
    ended: Vec<Ended>,
    counts: Counts,
}

/// True where a slice still fits: header, body, padding, and the end frame behind it. Control
/// frames may have filled the head to its last byte.
fn has_room(gather: &Gather) -> bool {
    gather.piece_room() >= SLICE_PIECES && gather.head_room() >= 3 * HEADER_LEN
}

impl Composer {
    /// Begins a send with what is gathered already. `ended` is an empty list, to be filled.
    pub(crate) fn new(
        gather: Gather,
        discipline: Discipline,
        portions: Portions,
        bodies: &BodyQueue,
        ended: Vec<Ended>,
    ) -> Self {
        assert!(ended.is_empty(), "bodies of an earlier send were not ended");
        assert!(portions.slice_max > 0, "slices of no bytes never end");
        Self {
            gather,
            discipline,
            portions,
            left: portions.batch,
            next: bodies.first(),
            passed: 0,
            held: false,
            state: None,
            failed: None,
            direct: None,
            ended,
            counts: Counts::default(),
        }
    }

    /// Goes on until an answer is needed, or the send is complete.
    pub(crate) fn run(&mut self, bodies: &mut BodyQueue, sums: &FileSums) -> Ask {
        if let Some((at, failure)) = self.failed.take() {
            return Ask::Failed(at, failure);
        }
        while let Some(at) = self.place(bodies)
            && self.direct.is_none()
            && self.passed < LOOK_AHEAD
            && self.left > 0
            && has_room(&self.gather)
        {
            if self.is_behind(bodies, at) {
                self.pass(bodies, at);
                if let Want::File(range) = bodies.at(at).want(self.portions.slice_max) {
                    return Ask::Ahead(ask(bodies, at, range));
                }
                continue;
            }
            match self.step(bodies, at, sums) {
                Step::Ask(ask) => return ask,
                step => self.apply(bodies, at, step),
            }
            if let Some((at, failure)) = self.failed.take() {
                return Ask::Failed(at, failure);
            }
        }
        Ask::Done
    }

    /// The way in which the range of an [`Ask::File`] leaves.
    pub(crate) fn answer(&mut self, bodies: &mut BodyQueue, asked: FileAsk, answer: FileAnswer) {
        let Some(at) = bodies.find(asked.body) else {
            unreachable!("a body ended while its file was looked at");
        };
        let transfer = bodies.at(at);
        transfer.set_ticket(answer.ticket);
        let step = match answer.way {
            Way::Direct { crc } => self.send_directly(transfer, asked.range, crc),
            Way::Mapped { body, crc } => self.add_mapped(transfer, asked.range.len, body, crc),
            Way::Read(read) => match transfer.loaded(read) {
                // The next look finds it.
                Ok(()) => return,
                Err(failure) => Step::Failed(failure),
            },
            Way::Ordered => {
                transfer.reading();
                Step::Held
            }
            Way::NoMemory => Step::Held,
        };
        self.apply(bodies, at, step);
    }

    /// A read ahead was begun, with the sums kept under `ticket`.
    pub(crate) fn answer_ahead(
        &self,
        bodies: &mut BodyQueue,
        asked: &FileAsk,
        ticket: Option<SumTicket>,
    ) {
        if let Some(at) = bodies.find(asked.body) {
            bodies.at(at).set_ticket(ticket);
            bodies.at(at).reading();
        }
    }

    /// The state of the file that an [`Ask::State`] asked for.
    pub(crate) fn file_state(&mut self, state: Option<FileState>) {
        assert!(self.state.is_none(), "the state of a file was not used");
        self.state = Some(state);
    }

    /// A body that the shell took out, to be ended with the others.
    pub(crate) fn ended(&mut self, ended: Ended) {
        self.ended.push(ended);
    }

    /// The send, complete.
    pub(crate) fn finish(self) -> Composed {
        assert!(self.failed.is_none(), "a failed body was not dealt with");
        assert!(self.state.is_none(), "the state of a file was not used");
        Composed {
            gather: self.gather,
            direct: self.direct,
            ended: self.ended,
            counts: self.counts,
        }
    }

    /// The body to look at.
    fn place(&self, bodies: &BodyQueue) -> Option<Spot> {
        match self.discipline {
            Discipline::InOrder if !self.held => bodies.first(),
            _ => self.next,
        }
    }

    /// True for a body that may not overtake the one that waits for its file.
    fn is_behind(&self, bodies: &mut BodyQueue, at: Spot) -> bool {
        self.held && (self.discipline == Discipline::InOrder || bodies.at(at).is_chunk())
    }

    fn pass(&mut self, bodies: &BodyQueue, at: Spot) {
        self.next = bodies.after(at);
        self.passed += 1;
    }

    fn step(&mut self, bodies: &mut BodyQueue, at: Spot, sums: &FileSums) -> Step {
        let transfer = bodies.at(at);
        if transfer.deadline_ns <= self.portions.now_ns {
            self.counts.timed_out += 1;
            return Step::Finished;
        }
        match transfer.want(self.portions.slice_max) {
            Want::Done => self.close_body(transfer),
            Want::Wait => Step::Blocked,
            Want::Reading => Step::Held,
            Want::Ready => match transfer.file_to_sum() {
                Some(file) if self.state.is_none() => Step::Ask(Ask::State(file)),
                _ => self.add_slice(transfer, sums),
            },
            Want::File(range) => Step::Ask(Ask::File(ask(bodies, at, range))),
        }
    }

    fn apply(&mut self, bodies: &mut BodyQueue, at: Spot, step: Step) {
        let behind = bodies.after(at);
        match step {
            Step::Ask(_) => unreachable!("an ask is returned, not applied"),
            Step::Added(len) => self.left = self.left.saturating_sub(len.max(1)),
            Step::Blocked if self.discipline == Discipline::Interleaved => {
                bodies.park(at);
                self.next = behind;
            }
            Step::Held | Step::Blocked => {
                self.held |= self.discipline == Discipline::InOrder || bodies.at(at).is_chunk();
                self.pass(bodies, at);
            }
            Step::Finished => {
                self.ended.push((bodies.remove(at), None));
                self.next = behind;
            }
            Step::Failed(failure) if self.discipline == Discipline::InOrder => {
                self.failed = Some((at, failure));
            }
            Step::Failed(failure) => {
                self.ended.push((bodies.remove(at), Some(failure)));
                self.next = behind;
            }
            Step::Direct(range, padding) => self.direct = Some((range, padding)),
        }
    }

    /// The end frame of a stream or upload, or the head of a plain body without bytes.
    fn close_body(&mut self, transfer: &mut Transfer) -> Step {
        let (id, sent_len) = (transfer.id, transfer.total());
        if transfer.is_plain() {
            transfer.begin(&mut self.gather);
            return Step::Finished;
        }
        let header = match transfer.carries {
            Carries::Stream => StreamEnd { id, sent_len }.header(),
            Carries::Upload => UploadEnd { id, sent_len }.header(),
            _ => return Step::Finished,
        };
        self.gather.put(&header.encode());
        Step::Finished
    }

    /// A slice whose bytes are in memory.
    fn add_slice(&mut self, transfer: &mut Transfer, sums: &FileSums) -> Step {
        let state = self.state.take().flatten();
        let Some((header, body)) = transfer.cut(self.portions.slice_max) else {
            return Step::Blocked;
        };
        self.counts.frames += 1;
        let Some(body) = body else {
            self.gather.put(&header.encode());
            return Step::Added(HEADER_LEN);
        };
        let len = body.len();
        assert_eq!(
            len, header.body_len as usize,
            "a slice is as long as its header says"
        );
        if transfer.is_plain() {
            transfer.begin(&mut self.gather);
            self.gather.put_body(body);
            return Step::Added(len);
        }
        let header = match body.as_slice() {
            Some(bytes) if transfer.is_summed() => {
                header.with_crc(self.sum(transfer, bytes, state, sums))
            }
            _ => header,
        };
        put_by_reference(&mut self.gather, &header, body);
        Step::Added(len)
    }

    /// The sum of the slice that was cut last, combined from what is known; what is not is computed, and kept
    /// where its block, or its file, does not change.
    fn sum(
        &mut self,
        transfer: &mut Transfer,
        bytes: &[u8],
        state: Option<FileState>,
        sums: &FileSums,
    ) -> u32 {
        let summed = match transfer.take_ticket(bytes.len()) {
            None => transfer.sum_of_cut(bytes),
            Some((ticket, at)) => {
                let table = state.and_then(|state| sums.keep(ticket, &state));
                table.map_or_else(|| Summed::whole(bytes), |table| table.fill(at, bytes))
            }
        };
        assert!(summed.computed <= bytes.len(), "no byte is summed twice");
        self.counts.summed += summed.computed as u64;
        self.counts.sum_known += (bytes.len() - summed.computed) as u64;
        summed.crc
    }

    /// A slice that leaves by itself, straight from the page cache.
    fn send_directly(
        &mut self,
        transfer: &mut Transfer,
        range: FileRange,
        crc: Option<u32>,
    ) -> Step {
        if self.left != self.portions.batch {
            // The gathered frames go first; the file goes in the next send.
            return Step::Held;
        }
        let Some(header) = self.cut_unseen(transfer, range.len, crc) else {
            return Step::Blocked;
        };
        if transfer.is_plain() {
            transfer.begin(&mut self.gather);
            return Step::Direct(range, 0);
        }
        self.gather.put(&header.encode());
        Step::Direct(range, header.padding_len())
    }

    /// A small slice of a mapped file, in memory: gathered from the mapping.
    fn add_mapped(
        &mut self,
        transfer: &mut Transfer,
        len: usize,
        body: MapSlice,
        crc: Option<u32>,
    ) -> Step {
        let Some(header) = self.cut_unseen(transfer, len, crc) else {
            return Step::Blocked;
        };
        if transfer.is_plain() {
            transfer.begin(&mut self.gather);
            self.gather.put_body(Body::Mapped(body));
        } else {
            put_by_reference(&mut self.gather, &header, Body::Mapped(body));
        }
        Step::Added(len)
    }

    /// The header of a slice whose body user space does not look at.
    fn cut_unseen(
        &mut self,
        transfer: &mut Transfer,
        len: usize,
        crc: Option<u32>,
    ) -> Option<Header> {
        let header = transfer.cut_file(len)?;
        assert_eq!(
            header.body_len as usize, len,
            "the range that was asked for is the slice that is cut"
        );
        self.counts.frames += 1;
        let Some(crc) = crc else {
            return Some(header);
        };
        self.counts.sum_known += len as u64;
        Some(header.with_crc(crc))
    }
}

fn ask(bodies: &mut BodyQueue, at: Spot, range: FileRange) -> FileAsk {
    FileAsk {
        body: bodies.key_of(at),
        range,
        summed: bodies.at(at).is_summed(),
    }
}
