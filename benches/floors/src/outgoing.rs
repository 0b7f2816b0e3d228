//! The small frames that one side of a connection sends, requests or RPC answers: a ring of
//! ready-made frames, so that issuing one writes its id and nothing else.
//!
//! A slot is used again only when it has been released (a request by its answer, an answer by its
//! departure), so the bytes that a send is still reading never change.

use crate::frame::{self, HEADER_LEN, Shape};
use crate::pattern;
use anyhow::{Result, ensure};

/// The frames of one direction of one connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    slots: Vec<u8>,
    frame_len: usize,
    len_field: u64,
    in_flight: u64,
    first_id: u64,
    issued: u64,
    released: u64,
    sent_bytes: u64,
}

impl Outgoing {
    /// Room for `in_flight` frames of this shape, whose payloads are the start of the pattern.
    pub(crate) fn new(shape: Shape, in_flight: u32, first_id: u64) -> Self {
        let mut frame = vec![0; shape.frame_len()];
        pattern::fill(0, &mut frame[HEADER_LEN..]);
        Self {
            frame_len: frame.len(),
            slots: frame.repeat(in_flight as usize),
            len_field: shape.len_field,
            in_flight: in_flight.into(),
            first_id,
            issued: 0,
            released: 0,
            sent_bytes: 0,
        }
    }

    /// Frames issued and not yet released.
    #[inline]
    pub(crate) fn outstanding(&self) -> u64 {
        self.issued - self.released
    }

    /// Frames that may be issued now.
    #[inline]
    pub(crate) fn room(&self) -> u64 {
        self.in_flight - self.outstanding()
    }

    /// Makes `count` more frames ready to send.
    ///
    /// # Panics
    /// If `count` exceeds [`Self::room`].
    #[inline]
    pub(crate) fn issue(&mut self, count: u64) {
        assert!(
            count <= self.room(),
            "a slot still in use would be overwritten"
        );
        let mut slot = (self.issued % self.in_flight) as usize;
        for id in self.issued..self.issued + count {
            let at = slot * self.frame_len;
            let header = frame::encode(self.first_id + id, self.len_field);
            self.slots[at..at + HEADER_LEN].copy_from_slice(&header);
            slot += 1;
            if slot == self.in_flight as usize {
                slot = 0;
            }
        }
        self.issued += count;
    }

    /// Bytes issued and not yet sent; the second piece is empty unless they wrap around the end of
    /// the slots.
    #[inline]
    pub(crate) fn unsent(&self) -> [&[u8]; 2] {
        let len = (self.issued * self.frame_len as u64 - self.sent_bytes) as usize;
        let start = (self.sent_bytes % self.slots.len() as u64) as usize;
        let to_end = self.slots.len() - start;
        if len <= to_end {
            [&self.slots[start..start + len], &[]]
        } else {
            [&self.slots[start..], &self.slots[..len - to_end]]
        }
    }

    /// The first `bytes` unsent bytes are with the kernel.
    #[inline]
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    /// Everything issued has left and is done with.
    #[inline]
    pub(crate) fn all_left(&mut self) {
        self.sent_bytes = self.issued * self.frame_len as u64;
        self.released = self.issued;
    }

    /// The oldest `count` frames are done with.
    ///
    /// # Errors
    /// There are not as many: the peer answered what was never asked.
    #[inline]
    pub(crate) fn release(&mut self, count: u64) -> Result<()> {
        ensure!(
            count <= self.outstanding(),
            "{count} answers arrived for {} requests in flight",
            self.outstanding()
        );
        self.released += count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Walker;

    /// Sends `step` bytes at a time and answers what has left, and checks that the stream that
    /// leaves is the frames in order.
    fn run(body_len: usize, in_flight: u32, step: usize) {
        let shape = Shape {
            len_field: body_len as u64,
            body_len,
            content: Some(1),
        };
        let mut requests = Outgoing::new(shape, in_flight, 5);
        let mut walker = Walker::new(shape, Some(5));
        let mut frames = 0;
        while frames < 200 {
            requests.issue(requests.room());
            let unsent = requests.unsent();
            let piece = &unsent.concat()[..step.min(unsent[0].len() + unsent[1].len())];
            let left = walker.absorb(piece).expect("frames in order");
            requests.sent(piece.len());
            requests.release(left).expect("asked");
            frames += left;
        }
    }

    #[test]
    fn what_leaves_is_every_frame_in_order_however_it_is_cut() {
        for body_len in [0, 8, 13] {
            for in_flight in [1, 2, 7] {
                for step in [1, 16, 21, 50, 1000] {
                    run(body_len, in_flight, step);
                }
            }
        }
    }

    #[test]
    fn an_answer_to_nothing_is_an_error() {
        let empty = Shape {
            len_field: 0,
            body_len: 0,
            content: None,
        };
        let mut requests = Outgoing::new(empty, 4, 0);
        requests.issue(2);
        assert!(requests.release(3).is_err());
        assert!(requests.release(2).is_ok());
        assert!(requests.release(1).is_err());
    }
}
