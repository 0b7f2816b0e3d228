//! Reads frames from bytes that arrive in pieces of any length.
//!
//! The reader keeps the beginning of an incomplete head, and nothing else: whole heads are read, and bodies
//! returned, in place in the piece. A caller that receives a large body itself, into a buffer of the body's
//! own, reports its progress by [`FrameReader::body_received`].

use super::{FrameError, Head, Limits, Step, decode_head};

/// An event that a [`FrameReader`] found in a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The piece is used up and there is no head yet.
    NeedMore {
        /// The least number of missing bytes.
        missing: usize,
    },
    /// A head. If its `body_len` is not 0, the body follows.
    Head(Head<'a>),
    /// The next part of the body.
    Body {
        /// The bytes, where they lie in the piece. Not empty.
        bytes: &'a [u8],
        /// Whether the body ends with them.
        last: bool,
    },
}

/// The state of one direction of a connection.
///
/// ```
/// use ringrail_codec::spark::{Event, FrameReader, Limits, RpcResponse};
/// let mut reader = FrameReader::new(Limits::DEFAULT);
/// let mut bytes = RpcResponse { request_id: 1 }.head(2)?.to_vec();
/// bytes.extend(b"ok");
/// let (first, second) = bytes.split_at(22);
/// let (used, event) = reader.read(first)?;
/// assert!(matches!(event, Event::Head(head) if head.body_len == 2) && used == 21);
/// assert_eq!(reader.read(&first[21..])?, (1, Event::Body { bytes: b"o", last: false }));
/// assert_eq!(reader.read(second)?, (1, Event::Body { bytes: b"k", last: true }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrameReader {
    limits: Limits,
    /// The beginning of a head; at most [`Limits::max_head_len`] bytes, all of which have arrived.
    kept: Vec<u8>,
    /// The content of `kept` has been read and returned.
    read: bool,
    body_left: u64,
    failed: Option<FrameError>,
}

impl FrameReader {
    /// A reader at the beginning of a connection's frames. `limits` are to be checked by
    /// [`Limits::check`].
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            kept: Vec::new(),
            read: false,
            body_left: 0,
            failed: None,
        }
    }

    /// The bytes of the running body that have not come yet; 0 between two frames and within a head.
    pub const fn body_left(&self) -> u64 {
        self.body_left
    }

    /// The bytes of an unfinished head that the reader keeps. If the connection ends now, it ends within a
    /// frame if this or [`FrameReader::body_left`] is not 0.
    pub const fn kept(&self) -> usize {
        if self.read { 0 } else { self.kept.len() }
    }

    /// The caller has received `len` bytes of the running body by itself.
    ///
    /// # Panics
    /// If that is more than [`FrameReader::body_left`].
    pub const fn body_received(&mut self, len: u64) {
        assert!(len <= self.body_left, "more than the rest of the body");
        self.body_left -= len;
    }

    /// Reads the front of `piece`: gives what is there and how many bytes it took. Call it again with the
    /// rest of the piece until that is empty.
    ///
    /// # Errors
    /// Any [`FrameError`], at this and every further call; close the connection.
    pub fn read<'a>(&'a mut self, piece: &'a [u8]) -> Result<(usize, Event<'a>), FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.body_left > 0 && !piece.is_empty() {
            return Ok(self.read_body(piece));
        }
        if self.read {
            self.kept.clear();
            self.read = false;
        }
        if self.kept.is_empty() {
            self.read_in_place(piece)
        } else {
            self.read_kept(piece)
        }
    }

    fn read_body<'a>(&mut self, piece: &'a [u8]) -> (usize, Event<'a>) {
        let left = usize::try_from(self.body_left).unwrap_or(usize::MAX);
        let bytes = &piece[..piece.len().min(left)];
        self.body_left -= bytes.len() as u64;
        let last = self.body_left == 0;
        (bytes.len(), Event::Body { bytes, last })
    }

    /// No part of a head is kept: the head is read in the piece, if it is there in whole.
    fn read_in_place<'a>(&mut self, piece: &'a [u8]) -> Result<(usize, Event<'a>), FrameError> {
        match self.decode(piece)? {
            Step::Head(head) => {
                self.body_left = head.body_len;
                Ok((head.len, Event::Head(head)))
            }
            Step::NeedMore { at_least } => {
                self.kept.extend_from_slice(piece);
                let missing = at_least - piece.len();
                Ok((piece.len(), Event::NeedMore { missing }))
            }
        }
    }

    /// Takes from the piece what the kept part of a head lacks, and no more.
    fn read_kept<'a>(&'a mut self, piece: &'a [u8]) -> Result<(usize, Event<'a>), FrameError> {
        let mut used = 0;
        while let Step::NeedMore { at_least } =
            decode_head(&self.kept, &self.limits).inspect_err(|error| self.failed = Some(*error))?
        {
            let missing = at_least - self.kept.len();
            let rest = &piece[used..];
            if rest.is_empty() {
                return Ok((used, Event::NeedMore { missing }));
            }
            let taken = missing.min(rest.len());
            self.kept.extend_from_slice(&rest[..taken]);
            used += taken;
        }
        self.read = true;
        match decode_head(&self.kept, &self.limits)? {
            Step::Head(head) => {
                self.body_left = head.body_len;
                Ok((used, Event::Head(head)))
            }
            // Not so: the loop above ends with a head.
            Step::NeedMore { at_least } => Ok((used, Event::NeedMore { missing: at_least })),
        }
    }

    fn decode<'a>(&mut self, piece: &'a [u8]) -> Result<Step<'a>, FrameError> {
        decode_head(piece, &self.limits).inspect_err(|error| self.failed = Some(*error))
    }
}
