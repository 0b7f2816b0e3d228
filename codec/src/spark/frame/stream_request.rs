//! StreamRequest: asks for a named stream.

use super::super::EncodeError;
use super::{Header, frame};

frame! {
    /// Asks for a stream by name. The answers of a connection come in the order of its requests: nothing else
    /// tells them apart.
    StreamRequest<'a> {
        /// The stream's name; `<stream>_<chunk>` for a chunk.
        stream_id: &'a str,
    }
}

impl StreamRequest<'_> {
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
