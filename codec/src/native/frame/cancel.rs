//! Cancel: the initiator retracts its request.

use super::super::{FrameError, Header, Kind};

/// Retracts a request of any kind. The responder stops its work and its slices; it may still answer, for an
/// answer can cross the cancel on its way, and the initiator drops what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The request's id.
    pub id: u64,
}

impl Cancel {
    /// The header, which is the whole frame.
    #[inline]
    pub const fn header(&self) -> Header {
        Header::new(Kind::Cancel, self.id)
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::WrongKind`] for a header of another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::Cancel)?;
        Ok(Self { id: header.id })
    }
}
