//! The parts of one send: headers in one leased buffer, bodies by reference.

use std::ops::Range;

use bytes::Bytes;

use super::{Lease, LeaseMut, MapSlice};

/// Pieces of one gather at most; bounds the iovec array of a send (kernel limit: 1024).
pub const MAX_PIECES: usize = 64;

/// Payload bytes that are sent from where they lie.
#[derive(Clone, Debug)]
pub enum Body {
    /// Pooled memory.
    Lease(Lease),
    /// Memory of the embedder.
    Bytes(Bytes),
    /// A part of a mapped file; read by the kernel alone.
    Mapped(MapSlice),
}

impl Body {
    /// Bytes in this body.
    pub fn len(&self) -> usize {
        match self {
            Body::Lease(lease) => lease.len(),
            Body::Bytes(bytes) => bytes.len(),
            Body::Mapped(map) => map.len(),
        }
    }

    /// True for a body of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of this body, sharing its memory.
    ///
    /// # Panics
    /// If the range reaches beyond the body.
    pub fn slice(&self, range: Range<usize>) -> Body {
        match self {
            Body::Lease(lease) => Body::Lease(lease.slice(range)),
            Body::Bytes(bytes) => Body::Bytes(bytes.slice(range)),
            Body::Mapped(map) => Body::Mapped(map.slice(range.start, range.len())),
        }
    }

    /// The bytes, where user space may look at them: not those of a mapped file.
    pub fn as_slice(&self) -> Option<&[u8]> {
        match self {
            Body::Lease(lease) => Some(lease),
            Body::Bytes(bytes) => Some(bytes),
            Body::Mapped(_) => None,
        }
    }

    fn as_ptr(&self) -> *const u8 {
        match self {
            Body::Lease(lease) => lease.as_ptr(),
            Body::Bytes(bytes) => bytes.as_ptr(),
            Body::Mapped(map) => map.as_ptr(),
        }
    }
}

impl From<Lease> for Body {
    fn from(lease: Lease) -> Self {
        Body::Lease(lease)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::Bytes(bytes)
    }
}

/// One piece of a [`Gather`].
#[derive(Debug)]
pub enum Piece {
    /// Bytes of the gather's own head buffer.
    Head {
        /// Offset of the first one.
        start: usize,
        /// How many they are.
        len: usize,
    },
    /// A body sent by reference.
    Body(Body),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Head { len, .. } => *len,
            Piece::Body(body) => body.len(),
        }
    }
}

/// The bytes of one vectored send, in wire order.
///
/// Written by a connection, moved into the driver's send operation, and moved back when that
/// completes, so that its memory is used again. `sent` counts what the kernel has taken: a short
/// send is continued from there.
#[derive(Debug)]
pub struct Gather {
    head: LeaseMut,
    pieces: Vec<Piece>,
    total: usize,
    sent: usize,
}

impl Gather {
    /// An empty gather whose headers go into `head`; `pieces` is an emptied list of an earlier one.
    /// Use [`Pool::gather`](super::Pool::gather), which has both at hand.
    pub(super) fn new(mut head: LeaseMut, pieces: Vec<Piece>) -> Self {
        debug_assert!(pieces.is_empty());
        head.set_len(0);
        Self {
            head,
            pieces,
            total: 0,
            sent: 0,
        }
    }

    /// The emptied list of pieces; bodies and head are released.
    pub(super) fn into_pieces(mut self) -> Vec<Piece> {
        self.pieces.clear();
        self.pieces
    }

    /// Bytes that still fit into the head buffer.
    #[inline]
    pub fn head_room(&self) -> usize {
        self.head.room()
    }

    /// Pieces that can still be added.
    pub fn piece_room(&self) -> usize {
        MAX_PIECES - self.pieces.len()
    }

    /// Appends `len` bytes to the head buffer and gives them to `write`.
    ///
    /// # Panics
    /// If they do not fit: look at [`head_room`](Self::head_room) and
    /// [`piece_room`](Self::piece_room) first.
    #[inline(always)]
    pub fn put_with(&mut self, len: usize, write: impl FnOnce(&mut [u8])) {
        let start = self.head.len();
        write(&mut self.head.buffer_mut()[start..start + len]);
        self.grown(start, len);
    }

    /// Adds `len` bytes to the head buffer, for the caller to write.
    ///
    /// # Panics
    /// If the head buffer has no room for them.
    #[inline(always)]
    pub fn extend(&mut self, len: usize) -> &mut [u8] {
        let start = self.head.len();
        self.grown(start, len);
        &mut self.head.buffer_mut()[start..start + len]
    }

