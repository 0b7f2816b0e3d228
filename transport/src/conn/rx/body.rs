//! Bodies that do not lie whole in a receive buffer.

use std::rc::Rc;

use ringrail_codec::native::Header;

use crate::buf::LeaseMut;
use crate::conn::Conn;
use crate::conn::bulk::{BodyPlan, Finish};

use super::{Parsed, Rx, Taken};

/// How long a body waits for memory, and what lies behind it for that body.
pub(super) const SCARCE_NS: u64 = 1_000_000_000;

/// A body that is being received.
#[derive(Debug)]
pub(super) struct BodyIn {
    header: Header,
    /// Where it goes; out while a receive writes to it.
    pub(super) buf: Option<LeaseMut>,
    pub(super) at: usize,
    finish: Finish,
    discard: bool,
    /// Bytes so far, padding included.
    pub(super) got: usize,
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

    pub(super) fn need(&self) -> usize {
        self.header.padded_body_len()
    }

    /// Bytes for which there is room in the buffer, once it is here. A slice that begins unaligned
    /// may have its padding, and that alone, beyond the end.
    pub(super) fn room(&self) -> usize {
        let at = self.at + self.got;
        self.buf
            .as_ref()
            .map_or(0, |buf| buf.capacity().saturating_sub(at))
    }

    /// True where what is missing goes nowhere.
    pub(super) fn discards(&self) -> bool {
        let padding = self.got >= self.header.body_len as usize;
        self.discard || (padding && self.buf.is_some() && self.room() == 0)
    }
}

impl Rx {
    /// Tries again what found no memory.
    pub(super) fn resume_body(&mut self, conn: &Rc<Conn>) -> Parsed {
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

    pub(super) fn begin_body(&mut self, conn: &Rc<Conn>, header: Header) -> Parsed {
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
    pub(super) fn feed_body(&mut self, conn: &Rc<Conn>, bytes: &[u8]) -> Taken {
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

    pub(super) fn body_grew(&mut self, conn: &Rc<Conn>) -> Parsed {
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
}
