//! UploadStream: a request whose data is streamed.

use super::super::EncodeError;
use super::{Header, frame};

frame! {
    /// A request whose data follows **behind** the frame. Answered by an RpcResponse or an RpcFailure of the
    /// same id.
    UploadStream<'a> {
        /// Chosen by the sender, unique among its outstanding requests.
        request_id: i64,
        /// A description of the data; interpreted by the receiver's handler.
        meta: &'a [u8],
        /// The length of the body after the frame, in bytes; may be 0.
        byte_count: u64,
    }
}

impl UploadStream<'_> {
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
