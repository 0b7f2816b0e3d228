//! Received buffers: parsed at once, or held until the connection goes on.
//!
//! Parsing on a connection stops for lack of memory, for answers that its peer does not read, or when the
//! turn's budget of frames is used up. The bytes received until then are kept here, in order.

use std::rc::Rc;

use ringrail_codec::native::ALIGN;

use crate::buf::{Lease, LeaseMut};
use crate::conn::backpressure::Blocked;
use crate::conn::wire::Wire;
use crate::shard::conn::Conn;

use super::protocol::decrypted;
use super::{Parsed, Rx, Taken};

/// Shorter remainders are copied, so that they do not retain a receive buffer; in bytes.
const SMALL_LEN: usize = 4096;

/// Received bytes that are not parsed yet.
#[derive(Debug)]
pub(super) enum Unparsed {
    /// No byte is parsed.
    Fresh(LeaseMut),
    /// Parsed up to this offset.
    Begun(Lease, usize),
}

impl Rx {
    /// Takes the bytes of a multishot receive.
    pub(crate) fn received(&mut self, conn: &Rc<Conn>, data: LeaseMut) -> Parsed {
        if conn.is_ending() {
            return Ok(());
        }
        let data = decrypted(conn, data)?;
        if self.held.is_empty() && !self.is_stuck() {
            return self.take(conn, data);
        }
        let held = match self.is_worth_a_copy(conn, data.len(), data.len()) {
            true => copied(conn, data.as_slice()).unwrap_or(data),
            false => data,
        };
        self.held.push_back(Unparsed::Fresh(held));
        self.in_portions |= self.is_flooded();
        Ok(())
    }

    /// Parses a buffer from its beginning.
    fn take(&mut self, conn: &Rc<Conn>, mut data: LeaseMut) -> Parsed {
        let at = match self.is_within_a_frame() && conn.is_open() && conn.wire() == Wire::Native {
            true => self.align(conn, &mut data)?,
            false => 0,
        };
        self.go_on(conn, data.freeze(), at)
    }

    /// Takes the end of a frame that began in an earlier buffer, and moves the bytes after it to an aligned
    /// place, once: otherwise every archive in it would be copied separately. Receives end anywhere (on an
    /// Ethernet at multiples of 1,448 bytes), and frames are multiples of 16 bytes.
    fn align(&mut self, conn: &Rc<Conn>, data: &mut LeaseMut) -> Taken {
        let mut at = 0;
        while at < data.len()
            && self.is_within_a_frame()
            && !self.blocked.is_for(Blocked::MEMORY)
            && conn.is_open()
        {
            let bytes = &data.as_slice()[at..];
            at += match self.body.is_some() {
                true => self.feed_body(conn, bytes)?,
                false => self.feed_stash(conn, bytes)?,
            };
        }
        let (skew, end) = (at % ALIGN, data.len());
        if skew == 0 || at == end {
            return Ok(at);
        }
        data.buffer_mut().copy_within(at..end, at - skew);
        data.set_len(end - skew);
        let metrics = &conn.local.metrics;
        metrics.copies_misaligned.increment();
        metrics.copies_misaligned_bytes.add((end - at) as u64);
        Ok(at - skew)
    }

    fn go_on(&mut self, conn: &Rc<Conn>, data: Lease, at: usize) -> Parsed {
        let done = self.parse(conn, &data, at)?;
        assert!(
            done >= at && done <= data.len(),
            "{done} of {} bytes",
            data.len()
        );
        if done < data.len() {
            self.hold_rest(conn, data, done);
        }
        Ok(())
    }

    /// Holds the rest of a buffer, before later buffers.
    pub(super) fn hold_rest(&mut self, conn: &Rc<Conn>, data: Lease, at: usize) {
        let rest = &data[at..];
        assert!(!rest.is_empty(), "a buffer without bytes is held for ever");
        let held = match self.is_worth_a_copy(conn, rest.len(), data.len()) {
            true => copied(conn, rest).map(|copy| Unparsed::Begun(copy.freeze(), 0)),
            false => None,
        };
        self.held
            .push_front(held.unwrap_or(Unparsed::Begun(data, at)));
    }

    /// True if bytes are to be held in a buffer of their own, so that the receive buffer is free again: not
    /// if they are a large part of it, nor if they are parsed in a moment, unless memory is short.
    fn is_worth_a_copy(&self, conn: &Conn, len: usize, of: usize) -> bool {
        let soon = self.blocked.is_for(Blocked::TURN) && !conn.local.pool.is_filled(1);
        !soon && (len <= of / 2 || of < SMALL_LEN)
    }

    /// Continues with the held bytes, now that memory or space may be available.
    pub(crate) fn resume(&mut self, conn: &Rc<Conn>) -> Parsed {
        self.blocked = Blocked::default();
        conn.serve_queued()?;
        self.resume_body(conn)?;
        self.look_again(conn)?;
        while self.blocked.is_clear() {
            match self.held.pop_front() {
                None => break,
                Some(Unparsed::Fresh(data)) => self.take(conn, data)?,
                Some(Unparsed::Begun(data, at)) => self.go_on(conn, data, at)?,
            }
        }
        Ok(())
    }
}

/// A copy in a buffer of its own; `None` if there is no memory for it.
fn copied(conn: &Conn, bytes: &[u8]) -> Option<LeaseMut> {
    let mut copy = conn.local.pool.lease(bytes.len())?;
    copy.put(bytes);
    let metrics = &conn.local.metrics;
    metrics.copies_straddle.increment();
    metrics.copies_straddle_bytes.add(bytes.len() as u64);
    Some(copy)
}
