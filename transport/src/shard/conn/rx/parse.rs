//! Received bytes, cut into frames where they lie.

use std::ops::RangeInclusive;
use std::rc::Rc;

use ringrail_codec::native::{ALIGN, FrameError, HEADER_LEN, Header, check_header};

use crate::buf::Lease;
use crate::conn::backpressure::Blocked;
use crate::conn::lifecycle::Phase;
use crate::conn::wire::Wire;
use crate::error::CloseReason;
use crate::shard::conn::Conn;
use crate::shard::conn::dispatch::broken;
use crate::shard::conn::handshake::HelloRead;

use super::{Rx, Taken};

/// Frames parsed before the answers are sent, so that the peer can work in parallel.
pub(super) const FRAMES_PER_TURN: u32 = 128;

/// Frames in a half, see [`half_way`]: fewer are not worth a system call, and larger batches usually
/// have others in flight.
const HALF_FRAMES: RangeInclusive<u32> = 32..=64;

/// A shard has waited for bytes if it spun for at least (number of bytes / this) nanoseconds. Measured: a
/// smaller value would divide batches that are well divided already, and every part costs system
/// calls of its own.
const BYTES_PER_WAITED_NS: usize = 2;

/// The offset at which to stop parsing so that the peer gets work early. After the shard spun for
/// these bytes, parsing all of them at once would make the peer idle until all answers are ready;
/// answering in two parts keeps both sides busy. A shard that did not wait parses everything.
fn half_way(conn: &Conn, data: &Lease, at: usize) -> usize {
    match conn.local.has_waited(data.len() / BYTES_PER_WAITED_NS) {
        true => at + (data.len() - at) / 2,
        false => usize::MAX,
    }
}

impl Rx {
    pub(super) fn parse_native(&mut self, conn: &Rc<Conn>, data: &Lease, mut at: usize) -> Taken {
        let mut left = FRAMES_PER_TURN;
        let half = half_way(conn, data, at);
        while at < data.len() && !self.blocked.is_for(Blocked::MEMORY) {
            let (state, bytes) = (conn.phase(), &data[at..]);
            if matches!(state, Phase::Flushing | Phase::Closed) {
                return Ok(data.len());
            }
            if self.body.is_some() {
                at += self.feed_body(conn, bytes)?;
                continue;
            }
            if self.stash.is_some() {
                at += self.feed_stash(conn, bytes)?;
                if conn.wire() != Wire::Native {
                    // The incomplete bytes were the beginning of another protocol.
                    return self.parse(conn, data, at);
                }
                continue;
            }
            if state == Phase::Opening {
                match conn.on_hello(bytes)? {
                    HelloRead::Done(consumed) => at += consumed,
                    HelloRead::Spark => return self.parse(conn, data, at),
                    HelloRead::NeedMore(need) => at += self.stash(conn, bytes, need),
                }
                continue;
            }
            if conn.is_blocked() {
                self.blocked.add(Blocked::BACKPRESSURE);
                break;
            }
            if left == 0 || (at >= half && HALF_FRAMES.contains(&(FRAMES_PER_TURN - left))) {
                self.blocked.add(Blocked::TURN);
                break;
            }
            left -= 1;
            at += self.parse_frame(conn, data, at)?;
        }
        Ok(at)
    }

    /// One frame, or the beginning of one, at `data[at..]`.
    #[inline(always)]
    fn parse_frame(&mut self, conn: &Rc<Conn>, data: &Lease, at: usize) -> Taken {
        let bytes = &data[at..];
        let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(self.stash(conn, bytes, HEADER_LEN));
        };
        let Some(header) = Header::decode_checked(head, &conn.local.conf.limits) else {
            return Err(bad_header(conn, head));
        };
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

    /// False if the frame has to wait for memory.
    #[inline(always)]
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
            return self.misaligned_frame(conn, *header, body);
        }
        conn.on_frame(header, body, data)?;
        Ok(true)
    }

    /// A frame after one that straddled: copied, so that an archive in it can be read in place.
    #[inline(never)]
    fn misaligned_frame(
        &mut self,
        conn: &Rc<Conn>,
        header: Header,
        body: &[u8],
    ) -> Result<bool, Box<CloseReason>> {
        let Some(mut copy) = conn.lease_for_frame(body.len()) else {
            self.blocked.add(Blocked::MEMORY);
            return Ok(false);
        };
        copy.put(body);
        let metrics = &conn.local.metrics;
        metrics.copies_misaligned.increment();
        metrics.copies_misaligned_bytes.add(body.len() as u64);
        let copy = copy.freeze();
        conn.on_frame(&header, &copy, &copy)?;
        Ok(true)
    }
}

#[cold]
fn bad_header(conn: &Conn, bytes: &[u8; HEADER_LEN]) -> Box<CloseReason> {
    match read_header(conn, bytes) {
        Err(reason) => reason,
        // `decode_checked` refuses just what these checks refuse.
        Ok(header) => broken(format!("a header {header:?} that was refused before")),
    }
}

pub(super) fn read_header(
    conn: &Conn,
    bytes: &[u8; HEADER_LEN],
) -> Result<Header, Box<CloseReason>> {
    let parsed: Result<Header, FrameError> = Header::decode(bytes).and_then(|header| {
        check_header(&header, &conn.local.conf.limits)?;
        Ok(header)
    });
    parsed.map_err(CloseReason::protocol)
}
