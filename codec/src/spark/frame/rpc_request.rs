//! RpcRequest: a request that wants an answer.

use super::super::{FrameTooLarge, Kind};
use super::{Header, frame};

frame! {
    /// A request; the rest of the frame is its body. Answered by an RpcResponse or an RpcFailure of the same
    /// id.
    RpcRequest {
        /// Chosen by the sender, unique among its outstanding requests; any number.
        request_id: i64,
    }
}

impl RpcRequest {
    /// The length of the frame in front of the body, in bytes.
    pub const HEAD_LEN: usize = 21;

    /// The head of a frame with a body of `body_len` bytes.
    ///
    /// # Errors
    /// [`FrameTooLarge`] if the frame would not be shorter than 2 GiB.
    #[inline]
    pub fn head(&self, body_len: u64) -> Result<[u8; Self::HEAD_LEN], FrameTooLarge> {
        super::head_before(Kind::RpcRequest, body_len, |out| {
            self.write_fields(out);
            // Readers do not look at it: the body is what is left of the frame.
            out.put(&(body_len as i32));
        })
    }
}
