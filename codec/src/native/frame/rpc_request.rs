//! RpcRequest: a request that wants a reply.

use super::super::{Flags, FrameError, Header, Kind};
use super::check_first_slice;

/// A request, with the first slice of its body. Answered by one RpcReply or RpcFailure of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcRequest {
    /// Chosen by the initiator, unique among its outstanding requests.
    pub id: u64,
    /// The bytes of the whole body, over all its slices.
    pub total_len: u64,
    /// Time for which the answer is useful, in µs from now; 0 for no deadline.
    pub deadline_us: u32,
}

impl RpcRequest {
    /// The header in front of a first slice of `body_len` bytes; MORE is set if that is not all.
    #[inline(always)]
    pub const fn header(&self, body_len: u32) -> Header {
        let mut header = Header::new(Kind::RpcRequest, self.id);
        header.flags = Flags::NONE.with_if(Flags::MORE, self.total_len > body_len as u64);
        header.body_len = body_len;
        header.arg = self.total_len;
        header.aux = self.deadline_us;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::Inconsistent`] if total_len, body_len and MORE do not fit together,
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline(always)]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::RpcRequest)?;
        check_first_slice(header)?;
        Ok(Self {
            id: header.id,
            total_len: header.arg,
            deadline_us: header.aux,
        })
    }
}
