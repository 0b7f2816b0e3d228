//! Places the slices of a body: computes the offset of each and refuses slices that do not fit. The
//! receiver's half of a bulk body; the sender's is [`Slicer`](super::Slicer).
//!
//! No byte is stored here. The caller owns the memory, which it takes according to its own limits, and
//! the returned offsets never exceed the length that was announced first.

use super::slicer::next_seq;
use super::{ChunkData, RpcSlice, StreamData, StreamEnd, UNKNOWN_LEN, UploadData, UploadEnd};

/// The position of an accepted slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its offset in the body, in bytes.
    pub offset: u64,
    /// Whether the body is complete with it.
    pub complete: bool,
}

/// A slice or an end that does not fit what came before. The connection is ordered, so only a peer that is
/// out of step sends it: fatal for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblyError {
    /// A slice is missing or came twice.
    #[error("slice number {got}, where {expected} was due")]
    Sequence {
        /// The number due.
        expected: u32,
        /// The number received.
        got: u32,
    },
    /// A slice does not begin where the one before ended.
    #[error("slice at offset {got}, where {expected} was due")]
    Offset {
        /// The offset due.
        expected: u64,
        /// The offset received.
        got: u64,
    },
    /// The announced length changed between slices.
    #[error("the body's length changed from {first} to {now} bytes between slices")]
    TotalChanged {
        /// The length announced first.
        first: u64,
        /// The length announced now.
        now: u64,
    },
    /// More than was announced, or more than was asked for.
    #[error("{got} bytes where the body has at most {limit}")]
    TooLong {
        /// The bytes there would be.
        got: u64,
        /// The most there can be.
        limit: u64,
    },
    /// The MORE flag does not fit the bytes received so far.
    #[error("{received} of {total_len} bytes have come and MORE is {more}")]
    More {
        /// The bytes received with this slice.
        received: u64,
        /// The announced length.
        total_len: u64,
        /// The flag.
        more: bool,
    },
    /// The end came before the announced length, or the lengths differ.
    #[error("the end says {sent} bytes, {received} have come and {total_len} were announced")]
    EarlyEnd {
        /// The length in the end frame.
        sent: u64,
        /// The bytes received.
        received: u64,
        /// The announced length, `u64::MAX` for unknown.
        total_len: u64,
    },
    /// A slice behind the end.
    #[error("a slice behind the end of the body")]
    AfterEnd,
}

/// The state of one body that is being received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assembly {
    total_len: Option<u64>,
    /// The most bytes that the body may have, announced or not.
    max_len: u64,
    received: u64,
    next_seq: u32,
    complete: bool,
}

impl Assembly {
    /// For an RPC body whose first slice of `first_len` bytes has come. `total_len` has been checked
    /// against [`Limits::max_rpc_len`](super::Limits::max_rpc_len).
    pub const fn rpc(total_len: u64, first_len: u32) -> Self {
        Self {
            total_len: Some(total_len),
            max_len: total_len,
            received: first_len as u64,
            next_seq: 1,
            complete: first_len as u64 == total_len,
        }
    }

    /// For a chunk range of at most `max_len` bytes (what the request asked for).
    pub const fn chunk(max_len: u64) -> Self {
        Self::expecting(None, max_len)
    }

    /// For a stream.
    pub const fn stream() -> Self {
        Self::expecting(None, UNKNOWN_LEN)
    }

    /// For an upload whose Upload frame announced `total_len`, which may be [`UNKNOWN_LEN`].
    pub const fn upload(total_len: u64) -> Self {
        Self::expecting(Some(total_len), total_len)
    }

    const fn expecting(total_len: Option<u64>, max_len: u64) -> Self {
        Self {
            total_len,
            max_len,
            received: 0,
            next_seq: 0,
            complete: false,
        }
    }

    /// The bytes received so far: where a resumed request would begin.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// The announced length, once it is known.
    pub fn total_len(&self) -> Option<u64> {
        self.total_len.filter(|&len| len != UNKNOWN_LEN)
    }

    /// Whether everything has come.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// A further slice of an RPC body.
    ///
    /// # Errors
    /// [`AssemblyError`], as for every method below.
    pub fn rpc_slice(&mut self, slice: &RpcSlice, len: u32) -> Result<Accepted, AssemblyError> {
        let next = self.check(slice.seq, Some(slice.offset), len)?;
        self.check_more(next, slice.more)?;
        Ok(self.commit(next, !slice.more))
    }

