//! StreamFailure: a StreamRequest failed.

use super::super::{FailureCode, FrameError, Header, Kind};
use super::{failure_header, read_failure};

/// The failure of a stream, before its first slice or after some of them.
///
/// The body is a [`FailureBody`](crate::archive::FailureBody) archive, or empty when the sender had nothing to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFailure {
    /// The request's id.
    pub id: u64,
    /// The kind of failure.
    pub code: FailureCode,
    /// Whether the same request may succeed if it is sent again.
    pub retryable: bool,
}

impl StreamFailure {
    /// The header in front of a failure body of `body_len` bytes.
    #[inline]
    pub const fn header(&self, body_len: u32) -> Header {
        let fields = (self.id, self.code, self.retryable);
        failure_header(Kind::StreamFailure, fields, body_len)
    }

    /// Reads the header's fields. The body is read by
    /// [`FailureBody::decode`](crate::archive::FailureBody::decode).
    ///
    /// # Errors
    /// [`FrameError::Inconsistent`] for the code 0, [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        let (id, code, retryable) = read_failure(Kind::StreamFailure, header)?;
        Ok(Self {
            id,
            code,
            retryable,
        })
    }
}
