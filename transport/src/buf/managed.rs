//! Data that can be served: memory, a part of a file, a part of a mapped file.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{BlockSums, Body, Lease, MapSlice, Mapping, Summed};

/// A part of a file, sent by `sendfile` where it lies in memory, is long enough
/// (`ringrail.transport.sendfileMin`), and its connection has no encryption.
///
/// A CRC32C is computed over bytes that have been read, so on a connection with checksums
/// ([`TransportConf::checksum`](crate::TransportConf::checksum): by default on those that leave this
/// host) a part of a file is read into pooled memory the first time that it is sent. Its sums are kept, by pieces
/// of [`GRANULE_LEN`](super::GRANULE_LEN) from the file's start on, and the next time it leaves as on a
/// connection without checksums, unless the file has changed: `docs/zero-copy.md` says what is believed.
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

/// A part of memory that does not change, with the sums of its block; made by [`ManagedBuffer::block`].
#[derive(Clone, Debug)]
pub struct SummedBody {
    block: Arc<Block>,
    /// Its offset in the block, in bytes.
    offset: u64,
    len: u64,
}

#[derive(Debug)]
struct Block {
    body: Body,
    sums: BlockSums,
}

impl SummedBody {
    /// The bytes, as the body of something to send.
    pub fn body(&self) -> Body {
        self.part(0, self.len)
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True for no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `len` bytes from `start` on.
    pub(crate) fn part(&self, start: u64, len: u64) -> Body {
        assert!(start + len <= self.len, "{start}+{len} of {}", self.len);
        let start = (self.offset + start) as usize;
        self.block.body.slice(start..start + len as usize)
    }

    /// Its offset in its block, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The sum of `bytes`, which are this body's from `at` on.
    pub(crate) fn sum(&self, at: u64, bytes: &[u8]) -> Summed {
        self.block.sums.fill(self.offset + at, bytes)
    }
}

/// Data to be served (Spark: `ManagedBuffer` and its `FileSegmentManagedBuffer`,
/// `NioManagedBuffer`, `NettyManagedBuffer`).
///
/// Cloning shares; nothing is read or copied before it is sent.
#[derive(Clone, Debug)]
pub enum ManagedBuffer {
    /// Memory: a pooled lease, [`Bytes`], or a part of a mapped file.
    Memory(Body),
    /// Memory whose checksums are kept: see [`block`](Self::block).
    Summed(SummedBody),
    /// A part of a file.
    File(FileSegment),
}

impl ManagedBuffer {
    /// Memory that is served more than once: its checksums are computed at most once each, when they are first
    /// needed, and live as long as this and all that is cut from it. Takes 1/8192 of the memory for them.
    ///
    /// Cut chunks from one such buffer by [`slice`](Self::slice), or clone it: buffers made from the same bytes
    /// twice do not share their sums. Mapped memory has none, for only the kernel reads it.
    ///
    /// ```
    /// use ringrail_transport::buf::ManagedBuffer;
    ///
    /// let block = ManagedBuffer::block(bytes::Bytes::from(vec![7; 1 << 20]));
    /// let chunk = block.slice(256 << 10, 64 << 10);
    /// assert_eq!(chunk.len(), 64 << 10);
    /// ```
    pub fn block(body: impl Into<Body>) -> Self {
        let body = body.into();
        if body.as_slice().is_none() {
            return ManagedBuffer::Memory(body);
        }
        let len = body.len() as u64;
        let sums = BlockSums::new(len);
        ManagedBuffer::Summed(SummedBody {
            block: Arc::new(Block { body, sums }),
            offset: 0,
            len,
        })
    }

    /// The bytes, where they lie in memory that user space may look at: not those of a file, mapped or not.
    pub fn as_slice(&self) -> Option<&[u8]> {
        match self {
            ManagedBuffer::Memory(body) => body.as_slice(),
            ManagedBuffer::Summed(summed) => {
                let (start, len) = (summed.offset as usize, summed.len as usize);
                let block = summed.block.body.as_slice();
                block.map(|bytes| &bytes[start..start + len])
            }
            ManagedBuffer::File(_) => None,
        }
    }

    /// A part of a file. See [`FileSegment`] for when it leaves by `sendfile`.
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
    /// shorter parts are sent from the mapping, under the same conditions.
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
    /// The error of `fstat`.
    pub fn whole_file(file: Arc<File>) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self::file(file, 0, len))
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        match self {
            ManagedBuffer::Memory(body) => body.len() as u64,
            ManagedBuffer::Summed(summed) => summed.len,
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
    /// If the range reaches beyond the end.
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
            ManagedBuffer::Summed(summed) => ManagedBuffer::Summed(SummedBody {
                block: Arc::clone(&summed.block),
                offset: summed.offset + offset,
                len,
            }),
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
