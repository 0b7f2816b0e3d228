//! The sixteen bytes in front of every request and answer, and the walk over a stream of them.
//!
//! Both ends of every floor use this: clients to check what comes back, servers to find where
//! requests end. Bytes come straight from a receive buffer in whatever pieces the kernel hands
//! over; nothing is copied but the header of a frame that straddles two pieces.

use crate::pattern;
use crate::workload::{Work, Workload};
use anyhow::{Result, ensure};

/// Length of a frame header in bytes: a `u64` id and a `u64` length, little-endian.
pub(crate) const HEADER_LEN: usize = 16;

/// One answer in this many has its whole body compared with the pattern; every answer has its id,
/// order and length checked.
pub(crate) const CONTENT_SAMPLE: u64 = 64;

/// Bodies of this many bytes and more are received exactly, straight into memory of their own;
/// shorter ones arrive with their neighbours.
pub(crate) const EXACT_LEN: usize = 16 << 10;

/// Writes a header.
#[inline]
pub(crate) fn encode(id: u64, len: u64) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..].copy_from_slice(&len.to_le_bytes());
    bytes
}

/// Reads a header: id and length.
#[inline]
pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> (u64, u64) {
    let word = u128::from_le_bytes(*bytes);
    (word as u64, (word >> 64) as u64)
}

/// The layout of the frames of one direction of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Value of the header's length field, the same in every frame.
    pub(crate) len_field: u64,
    /// Bytes that follow the header.
    pub(crate) body_len: usize,
    /// Bodies follow the pattern of a source of this many chunks; `None` leaves their content
    /// unchecked.
    pub(crate) content: Option<u64>,
}

impl Shape {
    /// The requests of a workload's client. Only clients check content.
    pub(crate) fn request(workload: &Workload) -> Self {
        let body_len = match workload.work {
            Work::Rpc { size, .. } => size as usize,
            Work::Chunks { .. } => 0,
        };
        Self {
            len_field: workload.size().into(),
            body_len,
            content: None,
        }
    }

    /// The answers of a workload's server.
    pub(crate) fn answer(workload: &Workload) -> Self {
        Self {
            len_field: workload.answer_size().into(),
            body_len: workload.answer_size() as usize,
            content: Some(workload.source_chunks()),
        }
    }

    /// Length of a whole frame in bytes.
    pub(crate) fn frame_len(&self) -> usize {
        HEADER_LEN + self.body_len
    }

    /// The most bytes of such frames that a connection has in flight.
    pub(crate) fn window(&self, workload: &Workload) -> u64 {
        self.frame_len() as u64 * u64::from(workload.in_flight)
    }
}

/// Walks the frames of one connection and checks each: ids count up by one from the first, lengths
/// are as agreed, and the body of every [`CONTENT_SAMPLE`]th frame is the pattern.
#[derive(Debug)]
pub(crate) struct Walker {
    shape: Shape,
    next_id: u64,
    /// Whether the first frame's id is still to be learnt.
    adopting: bool,
    header: [u8; HEADER_LEN],
    /// Bytes of the current frame seen so far, header included.
    seen: usize,
}

impl Walker {
    /// A walker that expects the frame `first_id` next, or with `None` takes the first frame's id
    /// for granted.
    pub(crate) fn new(shape: Shape, first_id: Option<u64>) -> Self {
        Self {
            shape,
            next_id: first_id.unwrap_or(0),
            adopting: first_id.is_none(),
            header: [0; HEADER_LEN],
            seen: 0,
        }
    }

    /// The id that the next frame must carry.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Takes the next bytes of the stream and returns how many frames ended in them.
    ///
    /// # Errors
    /// The first frame whose id, length or sampled content is not what was asked for.
    #[inline]
    pub(crate) fn absorb(&mut self, mut bytes: &[u8]) -> Result<u64> {
        let mut frames = 0;
        while (self.seen != 0 || self.adopting) && !bytes.is_empty() {
            bytes = self.absorb_piece(bytes, &mut frames)?;
        }
        let frame_len = self.shape.frame_len();
        while bytes.len() >= frame_len {
            let (frame, rest) = bytes.split_at(frame_len);
            let (header, body) = frame.split_first_chunk().unwrap_or((&[0; HEADER_LEN], &[]));
            self.check_header(header)?;
            self.check_body(0, body)?;
            self.next_id += 1;
            frames += 1;
            bytes = rest;
        }
        while !bytes.is_empty() {
            bytes = self.absorb_piece(bytes, &mut frames)?;
        }
        Ok(frames)
    }

