//! Bytes from the wire, cut into frames.
//!
//! Two ways in. *Multishot*: the kernel fills buffers of a group as data comes; frames are parsed
//! where they lie, one that straddles two buffers is copied once. *Exact*, while large bodies are
//! expected: one receive for the header, one for the body, straight into the lease it belongs to.
//! [`Rx`] holds what is half received and tells the pump what to post next; it posts nothing itself.

use std::collections::VecDeque;
use std::rc::Rc;

use ringrail_codec::native::{ALIGN, FrameError, HEADER_LEN, Header, check_header};

use crate::buf::{Lease, LeaseMut};
use crate::error::CloseReason;

use super::opening::HelloRead;
use super::{BodyPlan, Conn, State};
use crate::conn::bulk::Finish;

/// Frames parsed before what they caused is sent: the peer then works while this side goes on.
const FRAMES_PER_TURN: u32 = 128;

/// Small frames in a row before a connection that received exactly goes back to multishot.
const CALM_FRAMES: u32 = 16;

/// How long a body waits for memory, and what lies behind it for that body.
const SCARCE_NS: u64 = 1_000_000_000;

/// A body that is being received.
#[derive(Debug)]
struct BodyIn {
    header: Header,
    /// Where it goes; out while a receive writes to it.
    buf: Option<LeaseMut>,
    at: usize,
    finish: Finish,
    discard: bool,
    /// Bytes so far, padding included.
    got: usize,
}

impl BodyIn {
    /// A body that nobody wants.
    fn nowhere(header: Header) -> Self {
        Self {
            header,
            buf: None,
            at: 0,
            finish: Finish::Whole,
            discard: true,
            got: 0,
        }
    }

    fn need(&self) -> usize {
        self.header.padded_body_len()
    }

    /// Bytes for which there is room in the buffer, once it is here. A slice that begins unaligned
    /// may have its padding, and that alone, beyond the end.
    fn room(&self) -> usize {
        let at = self.at + self.got;
        self.buf
            .as_ref()
            .map_or(0, |buf| buf.capacity().saturating_sub(at))
    }

    /// True where what is missing goes nowhere.
    fn discards(&self) -> bool {
        let padding = self.got >= self.header.body_len as usize;
        self.discard || (padding && self.buf.is_some() && self.room() == 0)
    }
}

/// What the pump is to post next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing: what is held must be worked off first.
    Nothing,
    /// A multishot receive.
    Multi,
    /// A receive of `len` bytes into `buf[at..]`; give the buffer back by [`Rx::filled`].
    Fill {
        /// Where.
        buf: LeaseMut,
        /// First byte.
        at: usize,
        /// How many.
        len: usize,
        /// Where the header behind the body goes: to be received right after, in one go.
        header: Option<LeaseMut>,
    },
}

/// The receiving half of a connection.
#[derive(Debug, Default)]
pub(crate) struct Rx {
    /// The beginning of a frame (or of the Hello) that is not whole.
    stash: Option<LeaseMut>,
    /// Bytes that the stash must reach.
    need: usize,
    body: Option<BodyIn>,
    /// A header whose body found no memory, and when.
    waiting: Option<(Header, u64)>,
    /// Received and not parsed, with how far the first one has been.
    held: VecDeque<Lease>,
    held_at: usize,
    exact: bool,
    calm: u32,
    clogged: bool,
    starved: bool,
    yielded: bool,
}

type Parsed = Result<(), Box<CloseReason>>;

impl Rx {
    /// True where parsing stopped for want of memory or of room for answers.
    pub(crate) fn is_stuck(&self) -> bool {
        self.clogged || self.starved
    }

    /// True where parsing stopped because the peer does not read its answers.
    pub(crate) fn is_clogged(&self) -> bool {
        self.clogged
    }

    pub(crate) fn is_starved(&self) -> bool {
        self.starved
    }

    /// True where parsing stopped to let what it caused be sent: [`resume`](Self::resume) it.
    pub(crate) fn has_yielded(&self) -> bool {
        self.yielded
    }

    /// Takes what a multishot receive brought.
    pub(crate) fn received(&mut self, conn: &Rc<Conn>, data: LeaseMut) -> Parsed {
        if conn.is_ending() {
            return Ok(());
        }
        let data = data.freeze();
        if self.held.is_empty() && !self.is_stuck() {
            let done = self.parse(conn, &data, 0)?;
            if done == data.len() {
                return Ok(());
            }
            self.held_at = done;
        }
        self.hold(conn, data);
        Ok(())
    }

