//! The control lane out: frames gather here and leave in one send.
//!
//! Frames are written into the head buffer of the gather that is being filled; when a send ends,
//! the next one takes whatever has gathered since. A gather that is full waits in line. Slices of
//! bodies are added last, by `compose`, so that control frames overtake them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use ringrail_codec::native::{HEADER_LEN, Header, Kind, PADDING, encode_frame, padded_len};

use crate::buf::{Body, Gather, MIN_LEASE_LEN, Pool};
use crate::error::RpcFailure;

use super::body_queue::BodyQueue;
use super::transfer::Transfer;

/// Head buffer of a connection: room for the requests that are usually made at once, for those that
/// leave in two sends are answered in two, and never come together again.
const HEAD_LEN: usize = 16 << 10;

/// Head buffer of a busy connection.
const BUSY_HEAD_LEN: usize = 64 << 10;

/// Upper bound, in bytes, of a send that would have fitted a small head: there is room beside it for the longest
/// archive that may come next.
const CALM_LEN: usize = HEAD_LEN / 2;

/// Part of the pool in use, in 1/256, from which head buffers are as small as may be.
const PRESSED: usize = 128;

/// Sends in a row that would have fitted a small head before a busy connection gets one again.
const CALM_SENDS: u32 = 64;

/// Pieces kept free in a gather for the slices that `compose` adds.
const RESERVED_PIECES: usize = 24;

/// A body that is complete, or the reason of its failure.
pub(crate) type Ended = (Transfer, Option<RpcFailure>);

/// No buffer could be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

/// The send queue of one connection.
#[derive(Debug)]
pub(crate) struct SendQueue {
    filling: Option<Gather>,
    /// Bytes of answers in it.
    filling_answers: usize,
    /// Gathers that are full, each with the bytes of answers in it.
    full: VecDeque<(Gather, usize)>,
    /// Bytes of control frames that wait, bodies by reference included.
    queued: usize,
    /// Those of them that answer the peer.
    answers: usize,
    busy: bool,
    calm: u32,
    /// Bodies on their way out.
    pub(crate) transfers: BodyQueue,
    /// Room for those that end in one look, kept to be used again.
    pub(crate) ended: Vec<Ended>,
}

impl SendQueue {
    /// Nothing waits; bodies on their way out are counted in `of_shard` too.
    pub(crate) fn new(of_shard: Rc<Cell<usize>>) -> Self {
        Self {
            filling: None,
            filling_answers: 0,
            full: VecDeque::new(),
            queued: 0,
            answers: 0,
            busy: false,
            calm: 0,
            transfers: BodyQueue::new(of_shard),
            ended: Vec::new(),
        }
    }

