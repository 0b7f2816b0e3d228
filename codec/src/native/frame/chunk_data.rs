//! ChunkData: a slice of a chunk.

use super::super::{Flags, FrameError, Header, Kind};

/// A slice of the chunk range that a ChunkRequest asked for. Slices come in order and without a gap, so
/// `seq` and the lengths before say where each one lies.
///
/// An empty slice with `seq` 0 announces `total_len` while the credit is 0, or is the whole of an empty range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkData {
    /// The request's id.
    pub id: u64,
    /// The bytes of the whole range that will be sent.
    pub total_len: u64,
    /// 0, 1, … in order.
    pub seq: u32,
    /// Whether more slices follow.
    pub more: bool,
}

impl ChunkData {
    /// The header in front of a slice of `body_len` bytes.
    #[inline]
    pub const fn header(&self, body_len: u32) -> Header {
        let mut header = Header::new(Kind::ChunkData, self.id);
        header.flags = Flags::NONE.with_if(Flags::MORE, self.more);
        header.body_len = body_len;
        header.arg = self.total_len;
        header.aux = self.seq;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::Inconsistent`] for a slice longer than its range, an empty slice that is not the first,
    /// a range of unknown length, or a first slice whose MORE flag does not fit `total_len`;
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::ChunkData)?;
        let body_len = u64::from(header.body_len);
        let more = header.flags.contains(Flags::MORE);
        if header.arg == super::super::UNKNOWN_LEN {
            return Err(header.inconsistent("a chunk's length is always known"));
        }
        if header.arg < body_len {
            return Err(header.inconsistent("total_len is less than body_len"));
        }
        if header.aux == 0 {
            if more != (header.arg > body_len) {
                return Err(header.inconsistent(
                    "MORE must be set on the first slice exactly if total_len is more than body_len",
                ));
            }
        } else if body_len == 0 {
            return Err(header.inconsistent("an empty slice that is not the first"));
        }
        Ok(Self {
            id: header.id,
            total_len: header.arg,
            seq: header.aux,
            more,
        })
    }
}
