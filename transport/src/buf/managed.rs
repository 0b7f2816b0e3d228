//! What can be served: memory, a part of a file, a part of a mapped file.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{Body, Lease, MapSlice, Mapping};

/// A part of a file, sent by `sendfile` where it lies in memory, is long enough
/// (`ringrail.transport.sendfileMin`), and its connection has neither checksums nor encryption.
///
/// A CRC32C is computed over bytes that have been read, so on a connection with checksums
/// ([`TransportConf::checksum`](crate::TransportConf::checksum): by default on those that leave this
/// host) a file is read into pooled memory and sent from there.
#[derive(Clone, Debug)]
pub struct FileSegment {
    /// The file; its own position is not used.
    pub file: Arc<File>,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// The whole file mapped, if it is: small parts that lie in memory then leave in a gathered
    /// send from there, which beats both a read and `sendfile`.
    pub mapping: Option<Arc<Mapping>>,
}

/// Data to be served (Spark: `ManagedBuffer` and its `FileSegmentManagedBuffer`,
/// `NioManagedBuffer`, `NettyManagedBuffer`).
///
/// Cloning shares; nothing is read or copied before it is sent.
#[derive(Clone, Debug)]
pub enum ManagedBuffer {
    /// Memory: a pooled lease, [`Bytes`], or a part of a mapped file.
    Memory(Body),
    /// A part of a file.
    File(FileSegment),
}

impl ManagedBuffer {
    /// A part of a file. See [`FileSegment`] for when it leaves by `sendfile`: never on a connection with
    /// checksums.
    pub fn file(file: Arc<File>, offset: u64, len: u64) -> Self {
        let mapping = None;
        ManagedBuffer::File(FileSegment {
            file,
            offset,
            len,
            mapping,
        })
    }

    /// A part of a file that is mapped as a whole. See [`FileSegment`] for when it leaves by `sendfile`;
    /// shorter parts are sent from the mapping. Neither happens on a connection with checksums.
    ///
    /// Only the kernel reads the mapping. Where the file is shortened while a part of it is being
    /// sent, the connection ends: what was promised cannot be sent any more.
    pub fn mapped_file(file: Arc<File>, mapping: Arc<Mapping>, offset: u64, len: u64) -> Self {
        let mapping = Some(mapping);
        ManagedBuffer::File(FileSegment {
            file,
            offset,
            len,
            mapping,
        })
    }

    /// A whole file, as long as it is now.
    ///
    /// # Errors
    /// What `fstat` reports.
    pub fn whole_file(file: Arc<File>) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self::file(file, 0, len))
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        match self {
            ManagedBuffer::Memory(body) => body.len() as u64,
            ManagedBuffer::File(segment) => segment.len,
        }
    }

    /// True for no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of it.
    ///
    /// # Panics
    /// Where the range reaches beyond the end.
    pub fn slice(&self, offset: u64, len: u64) -> Self {
        let end = offset.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len()),
            "{offset}+{len} of {}",
            self.len()
        );
        match self {
            ManagedBuffer::Memory(body) => {
                ManagedBuffer::Memory(body.slice(offset as usize..(offset + len) as usize))
            }
            ManagedBuffer::File(segment) => {
                let offset = segment.offset + offset;
                ManagedBuffer::File(FileSegment {
                    offset,
                    len,
                    ..segment.clone()
                })
            }
        }
    }
}

impl From<Bytes> for ManagedBuffer {
    fn from(bytes: Bytes) -> Self {
        ManagedBuffer::Memory(bytes.into())
    }
}

impl From<Lease> for ManagedBuffer {
    fn from(lease: Lease) -> Self {
        ManagedBuffer::Memory(lease.into())
    }
}

impl From<MapSlice> for ManagedBuffer {
    fn from(slice: MapSlice) -> Self {
        ManagedBuffer::Memory(Body::Mapped(slice))
    }
}
