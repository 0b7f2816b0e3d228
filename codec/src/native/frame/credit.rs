//! Credit: the receiver of a bulk body lets its sender go on.

use super::super::{Flags, FrameError, Header, Kind};

/// Grants bytes to the sender of a bulk body. Grants add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The request's id.
    pub id: u64,
    /// The bytes granted on top of what was granted before; never 0.
    pub bytes: u64,
    /// The granting side. `false`: the request's initiator, for a chunk, a stream or a sliced reply.
    /// `true`: its responder, for an upload or a sliced request or one-way message.
    pub by_responder: bool,
}

impl Credit {
    /// The header, which is the whole frame.
    #[inline]
    pub const fn header(&self) -> Header {
        let mut header = Header::new(Kind::Credit, self.id);
        header.flags = Flags::NONE.with_if(Flags::REPLY, self.by_responder);
        header.arg = self.bytes;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::Inconsistent`] for a grant of 0 bytes, [`FrameError::WrongKind`] for a header of
    /// another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::Credit)?;
        if header.arg == 0 {
            return Err(header.inconsistent("a grant of 0 bytes"));
        }
        Ok(Self {
            id: header.id,
            bytes: header.arg,
            by_responder: header.flags.contains(Flags::REPLY),
        })
    }
}