    /// `len` more bytes of the head buffer have been written, from `start` on.
    #[inline]
    fn grown(&mut self, start: usize, len: usize) {
        self.head.set_len(start + len);
        self.total += len;
        if let Some(Piece::Head {
            start: at,
            len: have,
        }) = self.pieces.last_mut()
            && *at + *have == start
        {
            *have += len;
            return;
        }
        self.push(Piece::Head { start, len });
    }

    /// Gives the rest of the head buffer to `write`, which tells how many bytes it wrote, or
    /// `None`, and then nothing is appended.
    #[inline]
    pub fn put_some(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<usize> {
        let start = self.head.len();
        let len = write(&mut self.head.buffer_mut()[start..])?;
        self.grown(start, len);
        Some(len)
    }

    /// Appends bytes to the head buffer.
    ///
    /// # Panics
    /// As [`put_with`](Self::put_with).
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.put_with(bytes.len(), |room| room.copy_from_slice(bytes));
    }

    /// Appends a body by reference.
    ///
    /// # Panics
    /// If there is no [`piece_room`](Self::piece_room).
    pub fn put_body(&mut self, body: Body) {
        if !body.is_empty() {
            self.total += body.len();
            self.push(Piece::Body(body));
        }
    }

    #[cold]
    fn push(&mut self, piece: Piece) {
        assert!(
            self.pieces.len() < MAX_PIECES,
            "a gather holds {MAX_PIECES} pieces at most"
        );
        self.pieces.push(piece);
    }

    /// Bytes in all.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Bytes not yet taken by the kernel.
    pub fn remaining(&self) -> usize {
        self.total - self.sent
    }

    /// True where there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Bytes sent by reference, mapped ones apart: `(gathered, mapped)`.
    pub fn body_bytes(&self) -> (usize, usize) {
        self.pieces
            .iter()
            .fold((0, 0), |(gathered, mapped), piece| match piece {
                Piece::Head { .. } => (gathered, mapped),
                Piece::Body(Body::Mapped(map)) => (gathered, mapped + map.len()),
                Piece::Body(body) => (gathered + body.len(), mapped),
            })
    }

    /// The bytes to send, part by part.
    ///
    /// # Panics
    /// If a part is mapped: user space does not look at those.
    #[cfg(any(feature = "spark", test))]
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let head = self.head.as_slice();
        self.pieces.iter().map(move |piece| match piece {
            Piece::Head { start, len } => &head[*start..*start + *len],
            Piece::Body(body) => body.as_slice().expect("no part is mapped"),
        })
    }

    /// Notes that the kernel took `count` more bytes.
    ///
    /// # Panics
    /// If that is more than there was.
    pub fn advance(&mut self, count: usize) {
        assert!(
            count <= self.remaining(),
            "sent {count} of {} bytes",
            self.remaining()
        );
        self.sent += count;
    }

    /// The parts still to be sent less their first `count` bytes, in order, as address and length:
    /// at most [`MAX_PIECES`]. A driver that took some bytes already still owes the gather to its
    /// owner as it came, hence `count`.
    ///
    /// The addresses stay good while the gather is not written to, moved or not.
    pub(crate) fn parts_after(&self, count: usize) -> impl Iterator<Item = (*const u8, usize)> {
        let mut skip = self.sent + count;
        let head = self.head.as_slice();
        self.pieces.iter().filter_map(move |piece| {
            let len = piece.len();
            if skip >= len {
                skip -= len;
                return None;
            }
            let from = std::mem::take(&mut skip);
            let start = match piece {
                Piece::Head { start, .. } => head[*start..].as_ptr(),
                Piece::Body(body) => body.as_ptr(),
            };
            Some((start.wrapping_add(from), len - from))
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::Pool;
    use super::*;

    fn flatten(gather: &Gather) -> Vec<u8> {
        gather
            .parts_after(0)
            // SAFETY: the parts lie in live buffers of the gather.
            .flat_map(|(at, len)| unsafe { std::slice::from_raw_parts(at, len) }.to_vec())
            .collect()
    }

    #[test]
    fn parts_follow_the_order_of_writing_and_resume_after_a_short_send() {
        let pool = Pool::new(1 << 20, 0);
        let mut gather = pool.gather(4096).unwrap();
        gather.put(b"head1");
        gather.put(b"head2");
        gather.put_body(Bytes::from_static(b"body").into());
        gather.put_body(Bytes::new().into());
        gather.put(b"tail");
        let whole = b"head1head2bodytail";
        assert_eq!(
            gather.parts_after(0).count(),
            3,
            "neighbouring heads share a piece"
        );
        for sent in 0..=whole.len() {
            assert_eq!(flatten(&gather), &whole[sent..]);
            if sent < whole.len() {
                gather.advance(1);
            }
        }
        assert_eq!(gather.remaining(), 0);
    }
}
