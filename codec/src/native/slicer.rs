//! Cuts a body into slices, as far as the receiver's credit goes. The sender's half of a bulk body; the
//! receiver's is [`Assembly`](super::Assembly).

use super::{Credit, SendWindow, UNKNOWN_LEN};

/// A slice to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Offset of the slice in the body, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u32,
    /// Its number, from 0.
    pub seq: u32,
    /// Whether more follow; always `true` while the body's length is not known.
    pub more: bool,
}

/// The result of [`Slicer::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Slice(Slice),
    /// There is more to send, but no credit for it (or the caller has none ready).
    Blocked,
    /// Everything is sent.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The first slice is free of credit and always sent, empty or not.
    Rpc,
    /// The first slice is always sent: empty if there is no credit or nothing to send.
    Chunk,
    /// The first slice is sent empty if there is no credit; an empty body has no slice.
    Stream,
    /// No slice is empty.
    Upload,
}

/// The state of one body that is being sent. Credit is counted, time and bytes are not seen.
///
/// ```
/// use ringrail_codec::native::{Next, Slice, Slicer};
/// let mut slicer = Slicer::chunk(100, 64, 80);
/// assert_eq!(slicer.next(u32::MAX), Next::Slice(Slice { offset: 0, len: 64, seq: 0, more: true }));
/// assert_eq!(slicer.next(u32::MAX), Next::Slice(Slice { offset: 64, len: 16, seq: 1, more: true }));
/// assert_eq!(slicer.next(u32::MAX), Next::Blocked);
/// slicer.grant(1000);
/// assert_eq!(slicer.next(u32::MAX), Next::Slice(Slice { offset: 80, len: 20, seq: 2, more: false }));
/// assert_eq!(slicer.next(u32::MAX), Next::Done);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slicer {
    mode: Mode,
    total_len: u64,
    sent: u64,
    seq: u32,
    slice_max: u32,
    window: SendWindow,
}

/// The number behind `seq`. Only a body's first slice has the number 0, so it follows 1 on `u32::MAX`.
#[inline]
pub(super) const fn next_seq(seq: u32) -> u32 {
    match seq.checked_add(1) {
        Some(next) => next,
        None => 1,
    }
}

impl Slicer {
    const fn new(mode: Mode, total_len: u64, slice_max: u32, credit: u64) -> Self {
        assert!(slice_max > 0, "slices of 0 bytes");
        Self {
            mode,
            total_len,
            sent: 0,
            seq: 0,
            slice_max,
            window: SendWindow::new(credit),
        }
    }

    /// For an RPC body. Its first slice travels in the RpcRequest, RpcReply or OneWay and needs no credit;
    /// for the others the receiver has granted `credit` by its Hello.
    ///
    /// # Panics
    /// If `slice_max` is 0.
    pub const fn rpc(total_len: u64, slice_max: u32, credit: u64) -> Self {
        Self::new(Mode::Rpc, total_len, slice_max, credit)
    }

    /// For the range of a chunk that a ChunkRequest with `credit` asked for.
    ///
    /// # Panics
    /// If `slice_max` is 0.
    pub const fn chunk(total_len: u64, slice_max: u32, credit: u64) -> Self {
        Self::new(Mode::Chunk, total_len, slice_max, credit)
    }

    /// For the stream that a StreamRequest with `credit` asked for; `total_len` may be
    /// [`UNKNOWN_LEN`]. The StreamEnd is the caller's.
    ///
    /// # Panics
    /// If `slice_max` is 0.
    pub const fn stream(total_len: u64, slice_max: u32, credit: u64) -> Self {
        Self::new(Mode::Stream, total_len, slice_max, credit)
    }

    /// For an upload, with the `credit` of the receiver's Hello; `total_len` may be [`UNKNOWN_LEN`]. The
    /// UploadEnd is the caller's.
    ///
    /// # Panics
    /// If `slice_max` is 0.
    pub const fn upload(total_len: u64, slice_max: u32, credit: u64) -> Self {
        Self::new(Mode::Upload, total_len, slice_max, credit)
    }

    /// The bytes sent so far: the `sent_len` of the end frame.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The bytes that are left, or `None` while the length is not known.
    pub const fn remaining(&self) -> Option<u64> {
        if self.total_len == UNKNOWN_LEN {
            None
        } else {
            Some(self.total_len - self.sent)
        }
    }

    /// The credit that is left.
    pub const fn credit(&self) -> u64 {
        self.window.available()
    }

    /// A [`Credit`] frame for this body has arrived.
    pub const fn on_credit(&mut self, credit: &Credit) {
        self.grant(credit.bytes);
    }

    /// The receiver grants `bytes` more.
    pub const fn grant(&mut self, bytes: u64) {
        self.window.grant(bytes);
    }

    /// A source of unknown length has ended; what was sent is all there is.
    pub const fn finish(&mut self) {
        self.total_len = self.sent;
    }

    /// The next slice, of at most `ready` bytes (what the source has at hand). It counts as sent.
    pub const fn next(&mut self, ready: u32) -> Next {
        if self.is_done() {
            return Next::Done;
        }
        let left = self.total_len - self.sent;
        let most = if ready < self.slice_max {
            ready
        } else {
            self.slice_max
        };
        let want = if left < most as u64 {
            left
        } else {
            most as u64
        };
        let free = self.seq == 0 && matches!(self.mode, Mode::Rpc);
        let len = if free { want } else { self.window.take(want) };
        if len == 0 && !self.may_be_empty(left) {
            return Next::Blocked;
        }
        let slice = Slice {
            offset: self.sent,
            len: len as u32,
            seq: self.seq,
            more: len < left,
        };
        self.sent += len;
        self.seq = next_seq(self.seq);
        Next::Slice(slice)
    }

    const fn is_done(&self) -> bool {
        let owes_first = self.seq == 0 && matches!(self.mode, Mode::Rpc | Mode::Chunk);
        self.sent == self.total_len && !owes_first
    }

    /// Whether an empty slice says something: that the body is empty, or how long it is.
    const fn may_be_empty(&self, left: u64) -> bool {
        self.seq == 0
            && match self.mode {
                Mode::Rpc => left == 0,
                Mode::Chunk => left == 0 || self.window.available() == 0,
                Mode::Stream => self.window.available() == 0,
                Mode::Upload => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::next_seq;

    #[test]
    fn the_number_0_is_the_first_slices_alone() {
        assert_eq!((next_seq(0), next_seq(1)), (1, 2));
        assert_eq!(next_seq(u32::MAX), 1);
    }
}
