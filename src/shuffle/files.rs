//! From a block to the bytes that are sent: index, data file, range. One of these per shard.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use ringrail_transport::buf::ManagedBuffer;

use super::block::{Block, FileName, MergedPart};
use super::error::ShuffleError;
use super::index_cache::IndexCache;
use super::resolve::{Layout, locate};
use super::roots::{LocalRoots, Place};

/// Finds blocks and opens their files (Spark: `ExternalShuffleBlockResolver`).
#[derive(Debug)]
pub(super) struct Files {
    indices: IndexCache,
    /// By path: files that are on their way out, or that a stream has.
    open: HashMap<Box<str>, Opened>,
    max_open: usize,
    place: Place,
}

#[derive(Debug)]
struct Opened {
    file: Weak<File>,
    /// Device and inode: what tells it from one that has been put in its place.
    id: (u64, u64),
}

/// A block's bytes, and the file they lie in if there is one.
pub(super) struct Found {
    pub(super) data: ManagedBuffer,
    pub(super) file: Option<Arc<File>>,
}

/// As many files are open as may be.
#[derive(Debug)]
pub(super) struct Full;

impl Files {
    pub(super) fn new(index_budget: usize, max_open: usize) -> Self {
        Self {
            indices: IndexCache::new(index_budget),
            open: HashMap::new(),
            max_open,
            place: Place::default(),
        }
    }

    /// Bytes of the index files that are held.
    pub(super) fn index_len(&self) -> usize {
        self.indices.len()
    }

    /// Makes room in the table of open files, after streams have let some go.
    pub(super) fn purge(&mut self) -> Result<(), Full> {
        self.open.retain(|_, it| it.file.strong_count() > 0);
        if self.open.len() < self.max_open {
            Ok(())
        } else {
            Err(Full)
        }
    }

    /// Files that may be open.
    pub(super) fn max_open(&self) -> usize {
        self.max_open
    }

    /// Whether another file can be opened without a [`purge`](Self::purge).
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < self.max_open
    }

    /// Finds a block in directories that it may lie in: of its executor, or of merged files.
    ///
    /// # Errors
    /// There is no such block, or its files are damaged.
    pub(super) fn find(
        &mut self,
        roots: &LocalRoots,
        (layout, app): (&Layout, &str),
        block: Block,
    ) -> Result<Found, ShuffleError> {
        match block {
            Block::Merged {
                shuffle,
                merge,
                reduce,
                chunk,
            } => {
                let name = |part| FileName::Merged {
                    app,
                    shuffle,
                    merge,
                    reduce,
                    part,
                };
                locate(layout, &name(MergedPart::Index), &mut self.place);
                let range = (chunk, chunk.saturating_add(1));
                let range = self.indices.range(roots, &self.place, range)?;
                locate(layout, &name(MergedPart::Data), &mut self.place);
                self.part(roots, range)
            }
            Block::Rdd { rdd, split } => {
                locate(layout, &FileName::Rdd { rdd, split }, &mut self.place);
                let (file, len) = self.open(roots)?;
                let data = ManagedBuffer::file(Arc::clone(&file), 0, len);
                let file = Some(file);
                Ok(Found { data, file })
            }
            Block::Shuffle {
                shuffle,
                map,
                first,
                end,
            } => {
                locate(layout, &FileName::Index { shuffle, map }, &mut self.place);
                let range = self.indices.range(roots, &self.place, (first, end))?;
                locate(layout, &FileName::Data { shuffle, map }, &mut self.place);
                self.part(roots, range)
            }
        }
    }

    /// What a merged partition is made of: the number of its chunks, and a bitmap of maps for each (Spark:
    /// `MergedBlockMeta`).
    ///
    /// # Errors
    /// There is no such partition.
    pub(super) fn merged_meta(
        &mut self,
        roots: &LocalRoots,
        (layout, app): (&Layout, &str),
        (shuffle, merge, reduce): (u32, u32, u32),
    ) -> Result<(u32, ManagedBuffer), ShuffleError> {
        let name = |part| FileName::Merged {
            app,
            shuffle,
            merge,
            reduce,
            part,
        };
        locate(layout, &name(MergedPart::Index), &mut self.place);
        let index = roots.look(&self.place);
        let index = index.map_err(|errno| self.failed(errno.into()))?;
        // The first entry is where the first chunk begins.
        let chunks = (index.st_size as u64 / 8).saturating_sub(1);
        let chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        locate(layout, &name(MergedPart::Meta), &mut self.place);
        let (file, len) = self.open(roots)?;
        Ok((chunks, ManagedBuffer::file(file, 0, len)))
    }

    /// A part of the file that was located. Where all of a map's partitions are empty there is no file.
    fn part(&mut self, roots: &LocalRoots, (from, to): (u64, u64)) -> Result<Found, ShuffleError> {
        if from == to {
            let data = ManagedBuffer::from(Bytes::new());
            return Ok(Found { data, file: None });
        }
        let (file, have) = self.open(roots)?;
        if to > have {
            return Err(ShuffleError::Truncated {
                path: self.place.path().to_owned(),
                need: to,
                have,
            });
        }
        let data = ManagedBuffer::file(Arc::clone(&file), from, to - from);
        let file = Some(file);
        Ok(Found { data, file })
    }

    /// Opens the file that was located, or takes it from those who have it open, if it is still the one that lies
    /// there; and its length.
    fn open(&mut self, roots: &LocalRoots) -> Result<(Arc<File>, u64), ShuffleError> {
        if let Some(opened) = self.open.get(self.place.path())
            && let Some(file) = opened.file.upgrade()
            && let Ok(stat) = roots.look(&self.place)
            && opened.id == (stat.st_dev, stat.st_ino)
        {
            return Ok((file, stat.st_size as u64));
        }
        let opened = roots.open_file(&self.place);
        let (file, stat) = opened.map_err(|errno| self.failed(errno.into()))?;
        let file = Arc::new(file);
        let opened = Opened {
            file: Arc::downgrade(&file),
            id: (stat.st_dev, stat.st_ino),
        };
        self.open.insert(self.place.path().into(), opened);
        Ok((file, stat.st_size as u64))
    }

    #[cold]
    fn failed(&self, source: io::Error) -> ShuffleError {
        ShuffleError::Open {
            path: self.place.path().to_owned(),
            source,
        }
    }
}
