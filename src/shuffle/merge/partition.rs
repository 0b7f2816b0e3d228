//! One merged partition while it is being merged: blocks are appended, chunks are noted (Spark:
//! `AppShufflePartitionInfo`).
//!
//! ```text
//! data    block of map 3 │ block of map 0 │ block of map 7 │ …       written behind the last whole block
//! index   0              │                  end of chunk 0 │ …       i64 of Java each
//! meta                                   {0, 3, 7} of chunk 0 │ …    RoaringBitmaps
//! ```
//!
//! A block counts when the whole of it is written; what a failure leaves behind it is overwritten by the next, or cut
//! off in the end. The same holds for index and meta file. Files are open only while they are written: a service has
//! more partitions than descriptors.

use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;

use roaring::RoaringBitmap;

use super::super::block::MergedPart;

/// Opens the files of a partition for writing; creates them, empty, if the second argument is true.
pub(super) type Open<'a> = &'a dyn Fn(MergedPart, bool) -> io::Result<std::fs::File>;

/// The event that ended the merging of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Finalized: later blocks come too late.
    Finalized,
    /// A later merge of the shuffle has begun, or the files were deleted.
    Superseded,
    /// A later attempt of the application has begun.
    OldAttempt,
}

/// The result of appending a block.
#[derive(Debug)]
pub(super) enum Appended {
    /// It was written to the file.
    Merged,
    /// It was already in the file.
    Duplicate,
    /// The merging has ended.
    Closed(Closed),
    /// The disk has failed too often.
    Aborted,
    /// The disk has failed.
    Failed(io::Error),
}

/// The final state of a partition.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) maps: RoaringBitmap,
    pub(super) len: u64,
}

/// How partitions are merged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// A chunk ends with the block that makes it as long as this.
    pub(super) min_chunk_len: u64,
    /// Merging stops after more failures than these.
    pub(super) max_io_errors: u32,
}

/// A partition that is being merged.
#[derive(Debug, Default)]
pub(super) struct Partition {
    made: bool,
    closed: Option<Closed>,
    /// Of whole blocks, and of whole chunks.
    data_len: u64,
    chunks_len: u64,
    index_len: u64,
    meta_len: u64,
    /// Maps whose blocks are in the file, and of these in the chunk that has not ended.
    maps: RoaringBitmap,
    chunk: RoaringBitmap,
    io_errors: u32,
}

impl Partition {
    /// Appends a block.
    pub(super) fn append<P: Deref<Target = [u8]>>(
        &mut self,
        map: u32,
        parts: &[P],
        rules: Rules,
        open: Open<'_>,
    ) -> Appended {
        if let Some(closed) = self.closed {
            return Appended::Closed(closed);
        }
        if self.maps.contains(map) {
            return Appended::Duplicate;
        }
        if self.io_errors > rules.max_io_errors {
            return Appended::Aborted;
        }
        let end = match self.write(parts, open) {
            Ok(end) => end,
            Err(error) => {
                self.io_errors += 1;
                return Appended::Failed(error);
            }
        };
        self.data_len = end;
        self.maps.insert(map);
        self.chunk.insert(map);
        // A chunk that cannot be ended continues, and the next block ends it.
        if end - self.chunks_len >= rules.min_chunk_len && self.end_chunk(open).is_err() {
            self.io_errors += 1;
        }
        Appended::Merged
    }

    /// Appends a block; returns its end.
    fn write<P: Deref<Target = [u8]>>(&mut self, parts: &[P], open: Open<'_>) -> io::Result<u64> {
        if !self.made {
            self.make(open)?;
        }
        let file = open(MergedPart::Data, false)?;
        let mut at = self.data_len;
        for part in parts {
            file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        Ok(at)
    }

    /// Makes the files. The index begins with the beginning of the first chunk.
    fn make(&mut self, open: Open<'_>) -> io::Result<()> {
        open(MergedPart::Data, true)?;
        open(MergedPart::Meta, true)?;
        open(MergedPart::Index, true)?.write_all_at(&[0; 8], 0)?;
        self.index_len = 8;
        self.made = true;
        Ok(())
    }

    /// Ends a chunk with the last whole block: writes the meta file first, then the index.
    fn end_chunk(&mut self, open: Open<'_>) -> io::Result<()> {
        let mut maps = Vec::with_capacity(self.chunk.serialized_size());
        self.chunk.serialize_into(&mut maps)?;
        open(MergedPart::Meta, false)?.write_all_at(&maps, self.meta_len)?;
        let end = (self.data_len as i64).to_be_bytes();
        open(MergedPart::Index, false)?.write_all_at(&end, self.index_len)?;
        self.meta_len += maps.len() as u64;
        self.index_len += 8;
        self.chunks_len = self.data_len;
        self.chunk.clear();
        Ok(())
    }

    /// Ends the merging: the last chunk is ended, and what belongs to none is cut off. `None` where nothing was
    /// merged, or what was cannot be used.
    ///
    /// Maps whose blocks are in a chunk that could not be ended do not count.
    pub(super) fn finalize(&mut self, open: Open<'_>) -> Option<Merged> {
        self.closed = Some(Closed::Finalized);
        if self.data_len != self.chunks_len && self.end_chunk(open).is_err() {
            self.maps -= &self.chunk;
        }
        if self.maps.is_empty() || self.cut(open).is_err() {
            return None;
        }
        Some(Merged {
            maps: std::mem::take(&mut self.maps),
            len: self.chunks_len,
        })
    }

    fn cut(&self, open: Open<'_>) -> io::Result<()> {
        open(MergedPart::Data, false)?.set_len(self.chunks_len)?;
        open(MergedPart::Index, false)?.set_len(self.index_len)?;
        open(MergedPart::Meta, false)?.set_len(self.meta_len)
    }

    /// Ends the merging without a result.
    pub(super) fn close(&mut self, why: Closed) {
        self.closed = Some(why);
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
