//! Frames of Spark's protocol, cut out of received bytes.
//!
//! A head and its body have no alignment, so nothing is copied to be aligned. A small part that
//! straddles two buffers is assembled by one copy. Larger bodies are received into memory of their own:
//! whole if they are inside their frames; piece by piece if they follow their frames.

use std::rc::Rc;

use ringrail_codec::spark::{Head, Kind, Step, decode_head};

use crate::buf::{Lease, LeaseMut};
use crate::conn::backpressure::Blocked;
use crate::conn::claim::grown;
use crate::conn::wire::SPARK_HEAD_LEN;
use crate::error::CloseReason;
use crate::shard::conn::spark::{Plan, SparkState};
use crate::shard::conn::{Conn, ReceivedBytes};

use super::body::SCARCE_NS;
use super::flow::{Flow, To};
use super::parse::FRAMES_PER_TURN;
use super::{Next, Parsed, Rx, Taken};

/// Length of a piece of a stream or upload, in bytes.
const PIECE_LEN: usize = 256 << 10;

impl Rx {
    pub(super) fn parse_spark(
        &mut self,
        conn: &Rc<Conn>,
        side: &SparkState,
        data: &Lease,
        mut at: usize,
    ) -> Taken {
        let mut left = FRAMES_PER_TURN;
        while at < data.len()
            && !self.blocked.is_for(Blocked::MEMORY)
            && !self.blocked.is_for(Blocked::BACKPRESSURE)
        {
            if conn.is_ending() {
                return Ok(data.len());
            }
            if self.flow.is_some() {
                at += self.feed_flow(conn, side, data, at)?;
                continue;
            }
            if self.stash.is_some() {
                at += self.feed_spark_stash(conn, side, &data[at..])?;
                continue;
            }
            if conn.is_blocked() {
                self.blocked.add(Blocked::BACKPRESSURE);
                break;
            }
            if left == 0 {
                self.blocked.add(Blocked::TURN);
                break;
            }
            left -= 1;
            at += self.spark_frame(conn, side, data, at)?;
            if side.takes_records_up() && at < data.len() {
                return self
                    .unseal_rest(conn, side, &data[at..])
                    .map(|()| data.len());
            }
        }
        Ok(at)
    }

    /// One frame, or the beginning of one, at `data[at..]`.
    #[inline]
    fn spark_frame(
        &mut self,
        conn: &Rc<Conn>,
        side: &SparkState,
        data: &Lease,
        at: usize,
    ) -> Taken {
        let bytes = &data[at..];
        let head = match decode_head(bytes, &side.limits).map_err(CloseReason::spark)? {
            Step::NeedMore { at_least } => return Ok(self.stash(conn, bytes, at_least)),
            Step::Head(head) => head,
        };
        match self.frame_len(conn, side, &head, bytes.len())? {
            Extent::Whole(len) => {
                take_whole(conn, side, &head, &bytes[head.len..len], data)?;
                Ok(len)
            }
            Extent::Small(len) => Ok(self.stash(conn, bytes, len)),
            Extent::Begun => Ok(head.len),
            Extent::NoMemory => Ok(0),
        }
    }

    /// Decides how to take a frame of which `have` bytes have arrived; begins its body if that has a
    /// buffer of its own.
    #[inline]
    fn frame_len(
        &mut self,
        conn: &Rc<Conn>,
        side: &SparkState,
        head: &Head<'_>,
        have: usize,
    ) -> Result<Extent, Box<CloseReason>> {
        let mut small = conn.local.conf.exact_min as u64;
        if side.awaits_auth() {
            if Conn::is_too_long_for_auth(head) {
                return Err(Box::new(conn.refuse_long_auth(side, head)));
            }
            small = u64::MAX;
        } else if matches!(head.frame.kind(), Kind::StreamResponse | Kind::UploadStream) {
            let plan = conn.plan_spark_pieces(side, head)?;
            self.begin_flow(conn, side, plan, head);
            return Ok(Extent::Begun);
        }
        let len = head.len as u64 + head.body_len;
        if have as u64 >= len {
            return Ok(Extent::Whole(len as usize));
        }
        if head.body_len < small {
            return Ok(Extent::Small(len as usize));
        }
        let plan = conn.plan_spark(side, head);
        if matches!(plan, Plan::NoMemory) && !self.is_given_up(conn, side, head) {
            self.blocked.add(Blocked::MEMORY);
            return Ok(Extent::NoMemory);
        }
        self.begin_flow(conn, side, plan, head);
        Ok(Extent::Begun)
    }