    /// Keeps data for later: in a buffer of its own, so that receive buffers stay free.
    fn hold(&mut self, conn: &Rc<Conn>, data: Lease) {
        let from = if self.held.is_empty() {
            std::mem::take(&mut self.held_at)
        } else {
            0
        };
        if self.yielded {
            self.held.push_back(data.slice(from..));
            return;
        }
        let rest = &data[from..];
        match conn.local.pool.lease(rest.len()) {
            Some(mut copy) if rest.len() * 2 < data.len() + 1 || data.len() < 4096 => {
                copy.put(rest);
                let metrics = &conn.local.metrics;
                metrics.copies_straddle.increment();
                metrics.copies_straddle_bytes.add(rest.len() as u64);
                self.held.push_back(copy.freeze());
            }
            _ => self.held.push_back(data.slice(from..)),
        }
    }

    /// Goes on with what is held, now that memory or room may be there.
    pub(crate) fn resume(&mut self, conn: &Rc<Conn>) -> Parsed {
        self.clogged = false;
        self.starved = false;
        self.yielded = false;
        conn.serve_held()?;
        self.resume_body(conn)?;
        while !self.is_stuck() && !self.yielded {
            let Some(data) = self.held.pop_front() else {
                break;
            };
            let from = std::mem::take(&mut self.held_at);
            let done = self.parse(conn, &data, from)?;
            if done < data.len() {
                self.held_at = done;
                self.held.push_front(data);
            }
        }
        Ok(())
    }

    /// Tries again what found no memory.
    fn resume_body(&mut self, conn: &Rc<Conn>) -> Parsed {
        if let Some(stash) = self.stash.take_if(|stash| stash.capacity() < self.need) {
            return self.regrow(conn, stash, self.need);
        }
        let Some((header, since_ns)) = self.waiting.take() else {
            return Ok(());
        };
        self.begin_body(conn, header)?;
        let Some((header, since)) = self.waiting.as_mut() else {
            return Ok(());
        };
        *since = since_ns;
        if conn.local.now_ns() < since_ns + SCARCE_NS {
            return Ok(());
        }
        let header = *header;
        self.waiting = None;
        self.starved = false;
        conn.give_up_body(&header)?;
        self.body = Some(BodyIn::nowhere(header));
        Ok(())
    }

    /// Parses `data[at..]`; how far it came.
    fn parse(
        &mut self,
        conn: &Rc<Conn>,
        data: &Lease,
        mut at: usize,
    ) -> Result<usize, Box<CloseReason>> {
        let mut left = FRAMES_PER_TURN;
        while at < data.len() && !self.starved {
            let (state, bytes) = (conn.state(), &data[at..]);
            if matches!(state, State::Flushing | State::Closed) {
                return Ok(data.len());
            }
            if self.body.is_some() {
                at += self.feed_body(conn, bytes)?;
                continue;
            }
            if self.stash.is_some() {
                at += self.feed_stash(conn, bytes)?;
                continue;
            }
            if state == State::Opening {
                match conn.on_hello(bytes)? {
                    HelloRead::Done(consumed) => at += consumed,
                    HelloRead::NeedMore(need) => at += self.stash(conn, bytes, need),
                }
                continue;
            }
            if conn.is_blocked() {
                self.clogged = true;
                break;
            }
            if left == 0 {
                self.yielded = true;
                break;
            }
            left -= 1;
            at += self.parse_frame(conn, data, at)?;
        }
        Ok(at)
    }