    /// The slow path: the rest of a straddling header, or the rest of a straddling body.
    fn absorb_piece<'a>(&mut self, bytes: &'a [u8], frames: &mut u64) -> Result<&'a [u8]> {
        let end = if self.seen < HEADER_LEN {
            HEADER_LEN
        } else {
            self.shape.frame_len()
        };
        let take = (end - self.seen).min(bytes.len());
        let (piece, rest) = bytes.split_at(take);
        if self.seen < HEADER_LEN {
            self.header[self.seen..self.seen + take].copy_from_slice(piece);
        } else {
            self.check_body(self.seen - HEADER_LEN, piece)?;
        }
        self.seen += take;
        if self.seen == HEADER_LEN && end == HEADER_LEN {
            let header = self.header;
            if self.adopting {
                self.next_id = decode(&header).0;
                self.adopting = false;
            }
            self.check_header(&header)?;
        }
        if self.seen == self.shape.frame_len() {
            self.seen = 0;
            self.next_id += 1;
            *frames += 1;
        }
        Ok(rest)
    }

    #[inline]
    fn check_header(&self, header: &[u8; HEADER_LEN]) -> Result<()> {
        let (id, len) = decode(header);
        ensure!(
            id == self.next_id && len == self.shape.len_field,
            "expected frame {} of {} bytes, got frame {id} of {len} bytes",
            self.next_id,
            self.shape.len_field
        );
        Ok(())
    }

    #[inline]
    fn check_body(&self, body_offset: usize, piece: &[u8]) -> Result<()> {
        let Some(chunks) = self.shape.content else {
            return Ok(());
        };
        if !self.next_id.is_multiple_of(CONTENT_SAMPLE) {
            return Ok(());
        }
        let offset = pattern::chunk_offset(self.next_id, chunks, self.shape.body_len as u64);
        ensure!(
            pattern::matches(offset + body_offset as u64, piece),
            "the body of frame {} is not what was stored at {offset}",
            self.next_id
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKS: u64 = 3;

    fn shape(body_len: usize) -> Shape {
        Shape {
            len_field: body_len as u64,
            body_len,
            content: Some(CHUNKS),
        }
    }

    fn stream(body_len: usize, frames: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for id in 0..frames {
            out.extend(encode(id, body_len as u64));
            let mut body = vec![0; body_len];
            pattern::fill(
                pattern::chunk_offset(id, CHUNKS, body_len as u64),
                &mut body,
            );
            out.extend(body);
        }
        out
    }

    #[test]
    fn any_split_of_the_stream_gives_the_same_frames() {
        for body_len in [0, 1, 7, 24] {
            let bytes = stream(body_len, 130);
            for step in 1..bytes.len().min(90) {
                let mut walker = Walker::new(shape(body_len), Some(0));
                let mut frames = 0;
                for piece in bytes.chunks(step) {
                    frames += walker.absorb(piece).expect("a good stream");
                }
                assert_eq!(frames, 130, "body {body_len}, step {step}");
            }
        }
    }

    #[test]
    fn a_skipped_swapped_or_resized_frame_is_an_error() {
        let good = stream(8, 4);
        let frame = |n: usize| &good[n * 24..(n + 1) * 24];
        let skipped = [frame(0), frame(2)].concat();
        let swapped = [frame(1), frame(0)].concat();
        let mut resized = good.clone();
        resized[24 + 8] ^= 1;
        for bad in [skipped, swapped, resized] {
            for step in [1, 5, bad.len()] {
                let mut walker = Walker::new(shape(8), Some(0));
                assert!(bad.chunks(step).any(|piece| walker.absorb(piece).is_err()));
            }
        }
    }

    #[test]
    fn an_unknown_first_id_is_adopted_and_then_counts() {
        let bytes = [encode(7, 0), encode(8, 0), encode(9, 0), encode(9, 0)].concat();
        for step in [1, 16, 64] {
            let mut walker = Walker::new(shape(0), None);
            let mut frames = 0;
            for piece in bytes[..48].chunks(step) {
                frames += walker.absorb(piece).expect("7, 8, 9");
            }
            assert_eq!((frames, walker.next_id()), (3, 10));
            assert!(walker.absorb(&bytes[48..]).is_err());
        }
    }

    #[test]
    fn wrong_content_of_a_sampled_frame_is_an_error_in_either_path() {
        let mut bytes = stream(8, 65);
        let last = bytes.len() - 1;
        bytes[last] ^= 0x80;
        for step in [1, 24, bytes.len()] {
            let mut walker = Walker::new(shape(8), Some(0));
            assert!(
                bytes
                    .chunks(step)
                    .any(|piece| walker.absorb(piece).is_err())
            );
        }
    }
}
