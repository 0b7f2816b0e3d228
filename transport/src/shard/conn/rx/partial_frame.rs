//! Incomplete frames, and an incomplete Hello, kept until the rest arrives.

use std::rc::Rc;

use ringrail_codec::native::HEADER_LEN;

use crate::buf::LeaseMut;
use crate::conn::backpressure::Blocked;
use crate::conn::lifecycle::Phase;
use crate::shard::conn::Conn;
use crate::shard::conn::handshake::HelloRead;

use super::parse::read_header;
use super::{Parsed, Rx, Taken};

impl Rx {
    /// Keeps the beginning of an item of `need` bytes; returns the number of bytes taken.
    pub(super) fn stash(&mut self, conn: &Rc<Conn>, bytes: &[u8], need: usize) -> usize {
        let Some(mut stash) = conn.lease_for_frame(need) else {
            self.blocked.add(Blocked::MEMORY);
            return 0;
        };
        assert!(self.stash.is_none(), "two frames are incomplete");
        assert!(bytes.len() <= need, "the item is here whole");
        let metrics = &conn.local.metrics;
        metrics.copies_straddle.increment();
        metrics.copies_straddle_bytes.add(bytes.len() as u64);
        stash.put(bytes);
        self.stash = Some(stash);
        self.need = need;
        bytes.len()
    }

    pub(super) fn feed_stash(&mut self, conn: &Rc<Conn>, bytes: &[u8]) -> Taken {
        let Some(stash) = self.stash.as_mut() else {
            return Ok(0);
        };
        let take = bytes.len().min(self.need.saturating_sub(stash.len()));
        stash.put(&bytes[..take]);
        conn.local.metrics.copies_straddle_bytes.add(take as u64);
        self.stash_grew(conn)?;
        Ok(take)
    }

    /// Checks the stash after bytes were added: the awaited item may be complete.
    pub(super) fn stash_grew(&mut self, conn: &Rc<Conn>) -> Parsed {
        let Some(stash) = self.stash.take() else {
            return Ok(());
        };
        if stash.len() < self.need {
            self.stash = Some(stash);
            return Ok(());
        }
        match conn.phase() {
            Phase::Opening => match conn.on_hello(stash.as_slice())? {
                HelloRead::Done(_) => Ok(()),
                HelloRead::Spark => {
                    self.need = stash.len();
                    self.stash = Some(stash);
                    self.look_again(conn)
                }
                HelloRead::NeedMore(need) => self.regrow(conn, stash, need),
            },
            Phase::Open => self.stashed_frame(conn, stash),
            Phase::Flushing | Phase::Closed => Ok(()),
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

    /// Waits for `need` bytes in a stash of that capacity.
    pub(super) fn regrow(&mut self, conn: &Rc<Conn>, stash: LeaseMut, need: usize) -> Parsed {
        self.need = need;
        if stash.capacity() >= need {
            self.stash = Some(stash);
            return Ok(());
        }
        let Some(mut larger) = conn.lease_for_frame(need) else {
            self.stash = Some(stash);
            self.blocked.add(Blocked::MEMORY);
            return Ok(());
        };
        larger.put(stash.as_slice());
        self.stash = Some(larger);
        Ok(())
    }
}