    /// One frame, or the beginning of one, at `data[at..]`.
    #[inline]
    fn parse_frame(
        &mut self,
        conn: &Rc<Conn>,
        data: &Lease,
        at: usize,
    ) -> Result<usize, Box<CloseReason>> {
        let bytes = &data[at..];
        let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(self.stash(conn, bytes, HEADER_LEN));
        };
        let header = read_header(conn, head)?;
        let len = header.frame_len();
        if bytes.len() >= len {
            self.calm = self.calm.saturating_add(1);
            let taken = self.whole_frame(conn, &header, data, at)?;
            return Ok(if taken { len } else { 0 });
        }
        if header.body_len as usize >= conn.local.conf.exact_min {
            self.begin_body(conn, header)?;
            return Ok(HEADER_LEN);
        }
        Ok(self.stash(conn, bytes, len))
    }

    /// False where the frame has to wait for memory.
    #[inline]
    fn whole_frame(
        &mut self,
        conn: &Rc<Conn>,
        header: &Header,
        data: &Lease,
        at: usize,
    ) -> Result<bool, Box<CloseReason>> {
        let start = at + HEADER_LEN;
        let body = &data[start..start + header.body_len as usize];
        if !body.is_empty() && !(body.as_ptr() as usize).is_multiple_of(ALIGN) {
            return self.misaligned_frame(conn, header, body);
        }
        conn.on_frame(header, body, data)?;
        Ok(true)
    }

    /// A frame behind one that straddled: copied, so that an archive in it can be read in place.
    fn misaligned_frame(
        &mut self,
        conn: &Rc<Conn>,
        header: &Header,
        body: &[u8],
    ) -> Result<bool, Box<CloseReason>> {
        let Some(mut copy) = conn.local.pool.lease_reserved(body.len()) else {
            self.starved = true;
            return Ok(false);
        };
        copy.put(body);
        let metrics = &conn.local.metrics;
        metrics.copies_misaligned.increment();
        metrics.copies_misaligned_bytes.add(body.len() as u64);
        let copy = copy.freeze();
        conn.on_frame(header, &copy, &copy)?;
        Ok(true)
    }

    /// Keeps the beginning of something that takes `need` bytes; how many it took.
    fn stash(&mut self, conn: &Rc<Conn>, bytes: &[u8], need: usize) -> usize {
        let Some(mut stash) = conn.local.pool.lease_reserved(need) else {
            self.starved = true;
            return 0;
        };
        let metrics = &conn.local.metrics;
        metrics.copies_straddle.increment();
        metrics.copies_straddle_bytes.add(bytes.len() as u64);
        stash.put(bytes);
        self.stash = Some(stash);
        self.need = need;
        bytes.len()
    }

    fn feed_stash(&mut self, conn: &Rc<Conn>, bytes: &[u8]) -> Result<usize, Box<CloseReason>> {
        let Some(stash) = self.stash.as_mut() else {
            return Ok(0);
        };
        let take = bytes.len().min(self.need.saturating_sub(stash.len()));
        stash.put(&bytes[..take]);
        conn.local.metrics.copies_straddle_bytes.add(take as u64);
        self.stash_grew(conn)?;
        Ok(take)
    }

    /// Looks at the stash after bytes were added: perhaps what it waits for is there.
    fn stash_grew(&mut self, conn: &Rc<Conn>) -> Parsed {
        let Some(stash) = self.stash.take() else {
            return Ok(());
        };
        if stash.len() < self.need {
            self.stash = Some(stash);
            return Ok(());
        }
        match conn.state() {
            State::Opening => match conn.on_hello(stash.as_slice())? {
                HelloRead::Done(_) => Ok(()),
                HelloRead::NeedMore(need) => self.regrow(conn, stash, need),
            },
            State::Open => self.stashed_frame(conn, stash),
            State::Flushing | State::Closed => Ok(()),
        }
    }

    fn stashed_frame(&mut self, conn: &Rc<Conn>, stash: LeaseMut) -> Parsed {
        let Some(head) = stash.as_slice().first_chunk::<HEADER_LEN>() else {
            return self.regrow(conn, stash, HEADER_LEN);
        };
        let header = read_header(conn, head)?;
        let len = header.frame_len();
        if stash.len() == HEADER_LEN && header.body_len as usize >= conn.local.conf.exact_min {
            return self.begin_body(conn, header);
        }
        if stash.len() < len {
            return self.regrow(conn, stash, len);
        }
        self.calm = self.calm.saturating_add(1);
        let lease = stash.freeze();
        conn.on_frame(
            &header,
            &lease[HEADER_LEN..HEADER_LEN + header.body_len as usize],
            &lease,
        )
    }

    /// Waits for `need` bytes in a stash that can hold them.
    fn regrow(&mut self, conn: &Rc<Conn>, stash: LeaseMut, need: usize) -> Parsed {
        self.need = need;
        if stash.capacity() >= need {
            self.stash = Some(stash);
            return Ok(());
        }
        let Some(mut larger) = conn.local.pool.lease_reserved(need) else {
            self.stash = Some(stash);
            self.starved = true;
            return Ok(());
        };
        larger.put(stash.as_slice());
        self.stash = Some(larger);
        Ok(())
    }

    fn begin_body(&mut self, conn: &Rc<Conn>, header: Header) -> Parsed {
        self.calm = 0;
        self.exact = true;
        let (buf, at, finish) = match conn.plan_body(&header)? {
            BodyPlan::Into { buf, at, finish } => (buf, at, finish),
            BodyPlan::Discard => {
                conn.local.metrics.frames_in.increment();
                self.body = Some(BodyIn::nowhere(header));
                return Ok(());
            }
            BodyPlan::NoMemory => {
                self.waiting = Some((header, conn.local.now_ns()));
                self.starved = true;
                return Ok(());
            }
        };
        conn.local.metrics.frames_in.increment();
        self.body = Some(BodyIn {
            header,
            buf: Some(buf),
            at,
            finish,
            discard: false,
            got: 0,
        });
        Ok(())
    }

    /// A part of a body that came with other bytes: copied to where it belongs.
    fn feed_body(&mut self, conn: &Rc<Conn>, bytes: &[u8]) -> Result<usize, Box<CloseReason>> {
        let Some(body) = self.body.as_mut() else {
            return Ok(0);
        };
        let take = bytes.len().min(body.need() - body.got);
        let (at, fits) = (body.at + body.got, take.min(body.room()));
        if let Some(buf) = body.buf.as_mut().filter(|_| fits > 0) {
            buf.buffer_mut()[at..at + fits].copy_from_slice(&bytes[..fits]);
            let metrics = &conn.local.metrics;
            if body.got == 0 {
                metrics.copies_prefix.increment();
            }
            metrics.copies_prefix_bytes.add(fits as u64);
        }
        body.got += take;
        self.body_grew(conn)?;
        Ok(take)
    }

    fn body_grew(&mut self, conn: &Rc<Conn>) -> Parsed {
        if self.body.as_ref().is_none_or(|body| body.got < body.need()) {
            return Ok(());
        }
        match self.body.take() {
            Some(BodyIn {
                header,
                buf: Some(buf),
                at,
                finish,
                ..
            }) => conn.finish_body(&header, buf, at, finish),
            _ => Ok(()),
        }
    }

    /// True where the connection should receive exactly now, though a multishot may be armed.
    pub(crate) fn wants_exact(&mut self, conn: &Conn) -> bool {
        if conn.state() != State::Open {
            return false;
        }
        let discarding = self.body.as_ref().is_some_and(BodyIn::discards);
        if conn.expects_bulk() {
            self.exact = true;
        } else if self.calm > CALM_FRAMES {
            self.exact = false;
        }
        (self.exact || self.body.is_some()) && !discarding
    }

    /// What to post when no receive is outstanding.
    pub(crate) fn next(&mut self, conn: &Conn) -> Next {
        if self.is_stuck() || !self.held.is_empty() {
            return Next::Nothing;
        }
        if !self.wants_exact(conn) {
            return Next::Multi;
        }
        if let Some(body) = self.body.as_mut() {
            let (at, left) = (body.at + body.got, body.need() - body.got);
            let len = left.min(body.room());
            return match body.buf.take() {
                Some(buf) => {
                    let whole = len == left;
                    let header = whole.then(|| conn.local.pool.lease_reserved(HEADER_LEN));
                    let header = header.flatten();
                    Next::Fill {
                        buf,
                        at,
                        len,
                        header,
                    }
                }
                None => Next::Nothing,
            };
        }
        let stash = match self.stash.take() {
            Some(stash) => Some(stash),
            None => {
                self.need = HEADER_LEN;
                conn.local.pool.lease_reserved(HEADER_LEN)
            }
        };
        match stash {
            Some(buf) => {
                let at = buf.len();
                Next::Fill {
                    buf,
                    at,
                    len: self.need - at,
                    header: None,
                }
            }
            None => Next::Multi,
        }
    }

    /// The header behind the body has been asked for.
    pub(crate) fn header_posted(&mut self) {
        self.need = HEADER_LEN;
    }

    /// Takes the buffer of a [`Next::Fill`] back, with `count` more bytes in it.
    pub(crate) fn filled(&mut self, conn: &Rc<Conn>, mut buf: LeaseMut, count: usize) -> Parsed {
        if conn.is_ending() {
            return Ok(());
        }
        match self.body.as_mut() {
            Some(body) => {
                body.buf = Some(buf);
                body.got += count;
                conn.local.metrics.bytes_in_exact.add(count as u64);
                self.body_grew(conn)
            }
            None => {
                buf.set_len(buf.len() + count);
                self.stash = Some(buf);
                self.stash_grew(conn)
            }
        }
    }
}

/// Inlined always: a header handed over through memory costs more than all its checks.
#[inline(always)]
fn read_header(conn: &Conn, bytes: &[u8; HEADER_LEN]) -> Result<Header, Box<CloseReason>> {
    let parsed: Result<Header, FrameError> = Header::decode(bytes).and_then(|header| {
        check_header(&header, &conn.local.conf.limits)?;
        Ok(header)
    });
    parsed.map_err(CloseReason::protocol)
}
