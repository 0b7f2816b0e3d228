//! ChunkRequest: asks for a chunk of a registered stream.

use super::super::{Field, FrameError, HEADER_LEN, Header, Kind};

/// Asks for one chunk, or a range of it. Answered by ChunkData frames or a ChunkFailure of the same id.
/// Spark's `ChunkFetchRequest`, with a range, credit and a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRequest {
    /// Chosen by the initiator, unique among its outstanding requests.
    pub id: u64,
    /// The stream that the chunk belongs to.
    pub stream_id: u64,
    /// Index of the chunk in the stream.
    pub chunk_index: u32,
    /// Offset in the chunk to begin at, in bytes; more than 0 to resume.
    pub offset: u64,
    /// The most bytes wanted; [`ChunkRequest::TO_THE_END`] for all bytes from `offset` on.
    pub max_len: u64,
    /// Bytes for which the initiator already holds memory. Credit frames grant more.
    pub credit: u64,
    /// Time for which the answer is useful, in µs from now; 0 for no deadline.
    pub deadline_us: u32,
    /// The initiator verifies the answer by other means (a digest): its slices need no CRC.
    pub unsummed: bool,
}

/// The option that stands for [`ChunkRequest::unsummed`]; all others are reserved.
const UNSUMMED: u32 = 1 << 1;

impl ChunkRequest {
    /// The length of the body in bytes.
    pub const BODY_LEN: u32 = 32;
    /// The `max_len` that asks for everything from `offset` on.
    pub const TO_THE_END: u64 = u64::MAX;

    /// The header in front of [`ChunkRequest::body`].
    #[inline]
    pub const fn header(&self) -> Header {
        let mut header = Header::new(Kind::ChunkRequest, self.id);
        header.body_len = Self::BODY_LEN;
        header.arg = self.stream_id;
        header.aux = self.chunk_index;
        header
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> [u8; Self::BODY_LEN as usize] {
        let mut body = [0; Self::BODY_LEN as usize];
        body[0..8].copy_from_slice(&self.offset.to_le_bytes());
        body[8..16].copy_from_slice(&self.max_len.to_le_bytes());
        body[16..24].copy_from_slice(&self.credit.to_le_bytes());
        body[24..28].copy_from_slice(&self.deadline_us.to_le_bytes());
        let options = if self.unsummed { UNSUMMED } else { 0 };
        body[28..32].copy_from_slice(&options.to_le_bytes());
        body
    }

    /// The whole frame, which is always of this length.
    #[inline]
    pub fn encode(&self) -> [u8; HEADER_LEN + Self::BODY_LEN as usize] {
        let mut frame = [0; HEADER_LEN + Self::BODY_LEN as usize];
        frame[..HEADER_LEN].copy_from_slice(&self.header().encode());
        frame[HEADER_LEN..].copy_from_slice(&self.body());
        frame
    }

    /// Reads header and body.
    ///
    /// # Errors
    /// [`FrameError::BodyLength`] if the body is not of [`ChunkRequest::BODY_LEN`],
    /// [`FrameError::NonZero`] if a reserved option is set, [`FrameError::WrongKind`] for a header of
    /// another kind.
    #[inline]
    pub fn from_header(header: &Header, body: &[u8]) -> Result<Self, FrameError> {
        header.expect(Kind::ChunkRequest)?;
        let Some(body) = body.as_array::<{ Self::BODY_LEN as usize }>() else {
            return Err(FrameError::BodyLength {
                kind: Kind::ChunkRequest,
                body_len: body.len(),
                expected: Self::BODY_LEN as usize,
            });
        };
        let options = super::u32_at(body, 28);
        let reserved = options & !UNSUMMED;
        if reserved != 0 {
            return Err(FrameError::NonZero {
                kind: Kind::ChunkRequest,
                field: Field::Reserved,
                value: u64::from(reserved),
            });
        }
        Ok(Self {
            id: header.id,
            stream_id: header.arg,
            chunk_index: header.aux,
            offset: super::u64_at(body, 0),
            max_len: super::u64_at(body, 8),
            credit: super::u64_at(body, 16),
            deadline_us: super::u32_at(body, 24),
            unsummed: options & UNSUMMED != 0,
        })
    }
}