    /// A slice of a chunk.
    ///
    /// # Errors
    /// [`AssemblyError`].
    pub fn chunk_data(&mut self, slice: &ChunkData, len: u32) -> Result<Accepted, AssemblyError> {
        let before = *self;
        self.announce(slice.total_len)?;
        let accepted = self.check(slice.seq, None, len).and_then(|next| {
            self.check_more(next, slice.more)?;
            Ok(self.commit(next, !slice.more))
        });
        if accepted.is_err() {
            *self = before;
        }
        accepted
    }

    /// A slice of a stream.
    ///
    /// # Errors
    /// [`AssemblyError`].
    pub fn stream_data(&mut self, slice: &StreamData, len: u32) -> Result<Accepted, AssemblyError> {
        let before = *self;
        self.announce(slice.total_len)?;
        let accepted = self
            .check(slice.seq, None, len)
            .map(|next| self.commit(next, false));
        if accepted.is_err() {
            *self = before;
        }
        accepted
    }

    /// The end of a stream.
    ///
    /// # Errors
    /// [`AssemblyError::EarlyEnd`], [`AssemblyError::AfterEnd`].
    pub fn stream_end(&mut self, end: &StreamEnd) -> Result<(), AssemblyError> {
        self.end(end.sent_len)
    }

    /// A slice of an upload.
    ///
    /// # Errors
    /// [`AssemblyError`].
    pub fn upload_data(&mut self, slice: &UploadData, len: u32) -> Result<Accepted, AssemblyError> {
        let next = self.check(slice.seq, Some(slice.offset), len)?;
        Ok(self.commit(next, false))
    }

    /// The end of an upload.
    ///
    /// # Errors
    /// [`AssemblyError::EarlyEnd`], [`AssemblyError::AfterEnd`].
    pub fn upload_end(&mut self, end: &UploadEnd) -> Result<(), AssemblyError> {
        self.end(end.sent_len)
    }

    fn announce(&mut self, total_len: u64) -> Result<(), AssemblyError> {
        match self.total_len {
            Some(first) if first != total_len => Err(AssemblyError::TotalChanged {
                first,
                now: total_len,
            }),
            Some(_) => Ok(()),
            None if total_len > self.max_len => Err(AssemblyError::TooLong {
                got: total_len,
                limit: self.max_len,
            }),
            None => {
                self.total_len = Some(total_len);
                self.max_len = total_len;
                Ok(())
            }
        }
    }

    /// The bytes received with this slice.
    fn check(&self, seq: u32, offset: Option<u64>, len: u32) -> Result<u64, AssemblyError> {
        if self.complete {
            return Err(AssemblyError::AfterEnd);
        }
        if seq != self.next_seq {
            return Err(AssemblyError::Sequence {
                expected: self.next_seq,
                got: seq,
            });
        }
        if let Some(got) = offset
            && got != self.received
        {
            return Err(AssemblyError::Offset {
                expected: self.received,
                got,
            });
        }
        let next = self.received.saturating_add(u64::from(len));
        if next > self.max_len {
            return Err(AssemblyError::TooLong {
                got: next,
                limit: self.max_len,
            });
        }
        Ok(next)
    }

    fn check_more(&self, next: u64, more: bool) -> Result<(), AssemblyError> {
        if more == (next < self.max_len) {
            return Ok(());
        }
        Err(AssemblyError::More {
            received: next,
            total_len: self.max_len,
            more,
        })
    }

    fn commit(&mut self, next: u64, complete: bool) -> Accepted {
        let offset = self.received;
        self.received = next;
        self.next_seq = next_seq(self.next_seq);
        self.complete = complete;
        Accepted { offset, complete }
    }

    fn end(&mut self, sent: u64) -> Result<(), AssemblyError> {
        if self.complete {
            return Err(AssemblyError::AfterEnd);
        }
        let short = self.total_len().is_some_and(|len| len != self.received);
        if sent != self.received || short {
            return Err(AssemblyError::EarlyEnd {
                sent,
                received: self.received,
                total_len: self.total_len.unwrap_or(UNKNOWN_LEN),
            });
        }
        self.complete = true;
        Ok(())
    }
}
