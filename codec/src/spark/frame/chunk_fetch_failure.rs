//! ChunkFetchFailure: why there is no chunk.

use super::super::EncodeError;
use super::{Header, frame};

frame! {
    /// Answers a ChunkFetchRequest of the same stream and chunk.
    ChunkFetchFailure<'a> {
        /// As in the request.
        stream_id: i64,
        /// As in the request.
        chunk_index: i32,
        /// Why: for Spark's clients, Java's text of an exception.
        error: &'a str,
    }
}

impl ChunkFetchFailure<'_> {
    /// The length of the frame in bytes.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        super::PREFIX_LEN + self.fields_len()
    }

    /// Writes the whole frame to the front of `out` and returns its length.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        super::encode_head(self, 0, out)
    }
}
