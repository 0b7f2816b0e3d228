//! UploadData: a slice of an upload.

use super::super::{FrameError, Header, Kind};

/// A slice of an upload. Slices come in order and without a gap; an UploadEnd ends them, so there is no MORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadData {
    /// The request's id.
    pub id: u64,
    /// Offset of this slice in the upload, in bytes.
    pub offset: u64,
    /// 0, 1, … in order.
    pub seq: u32,
}

impl UploadData {
    /// The header in front of a slice of `body_len` bytes.
    #[inline]
    pub const fn header(&self, body_len: u32) -> Header {
        let mut header = Header::new(Kind::UploadData, self.id);
        header.body_len = body_len;
        header.arg = self.offset;
        header.aux = self.seq;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::Inconsistent`] for an empty slice, one that ends beyond 2^64, or a number that does not
    /// fit the offset; [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::UploadData)?;
        if header.body_len == 0 {
            return Err(header.inconsistent("an empty slice"));
        }
        if header.arg.checked_add(u64::from(header.body_len)).is_none() {
            return Err(header.inconsistent("the slice ends beyond 2^64"));
        }
        if (header.aux == 0) != (header.arg == 0) {
            return Err(
                header.inconsistent("exactly the first slice has the number 0 and begins at 0")
            );
        }
        Ok(Self {
            id: header.id,
            offset: header.arg,
            seq: header.aux,
        })
    }
}
