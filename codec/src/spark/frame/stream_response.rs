//! StreamResponse: the announcement of a stream.

use super::super::EncodeError;
use super::{Header, frame};

frame! {
    /// Answers the oldest StreamRequest of the connection that has none. The stream's bytes follow **behind**
    /// the frame, and nothing goes between.
    StreamResponse<'a> {
        /// As in the request; clients do not look at it.
        stream_id: &'a str,
        /// The length of the body behind the frame, in bytes; may be 0.
        byte_count: u64,
    }
}

impl StreamResponse<'_> {
    /// The length of the frame, without the body behind it, in bytes.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        super::PREFIX_LEN + self.fields_len()
    }

    /// Writes the frame to the front of `out` and returns its length. The body follows it on the wire.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        super::encode_head(self, self.byte_count, out)
    }
}
