//! The bytes in front of a body that contains no headers.

use bytes::Bytes;
use ringrail_codec::native::FailureCode;
use ringrail_codec::spark::EncodeError;

use crate::error::RpcFailure;

/// The head of a body of Spark's protocol.
#[derive(Clone, Debug)]
pub(crate) enum Lead {
    /// A head of the usual length.
    Fixed([u8; 21]),
    /// A head of any other length.
    Long(Bytes),
}

impl Lead {
    pub(crate) fn fixed(head: &[u8; 21]) -> Self {
        Lead::Fixed(*head)
    }

    /// A head of `len` bytes, as `write` writes it.
    ///
    /// # Errors
    /// If `write` says that a field is too long for the protocol.
    pub(crate) fn written(
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<Self, RpcFailure> {
        let mut out = vec![0; len];
        let written = write(&mut out)
            .map_err(|error| RpcFailure::new(FailureCode::TooLarge, error.to_string()))?;
        assert_eq!(
            written, len,
            "a head has the length that it was measured to have"
        );
        Ok(Lead::Long(out.into()))
    }
}
