//! ChunkFetchRequest: asks for a chunk.

use super::super::Kind;
use super::frame;

frame! {
    /// Asks for a whole chunk of a registered stream. Answered by a ChunkFetchSuccess or a ChunkFetchFailure
    /// of the same stream and chunk, so a connection can have one such request outstanding per chunk.
    ChunkFetchRequest {
        /// The stream that the chunk belongs to.
        stream_id: i64,
        /// Its number in the stream.
        chunk_index: i32,
    }
}

impl ChunkFetchRequest {
    /// The length of the frame in bytes.
    pub const LEN: usize = 21;

    /// The whole frame.
    #[inline]
    pub const fn encode(&self) -> [u8; Self::LEN] {
        let mut frame = [0; Self::LEN];
        let (prefix, fields) = frame.split_at_mut(super::PREFIX_LEN);
        prefix[7] = Self::LEN as u8;
        prefix[8] = Kind::ChunkFetchRequest as u8;
        let (stream_id, chunk_index) = fields.split_at_mut(8);
        stream_id.copy_from_slice(&self.stream_id.to_be_bytes());
        chunk_index.copy_from_slice(&self.chunk_index.to_be_bytes());
        frame
    }
}