    /// True if a body has waited for memory beyond its limit and is received and dropped.
    #[cold]
    fn is_given_up(&mut self, conn: &Rc<Conn>, side: &SparkState, head: &Head<'_>) -> bool {
        let now_ns = conn.local.now_ns();
        let since_ns = *self.scarce_since_ns.get_or_insert(now_ns);
        if now_ns < since_ns + SCARCE_NS {
            return false;
        }
        conn.give_up_spark_body(side, head);
        true
    }

    fn begin_flow(&mut self, conn: &Rc<Conn>, side: &SparkState, plan: Plan, head: &Head<'_>) {
        assert!(self.flow.is_none(), "a body begins within another");
        self.scarce_since_ns = None;
        conn.local.metrics.frames_in.increment();
        let (to, buf, want) = match plan {
            Plan::Whole { buf, of } => (To::Whole(of), Some(buf), head.body_len as usize),
            Plan::Pieces(of) => (To::Pieces(of), None, 0),
            Plan::Nowhere | Plan::NoMemory => (To::Nowhere, None, 0),
        };
        let (left, got) = (head.body_len, 0);
        self.flow = Some(Flow {
            to,
            left,
            buf,
            got,
            want,
        });
        self.flow_grew(conn, side);
    }

    /// A part of a body that arrived with other bytes.
    fn feed_flow(&mut self, conn: &Rc<Conn>, side: &SparkState, data: &Lease, at: usize) -> Taken {
        let Some(flow) = self.flow.as_mut() else {
            return Ok(0);
        };
        let have = data.len() - at;
        let mut take = usize::try_from(flow.left).map_or(have, |left| left.min(have));
        match flow.to {
            To::Nowhere => {}
            To::Whole(_) => {
                let Some(buf) = flow.buf.as_mut() else {
                    return Ok(0);
                };
                let got = flow.got;
                take = take.min(buf.capacity() - got);
                buf.buffer_mut()[got..got + take].copy_from_slice(&data[at..at + take]);
                let metrics = &conn.local.metrics;
                metrics.copies_prefix.increment();
                metrics.copies_prefix_bytes.add(take as u64);
                flow.got += take;
            }
            To::Pieces(of) => {
                take = take.min(conn.piece_room(of));
                if take == 0 {
                    self.blocked.add(Blocked::BACKPRESSURE);
                    return Ok(0);
                }
                conn.take_piece(of, data.slice(at..at + take));
            }
        }
        if let Some(flow) = self.flow.as_mut() {
            flow.left -= take as u64;
        }
        self.flow_grew(conn, side);
        Ok(take)
    }

    /// Moves a body to a larger buffer if its own is full. Without memory the body waits, and after some
    /// time its owner is refused.
    pub(super) fn grow_flow(&mut self, conn: &Rc<Conn>, side: &SparkState) {
        let Some(flow) = self.flow.as_mut().filter(|flow| flow.left > 0) else {
            return;
        };
        let To::Whole(of) = flow.to else { return };
        let Some(buf) = flow.buf.take_if(|buf| buf.capacity() == flow.got) else {
            return;
        };
        let buf = match conn.enlarge(buf, flow.got, grown(flow.got, flow.want)) {
            Ok(larger) => {
                flow.buf = Some(larger);
                self.scarce_since_ns = None;
                return;
            }
            Err(buf) => buf,
        };
        let now_ns = conn.local.now_ns();
        let since_ns = *self.scarce_since_ns.get_or_insert(now_ns);
        if now_ns < since_ns + SCARCE_NS {
            flow.buf = Some(buf);
            self.blocked.add(Blocked::MEMORY);
            return;
        }
        self.scarce_since_ns = None;
        flow.to = To::Nowhere;
        conn.refuse_spark_body(side, of, flow.want as u64, true);
    }