    /// Bytes of control frames that wait.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes of answers that wait.
    #[inline]
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    #[inline]
    fn count(&mut self, kind: Kind, len: usize) {
        self.queued += len;
        if is_answer(kind) {
            self.answers += len;
            self.filling_answers += len;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued == 0 && self.transfers.is_empty()
    }

    /// Writes a frame whose body is copied behind its header.
    ///
    /// Inlined, so that the header stays in registers: read back from memory by wide loads, it would
    /// wait for the narrow stores that wrote it.
    #[inline(always)]
    pub(crate) fn frame(
        &mut self,
        pool: &Pool,
        header: &Header,
        body: &[u8],
    ) -> Result<(), NoMemory> {
        let len = header.frame_len();
        let gather = self.room(pool, len)?;
        // No closure: it would be a call for every frame.
        let written = encode_frame(header, body, gather.extend(len));
        debug_assert_eq!(written, Ok(len), "the room was made for it");
        self.count(header.kind, len);
        Ok(())
    }

    /// Writes a frame whose body of at most `max_len` bytes `write` produces in place; it tells the
    /// header, or `None` where the body did not fit. True where there is a frame now: else, and where
    /// `write` fails, nothing is written.
    #[inline(always)]
    pub(crate) fn frame_with<E>(
        &mut self,
        pool: &Pool,
        max_len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<Option<Header>, E>,
    ) -> Result<Result<bool, E>, NoMemory> {
        let gather = self.room(pool, HEADER_LEN + padded_len(max_len))?;
        let mut outcome = Ok(None);
        gather.put_some(|out| {
            let (head, body) = out.split_at_mut(HEADER_LEN);
            outcome = write(&mut body[..max_len]);
            let Ok(Some(header)) = &outcome else {
                return None;
            };
            head.copy_from_slice(&header.encode());
            pad(body, header);
            Some(header.frame_len())
        });
        Ok(outcome.map(|header| match header {
            Some(header) => {
                self.count(header.kind, header.frame_len());
                true
            }
            None => false,
        }))
    }

    /// Writes a frame whose body is sent from where it lies.
    pub(crate) fn frame_by_reference(
        &mut self,
        pool: &Pool,
        header: &Header,
        body: Body,
    ) -> Result<(), NoMemory> {
        let gather = self.room(pool, HEADER_LEN + PADDING.len())?;
        put_by_reference(gather, header, body);
        self.count(header.kind, header.frame_len());
        Ok(())
    }

    /// Writes a frame of Spark's protocol whose body is copied behind its head.
    #[inline]
    pub(crate) fn plain(
        &mut self,
        pool: &Pool,
        head: &[u8],
        body: &[u8],
        answers: bool,
    ) -> Result<(), NoMemory> {
        let len = head.len() + body.len();
        let gather = self.room(pool, len)?;
        gather.put_with(len, |out| {
            let (front, back) = out.split_at_mut(head.len());
            front.copy_from_slice(head);
            back.copy_from_slice(body);
        });
        self.count_plain(len, answers);
        Ok(())
    }

    /// Writes a frame of Spark's protocol, of `len` bytes, that `write` produces in place.
    pub(crate) fn plain_with<E>(
        &mut self,
        pool: &Pool,
        len: usize,
        answers: bool,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), NoMemory> {
        let gather = self.room(pool, len)?;
        let written = gather.put_some(|out| write(&mut out[..len]).ok());
        let len = written.ok_or(NoMemory)?;
        self.count_plain(len, answers);
        Ok(())
    }

    /// Writes a frame of Spark's protocol whose body is sent from where it lies.
    pub(crate) fn plain_by_reference(
        &mut self,
        pool: &Pool,
        head: &[u8],
        body: Body,
        answers: bool,
    ) -> Result<(), NoMemory> {
        let gather = self.room(pool, head.len())?;
        let len = head.len() + body.len();
        gather.put(head);
        gather.put_body(body);
        self.count_plain(len, answers);
        Ok(())
    }

    #[inline]
    fn count_plain(&mut self, len: usize, answers: bool) {
        self.queued += len;
        if answers {
            self.answers += len;
            self.filling_answers += len;
        }
    }

    /// Writes bytes that are not a frame: the handshake.
    pub(crate) fn raw(&mut self, pool: &Pool, bytes: &[u8]) -> Result<(), NoMemory> {
        self.room(pool, bytes.len())?.put(bytes);
        self.queued += bytes.len();
        Ok(())
    }

    /// A gather with room for `len` more bytes of head and a few pieces.
    #[inline]
    fn room(&mut self, pool: &Pool, len: usize) -> Result<&mut Gather, NoMemory> {
        let fits = matches!(&self.filling, Some(gather)
            if gather.head_room() >= len && gather.piece_room() > RESERVED_PIECES + 3);
        if !fits {
            self.next_gather(pool, len)?;
        }
        self.filling.as_mut().ok_or(NoMemory)
    }

    #[cold]
    fn next_gather(&mut self, pool: &Pool, len: usize) -> Result<(), NoMemory> {
        self.busy |= self.filling.is_some();
        let usual = match self.busy {
            _ if pool.pressure() >= PRESSED => MIN_LEASE_LEN,
            true => BUSY_HEAD_LEN,
            false => HEAD_LEN,
        };
        let head_len = usual.max(len);
        let fresh = pool
            .gather(head_len)
            .or_else(|| pool.gather(len))
            .ok_or(NoMemory)?;
        if let Some(full) = self.filling.replace(fresh) {
            let answers = std::mem::take(&mut self.filling_answers);
            self.full.push_back((full, answers));
        }
        Ok(())
    }

    /// Takes the next gather to send; an empty one where only slices wait.
    pub(crate) fn take(&mut self, pool: &Pool) -> Option<Gather> {
        let (gather, answers) = match self.full.pop_front() {
            Some(full) => full,
            None => {
                if self.filling.is_none() && self.transfers.ready_len() > 0 {
                    self.next_gather(pool, HEADER_LEN).ok()?;
                }
                let filling = self.filling.take()?;
                (filling, std::mem::take(&mut self.filling_answers))
            }
        };
        self.queued -= gather.total();
        self.answers -= answers;
        Some(gather)
    }

    /// True where control frames wait behind the gather just taken: slices go after those.
    pub(crate) fn has_backlog(&self) -> bool {
        self.queued > 0
    }

    /// Takes note of a gather that was sent, and gives its memory back.
    pub(crate) fn sent(&mut self, pool: &Pool, gather: Gather) {
        let calm = gather.total() < CALM_LEN;
        self.calm = if calm { self.calm + 1 } else { 0 };
        if self.calm > CALM_SENDS {
            self.busy = false;
        }
        pool.recycle(gather);
    }
}

/// Fills the rest of a frame's last 16 bytes with zeros.
#[inline]
fn pad(body: &mut [u8], header: &Header) {
    let (from, to) = (header.body_len as usize, header.padded_body_len());
    if from < to {
        body[from..to].fill(0);
    }
}

/// True for frames of which a peer that asks much and reads little causes many.
#[inline]
fn is_answer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::RpcReply | Kind::RpcFailure | Kind::ChunkFailure | Kind::StreamFailure | Kind::Pong
    )
}

/// Writes header, body by reference and padding.
pub(crate) fn put_by_reference(gather: &mut Gather, header: &Header, body: Body) {
    debug_assert_eq!(header.body_len as usize, body.len());
    gather.put(&header.encode());
    gather.put_body(body);
    let padding = header.padding_len();
    if padding > 0 {
        gather.put(&PADDING[..padding]);
    }
}
