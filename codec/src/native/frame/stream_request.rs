//! StreamRequest: asks for a named stream.

use super::super::encode::NoRoom;
use super::super::{Field, FrameError, Header, Kind};

/// Asks for a stream by name, from an offset on. Answered by StreamData frames and a StreamEnd, or by a
/// StreamFailure, all of the same id. Spark's `StreamRequest`, matched by id and not by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRequest<'a> {
    /// Chosen by the initiator, unique among its outstanding requests.
    pub id: u64,
    /// Offset in the stream to begin at, in bytes; more than 0 to resume.
    pub offset: u64,
    /// Time for which the answer is useful, in µs from now; 0 for no deadline.
    pub deadline_us: u32,
    /// Bytes for which the initiator already holds memory. Credit frames grant more.
    pub credit: u64,
    /// The stream's name.
    pub name: &'a str,
}

impl<'a> StreamRequest<'a> {
    /// The length of the body in front of the name, in bytes.
    pub const FIXED_LEN: u32 = 16;

    /// The header in front of the body. A name beyond [`Limits::max_stream_name_len`] is refused by the
    /// peer, so check it before.
    ///
    /// [`Limits::max_stream_name_len`]: super::super::Limits::max_stream_name_len
    #[inline]
    pub const fn header(&self) -> Header {
        let mut header = Header::new(Kind::StreamRequest, self.id);
        header.body_len = self.body_len() as u32;
        header.arg = self.offset;
        header.aux = self.deadline_us;
        header
    }

    /// The length of the body in bytes.
    #[inline]
    pub const fn body_len(&self) -> usize {
        Self::FIXED_LEN as usize + self.name.len()
    }

    /// The part of the body in front of the name.
    #[inline]
    pub fn fixed(&self) -> [u8; 16] {
        let mut fixed = [0; 16];
        fixed[..8].copy_from_slice(&self.credit.to_le_bytes());
        fixed
    }

    /// Writes the body to the front of `out` and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then.
    pub fn encode_body(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let need = self.body_len();
        let room = out.len();
        let Some(out) = out.get_mut(..need) else {
            return Err(NoRoom { need, room });
        };
        let (fixed, name) = out.split_at_mut(Self::FIXED_LEN as usize);
        fixed.copy_from_slice(&self.fixed());
        name.copy_from_slice(self.name.as_bytes());
        Ok(need)
    }

    /// Reads header and body; the name stays where it is.
    ///
    /// # Errors
    /// [`FrameError::BodyLength`] for a body shorter than its fixed part, [`FrameError::NonZero`] if its
    /// reserved field is not 0, [`FrameError::NotUtf8`], [`FrameError::WrongKind`] for a header of another
    /// kind.
    pub fn from_header(header: &Header, body: &'a [u8]) -> Result<Self, FrameError> {
        const KIND: Kind = Kind::StreamRequest;
        header.expect(KIND)?;
        let Some((fixed, name)) = body.split_first_chunk::<16>() else {
            return Err(FrameError::BodyLength {
                kind: KIND,
                body_len: body.len(),
                expected: Self::FIXED_LEN as usize,
            });
        };
        let reserved = super::u64_at(fixed, 8);
        if reserved != 0 {
            return Err(FrameError::NonZero {
                kind: KIND,
                field: Field::Reserved,
                value: reserved,
            });
        }
        Ok(Self {
            id: header.id,
            offset: header.arg,
            deadline_us: header.aux,
            credit: super::u64_at(fixed, 0),
            name: std::str::from_utf8(name).map_err(|_| FrameError::NotUtf8 { kind: KIND })?,
        })
    }
}