    /// Checks the body after bytes have arrived: it may be complete.
    fn flow_grew(&mut self, conn: &Rc<Conn>, side: &SparkState) {
        self.grow_flow(conn, side);
        let Some(flow) = self.flow.take_if(|flow| flow.left == 0) else {
            return;
        };
        match (flow.to, flow.buf) {
            (To::Whole(of), Some(mut buf)) => {
                assert_eq!(flow.got, flow.want, "a body is as long as its head says");
                buf.set_len(flow.got);
                conn.finish_spark(side, of, buf.freeze());
            }
            (To::Pieces(of), _) => conn.end_pieces(of),
            _ => {}
        }
    }

    fn feed_spark_stash(&mut self, conn: &Rc<Conn>, side: &SparkState, bytes: &[u8]) -> Taken {
        let Some(stash) = self.stash.as_mut() else {
            return Ok(0);
        };
        let take = bytes.len().min(self.need.saturating_sub(stash.len()));
        stash.put(&bytes[..take]);
        conn.local.metrics.copies_straddle_bytes.add(take as u64);
        self.spark_stash_grew(conn, side)?;
        Ok(take)
    }

    /// Checks the stash after bytes were added. It may contain more than one frame: the bytes received
    /// for a head may be a shorter frame, and the beginning of the next.
    pub(super) fn spark_stash_grew(&mut self, conn: &Rc<Conn>, side: &SparkState) -> Parsed {
        while let Some(stash) = self.stash.take() {
            if stash.len() < self.need.min(stash.capacity()) || conn.is_ending() {
                self.stash = Some(stash);
                break;
            }
            let step = decode_head(stash.as_slice(), &side.limits).map_err(CloseReason::spark)?;
            let head = match step {
                Step::NeedMore { at_least } => {
                    self.regrow(conn, stash, at_least)?;
                    break;
                }
                Step::Head(head) => head,
            };
            let (head_len, have) = (head.len, stash.len());
            match self.frame_len(conn, side, &head, have)? {
                Extent::Small(len) => {
                    self.regrow(conn, stash, len)?;
                    break;
                }
                Extent::NoMemory => {
                    self.stash = Some(stash);
                    break;
                }
                Extent::Begun => {
                    let rest = stash.freeze();
                    let fed = self.feed_rest(conn, side, &rest, head_len)?;
                    self.restash(conn, &rest[fed..])?;
                }
                Extent::Whole(len) => {
                    let lease = stash.freeze();
                    let Step::Head(head) =
                        decode_head(&lease, &side.limits).map_err(CloseReason::spark)?
                    else {
                        break;
                    };
                    take_whole(conn, side, &head, &lease[head_len..len], &lease)?;
                    if side.takes_records_up() && len < lease.len() {
                        return self.unseal_rest(conn, side, &lease[len..]);
                    }
                    self.restash(conn, &lease[len..])?;
                }
            }
        }
        Ok(())
    }

    /// Feeds buffered bytes to the current body; returns the end offset.
    fn feed_rest(
        &mut self,
        conn: &Rc<Conn>,
        side: &SparkState,
        rest: &Lease,
        mut at: usize,
    ) -> Taken {
        while at < rest.len() && self.flow.is_some() {
            let fed = self.feed_flow(conn, side, rest, at)?;
            if fed == 0 {
                // A reader without a grant yet: at most some bytes of a head's length.
                let text = "a stream was answered before its reader took anything";
                return Err(Box::new(CloseReason::Misbehaved(text.into())));
            }
            at += fed;
        }
        Ok(at)
    }

    /// Keeps the bytes after the frames of a stash.
    fn restash(&mut self, conn: &Rc<Conn>, rest: &[u8]) -> Parsed {
        if rest.is_empty() {
            return Ok(());
        }
        if self.stash(conn, rest, rest.len()) == 0 {
            return Err(conn.no_memory());
        }
        Ok(())
    }

    /// Bytes after the end of a handshake are encrypted already.
    fn unseal_rest(&mut self, conn: &Rc<Conn>, side: &SparkState, rest: &[u8]) -> Parsed {
        let Some(mut copy) = conn.local.pool.lease_reserved(rest.len()) else {
            return Err(conn.no_memory());
        };
        copy.put(rest);
        let plain = conn.unseal(side, copy, 0)?.freeze();
        let done = self.parse_spark(conn, side, &plain, 0)?;
        if done < plain.len() {
            self.hold_rest(conn, plain, done);
        }
        Ok(())
    }

