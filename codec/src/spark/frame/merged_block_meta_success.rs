//! MergedBlockMetaSuccess: how a merged shuffle partition is made.

use super::super::{FrameTooLarge, Kind};
use super::{Header, frame};

frame! {
    /// Answers a MergedBlockMetaRequest of the same id; the rest of the frame is one bitmap per chunk, see
    /// [`Bitmaps`](crate::spark::shuffle::Bitmaps).
    MergedBlockMetaSuccess {
        /// As in the request.
        request_id: i64,
        /// The chunks of the partition.
        num_chunks: i32,
    }
}

impl MergedBlockMetaSuccess {
    /// The length of the frame in front of the body, in bytes.
    pub const HEAD_LEN: usize = 21;

    /// The head of a frame with a body of `body_len` bytes.
    ///
    /// # Errors
    /// [`FrameTooLarge`] if the frame would not be shorter than 2 GiB.
    #[inline]
    pub fn head(&self, body_len: u64) -> Result<[u8; Self::HEAD_LEN], FrameTooLarge> {
        super::head_before(Kind::MergedBlockMetaSuccess, body_len, |out| {
            self.write_fields(out);
        })
    }
}
