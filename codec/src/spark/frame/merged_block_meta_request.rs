//! MergedBlockMetaRequest: asks how a merged shuffle partition is made.

use super::super::EncodeError;
use super::{Header, frame};

frame! {
    /// Asks for the chunk bitmaps of a merged shuffle partition. Answered by a MergedBlockMetaSuccess or an
    /// RpcFailure of the same id.
    MergedBlockMetaRequest<'a> {
        /// Chosen by the sender, unique among its outstanding requests.
        request_id: i64,
        /// The application.
        app_id: &'a str,
        /// The shuffle.
        shuffle_id: i32,
        /// The attempt at merging the shuffle.
        shuffle_merge_id: i32,
        /// The partition.
        reduce_id: i32,
    }
}

impl MergedBlockMetaRequest<'_> {
    /// The length of the frame in bytes.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        super::PREFIX_LEN + self.fields_len()
    }

    /// Writes the whole frame to the front of `out` and returns its length.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        super::encode_head(self, 0, out)
    }
}
