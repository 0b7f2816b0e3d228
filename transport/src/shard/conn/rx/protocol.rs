//! The points where the two protocols part on receiving; see [`conn::protocol`](super::super::protocol).

use std::rc::Rc;

use crate::buf::{Lease, LeaseMut};
use crate::conn::lifecycle::Phase;
use crate::error::CloseReason;
use crate::shard::conn::Conn;

use super::{Next, Parsed, Rx, Taken};

/// Received bytes as the frames have them.
pub(super) fn decrypted(conn: &Conn, data: LeaseMut) -> Result<LeaseMut, Box<CloseReason>> {
    match conn.spark() {
        None => Ok(data),
        Some(side) => conn.unseal(side, data, 0),
    }
}

impl Rx {
    /// Parses `data[at..]`; returns the offset reached.
    #[inline(always)]
    pub(super) fn parse(&mut self, conn: &Rc<Conn>, data: &Lease, at: usize) -> Taken {
        match conn.spark() {
            None => self.parse_native(conn, data, at),
            Some(side) => self.parse_spark(conn, side, data, at),
        }
    }

    /// Parses again, for an incomplete frame may be complete now, or have memory: for the protocol whose frames need no alignment, the
    /// other one's parser looks by itself.
    pub(super) fn look_again(&mut self, conn: &Rc<Conn>) -> Parsed {
        let Some(side) = conn.spark() else {
            return Ok(());
        };
        self.grow_flow(conn, side);
        self.spark_stash_grew(conn, side)
    }

    /// True if the connection should receive exactly now, though a multishot may be armed.
    pub(crate) fn wants_exact(&mut self, conn: &Conn) -> bool {
        if conn.phase() != Phase::Open {
            return false;
        }
        match conn.spark() {
            None => self.wants_exact_native(conn),
            Some(side) => self.wants_exact_spark(conn, side),
        }
    }

    /// The receive operation for the next frames.
    pub(super) fn next_frames(&mut self, conn: &Conn) -> Next {
        match conn.spark() {
            None => self.next_native(conn),
            Some(side) => self.next_spark(conn, side),
        }
    }

    /// Takes the buffer of a [`Next::Fill`] back, with `count` more bytes in it.
    pub(crate) fn filled(&mut self, conn: &Rc<Conn>, buf: LeaseMut, count: usize) -> Parsed {
        if conn.is_ending() {
            return Ok(());
        }
        match conn.spark() {
            None => self.filled_native(conn, buf, count),
            Some(side) => self.filled_spark(conn, side, buf, count),
        }
    }
}