    /// The receive operation to post when none is outstanding.
    pub(super) fn next_spark(&mut self, conn: &Conn, side: &SparkState) -> Next {
        if !self.wants_exact_spark(conn, side) {
            return Next::Multi;
        }
        let Some(flow) = self.flow.as_mut() else {
            return self.next_spark_head(conn);
        };
        if let To::Pieces(of) = flow.to
            && flow.buf.is_none()
        {
            let most = PIECE_LEN.min(conn.piece_room(of));
            if most == 0 {
                self.blocked.add(Blocked::BACKPRESSURE);
                return Next::Nothing;
            }
            let want = usize::try_from(flow.left).map_or(most, |left| left.min(most));
            flow.buf = conn.local.pool.lease(want);
            (flow.got, flow.want) = (0, want);
        }
        let room = flow.buf.as_ref().map_or(0, LeaseMut::capacity);
        let (at, len) = (flow.got, flow.want.min(room) - flow.got.min(room));
        let last = len as u64 == flow.left;
        match flow.buf.take() {
            Some(buf) => {
                let header = match last {
                    true => conn.local.pool.lease_reserved(SPARK_HEAD_LEN),
                    false => None,
                };
                Next::Fill {
                    buf,
                    at,
                    len,
                    whole: true,
                    header,
                }
            }
            None => {
                self.blocked.add(Blocked::MEMORY);
                Next::Nothing
            }
        }
    }

    fn next_spark_head(&mut self, conn: &Conn) -> Next {
        let stash = match self.stash.take() {
            Some(stash) => Some(stash),
            None => {
                self.need = 1;
                conn.local.pool.lease_reserved(SPARK_HEAD_LEN)
            }
        };
        let Some(buf) = stash else { return Next::Multi };
        let at = buf.len();
        let len = self.need.max(SPARK_HEAD_LEN).saturating_sub(at).max(1);
        let len = len.min(buf.capacity() - at);
        Next::Fill {
            buf,
            at,
            len,
            whole: false,
            header: None,
        }
    }

    /// True if bytes are to be received into memory of their own.
    pub(super) fn wants_exact_spark(&self, conn: &Conn, side: &SparkState) -> bool {
        if side.opens_records() || side.awaits_auth() {
            return false;
        }
        match &self.flow {
            Some(flow) => !flow.discards(),
            None => conn.expects_bulk(),
        }
    }

    /// Takes the buffer of a [`Next::Fill`] back, with `count` more bytes in it.
    pub(super) fn filled_spark(
        &mut self,
        conn: &Rc<Conn>,
        side: &SparkState,
        mut buf: LeaseMut,
        count: usize,
    ) -> Parsed {
        let Some(flow) = self.flow.as_mut().filter(|flow| !flow.discards()) else {
            let from = buf.len();
            buf.set_len(from + count);
            self.stash = Some(conn.unseal(side, buf, from)?);
            return self.spark_stash_grew(conn, side);
        };
        let from = flow.got;
        buf.set_len(from + count);
        let mut buf = conn.unseal(side, buf, from)?;
        conn.local.metrics.bytes_in_exact.add(count as u64);
        assert!(
            count as u64 <= flow.left,
            "a receive went on beyond its body"
        );
        flow.got += count;
        flow.left -= count as u64;
        match flow.to {
            To::Pieces(of) if flow.got == flow.want || flow.left == 0 => {
                buf.set_len(flow.got);
                conn.take_piece(of, buf.freeze());
            }
            _ => flow.buf = Some(buf),
        }
        self.flow_grew(conn, side);
        Ok(())
    }
}

/// The way to take a frame.
enum Extent {
    /// It is complete, with so many bytes.
    Whole(usize),
    /// It is small, and its so many bytes are awaited.
    Small(usize),
    /// Its body has begun, directly after its head.
    Begun,
    /// There is no memory for its body.
    NoMemory,
}

#[inline]
fn take_whole(
    conn: &Rc<Conn>,
    side: &SparkState,
    head: &Head<'_>,
    body: &[u8],
    source: &Lease,
) -> Parsed {
    conn.local.metrics.frames_in.increment();
    if side.awaits_auth() {
        return conn.on_auth_frame(side, head, body);
    }
    conn.on_spark(side, &head.frame, ReceivedBytes::new(body, source))
}
