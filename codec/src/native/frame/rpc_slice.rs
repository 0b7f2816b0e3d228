//! RpcSlice: the next part of an RPC body that is larger than one frame.

use super::super::{Flags, FrameError, Header, Kind};

/// The kind of body that an [`RpcSlice`] continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SliceOf {
    /// An RpcRequest of the sender.
    Request,
    /// The sender's RpcReply to a request of the receiver.
    Reply,
    /// A OneWay of the sender.
    OneWay,
}

/// A slice of a large RPC body; the first one travelled in the RpcRequest, RpcReply or OneWay itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcSlice {
    /// The id of the request or message.
    pub id: u64,
    /// The body that it continues.
    pub of: SliceOf,
    /// Offset of this slice in the whole body, in bytes.
    pub offset: u64,
    /// 1, 2, … in order.
    pub seq: u32,
    /// Whether more slices follow.
    pub more: bool,
}

impl RpcSlice {
    /// The header in front of a slice of `body_len` bytes.
    #[inline]
    pub const fn header(&self, body_len: u32) -> Header {
        let mut header = Header::new(Kind::RpcSlice, self.id);
        header.flags = match self.of {
            SliceOf::Request => Flags::NONE,
            SliceOf::Reply => Flags::REPLY,
            SliceOf::OneWay => Flags::ONE_WAY,
        }
        .with_if(Flags::MORE, self.more);
        header.body_len = body_len;
        header.arg = self.offset;
        header.aux = self.seq;
        header
    }

    /// Reads the header's fields.
    ///
    /// # Errors
    /// [`FrameError::Inconsistent`] for an empty slice, one of both a reply and a one-way, one that begins
    /// at 0 or has the number 0, or one that ends beyond 2^64; [`FrameError::WrongKind`] for a header of
    /// another kind.
    #[inline]
    pub fn from_header(header: &Header) -> Result<Self, FrameError> {
        header.expect(Kind::RpcSlice)?;
        let of = match (
            header.flags.contains(Flags::REPLY),
            header.flags.contains(Flags::ONE_WAY),
        ) {
            (false, false) => SliceOf::Request,
            (true, false) => SliceOf::Reply,
            (false, true) => SliceOf::OneWay,
            (true, true) => return Err(header.inconsistent("both REPLY and ONE_WAY")),
        };
        if header.body_len == 0 {
            return Err(header.inconsistent("an empty slice"));
        }
        if header.aux == 0 || header.arg == 0 {
            return Err(header.inconsistent("the first slice does not travel in an RpcSlice"));
        }
        if header.arg.checked_add(u64::from(header.body_len)).is_none() {
            return Err(header.inconsistent("the slice ends beyond 2^64"));
        }
        Ok(Self {
            id: header.id,
            of,
            offset: header.arg,
            seq: header.aux,
            more: header.flags.contains(Flags::MORE),
        })
    }
}
