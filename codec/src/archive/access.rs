//! Reading: [`access`] gives a typed view over received bytes, [`decode`] an owned value.

use std::any::type_name;
use std::num::NonZeroUsize;

use rkyv::api::access_with_context;
use rkyv::api::high::{HighDeserializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::util::AlignedVec;
use rkyv::validation::Validator;
use rkyv::validation::archive::ArchiveValidator;
use rkyv::validation::shared::SharedValidator;
use rkyv::{Archive, Deserialize};

use crate::native::ALIGN;

/// How deep an archive may nest (boxes in boxes, vectors in vectors), its root counted. The validation
/// recurses, so without a bound a peer could overflow this side's stack with a long linked list.
pub const MAX_DEPTH: usize = 128;

/// A type whose archive can be received: every `#[derive(Archive)]` type has it (rkyv derives the check).
pub trait Body: Archive<Archived: for<'a> CheckBytes<HighValidator<'a, Error>>> {}

impl<T> Body for T where T: Archive<Archived: for<'a> CheckBytes<HighValidator<'a, Error>>> {}

/// A body that is not a valid archive. It fails the request with
/// [`FailureCode::BadArchive`](crate::native::FailureCode::BadArchive), not the connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The bytes do not begin on a 16-byte boundary. An error of the caller, not of the peer: copy them
    /// into an aligned buffer first.
    #[error(
        "the archive begins {off} bytes behind a {ALIGN}-byte boundary; read it in an aligned buffer"
    )]
    Misaligned {
        /// The distance from the boundary in bytes.
        off: usize,
    },
    /// The bytes are not an archive of the type.
    #[error("{len} bytes are not a valid archive of {type_name}: {reason}")]
    Invalid {
        /// The Rust name of the type expected.
        type_name: &'static str,
        /// The length of the bytes.
        len: usize,
        /// The validator's error.
        reason: Error,
    },
}

/// Validates `bytes` as an archive of `T` and returns the view of it; nothing is copied.
///
/// # Errors
/// [`ArchiveError::Misaligned`] if `bytes` does not begin on a 16-byte boundary, [`ArchiveError::Invalid`]
/// if it is not an archive of `T`, nests deeper than [`MAX_DEPTH`] or points out of itself.
///
/// ```
/// use ringrail_codec::archive::{access, encode_into};
/// #[repr(align(16))]
/// struct Aligned([u8; 64]);
/// let mut buf = Aligned([0; 64]);
/// let len = encode_into(&("total".to_string(), 7u64), &mut buf.0)?;
/// let view = access::<(String, u64)>(&buf.0[..len])?;
/// assert_eq!((view.0.as_str(), view.1.to_native()), ("total", 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn access<T: Body>(bytes: &[u8]) -> Result<&T::Archived, ArchiveError> {
    const {
        assert!(
            align_of::<T::Archived>() <= ALIGN,
            "a message's archive needs more alignment than frames give"
        );
    }
    let off = bytes.as_ptr().addr() % ALIGN;
    // No bytes (the archive of `()`) lie nowhere; an empty buffer's address means nothing.
    if off != 0 && !bytes.is_empty() {
        return Err(ArchiveError::Misaligned { off });
    }
    // rkyv's bound is the first depth that it refuses.
    let depth = const { NonZeroUsize::new(MAX_DEPTH + 1) };
    let mut context = Validator::new(
        ArchiveValidator::with_max_depth(bytes, depth),
        SharedValidator::new(),
    );
    access_with_context::<T::Archived, _, Error>(bytes, &mut context)
        .map_err(|reason| invalid::<T>(bytes.len(), reason))
}

#[cold]
fn invalid<T>(len: usize, reason: Error) -> ArchiveError {
    ArchiveError::Invalid {
        type_name: type_name::<T>(),
        len,
        reason,
    }
}

/// Validates `bytes` and makes an owned value of them. Bytes that are not aligned are copied first, so this
/// is for paths that are not hot.
///
/// # Errors
/// [`ArchiveError::Invalid`] if `bytes` is not an archive of `T`.
pub fn decode<T>(bytes: &[u8]) -> Result<T, ArchiveError>
where
    T: Body,
    T::Archived: Deserialize<T, HighDeserializer<Error>>,
{
    let copy;
    let aligned = if bytes.as_ptr().addr().is_multiple_of(ALIGN) {
        bytes
    } else {
        let mut vec = AlignedVec::<ALIGN>::with_capacity(bytes.len());
        vec.extend_from_slice(bytes);
        copy = vec;
        &copy
    };
    rkyv::deserialize(access::<T>(aligned)?).map_err(|reason| invalid::<T>(bytes.len(), reason))
}
