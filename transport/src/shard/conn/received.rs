//! Received data: a view of the receive buffer for handlers, and owned bytes for all others.

use std::fmt;
use std::ops::Deref;

use ringrail_codec::archive::{self, ArchiveError, Body as ArchiveBody};

use crate::buf::Lease;

/// A message body, borrowed from the buffer it was received into.
///
/// Read it in place, or [`keep`](Self::keep) it, which clones a reference count and copies nothing.
/// The bytes are aligned to 16, so an rkyv archive can be accessed in place.
#[derive(Clone, Copy)]
pub struct ReceivedBytes<'a> {
    bytes: &'a [u8],
    source: &'a Lease,
}

impl<'a> ReceivedBytes<'a> {
    /// `bytes` must be a part of `source`.
    pub(crate) fn new(bytes: &'a [u8], source: &'a Lease) -> Self {
        debug_assert!(bytes.is_empty() || source.as_ptr_range().contains(&bytes.as_ptr()));
        Self { bytes, source }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The buffer that contains them.
    pub(crate) fn source(&self) -> &'a Lease {
        self.source
    }

    /// Validates the bytes as an archive of a `T` and returns it in place, without a copy.
    ///
    /// # Errors
    /// If the bytes are not a valid archive of a `T`; the peer decides their content.
    pub fn access<T: ArchiveBody>(&self) -> Result<&'a T::Archived, ArchiveError> {
        checked::<T>(self.bytes)
    }

    /// Keeps the bytes beyond the handler's return, without a copy. The whole receive buffer is
    /// retained as long as the lease; copy small bytes that are kept for long.
    pub fn keep(&self) -> Lease {
        if self.bytes.is_empty() {
            return self.source.slice(0..0);
        }
        let start = self.bytes.as_ptr() as usize - self.source.as_ptr() as usize;
        self.source.slice(start..start + self.bytes.len())
    }
}

impl Deref for ReceivedBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for ReceivedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceivedBytes({} bytes)", self.bytes.len())
    }
}

/// An answer, owned: a view of pooled memory that converts into [`bytes::Bytes`] without a copy.
#[derive(Clone, Debug)]
pub struct Reply {
    lease: Lease,
}

impl Reply {
    pub(crate) fn new(lease: Lease) -> Self {
        Self { lease }
    }

    /// Validates the bytes as an archive of a `T` and returns it in place, without a copy.
    ///
    /// # Errors
    /// If the bytes are not a valid archive of a `T`.
    pub fn access<T: ArchiveBody>(&self) -> Result<&T::Archived, ArchiveError> {
        checked::<T>(&self.lease)
    }

    /// The memory itself.
    pub fn into_lease(self) -> Lease {
        self.lease
    }
}

impl Deref for Reply {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.lease
    }
}

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        &self.lease
    }
}

impl From<Reply> for bytes::Bytes {
    fn from(reply: Reply) -> Self {
        reply.lease.into()
    }
}

/// Reads an archive; an invalid one is counted by the current thread's shard, if there is one.
fn checked<T: ArchiveBody>(bytes: &[u8]) -> Result<&T::Archived, ArchiveError> {
    archive::access::<T>(bytes).inspect_err(|_| {
        if let Some(local) = crate::shard::handle::current() {
            local.metrics.errors_archive.increment();
        }
    })
}
