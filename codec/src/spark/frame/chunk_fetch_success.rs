//! ChunkFetchSuccess: a chunk.

use super::super::{FrameTooLarge, Kind};
use super::{Header, frame};

frame! {
    /// Answers a ChunkFetchRequest of the same stream and chunk. The rest of the frame is the chunk; it may
    /// be empty.
    ChunkFetchSuccess {
        /// As in the request.
        stream_id: i64,
        /// As in the request.
        chunk_index: i32,
    }
}

impl ChunkFetchSuccess {
    /// The length of the frame in front of the body, in bytes.
    pub const HEAD_LEN: usize = 21;

    /// The head of a frame with a body of `body_len` bytes.
    ///
    /// # Errors
    /// [`FrameTooLarge`] if the frame would not be shorter than 2 GiB.
    #[inline]
    pub fn head(&self, body_len: u64) -> Result<[u8; Self::HEAD_LEN], FrameTooLarge> {
        super::head_before(Kind::ChunkFetchSuccess, body_len, |out| {
            self.write_fields(out);
        })
    }
}
