//! StreamFailure: why there is no stream.

use super::super::EncodeError;
use super::{Header, frame};

frame! {
    /// Answers the oldest StreamRequest of the connection that has none.
    StreamFailure<'a> {
        /// As in the request; clients do not look at it.
        stream_id: &'a str,
        /// Why: for Spark's clients, Java's text of an exception.
        error: &'a str,
    }
}

impl StreamFailure<'_> {
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
