//! From a block to the bytes that are sent: index, data file, range. One of these per shard, which never waits for
//! a disk, and one for each [lookup](super::lookup), which does.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use ringrail_transport::buf::ManagedBuffer;
use rustix::fs::fstat;

use super::block::{Block, FileName, MergedPart};
use super::error::ShuffleError;
use super::index_cache::{IndexCache, Looked};
use super::resolve::{Layout, locate};
use super::roots::{LocalRoots, Place, Wait};

/// Finds blocks and opens their files (Spark: `ExternalShuffleBlockResolver`).
#[derive(Debug)]
pub(super) struct Files {
    indices: IndexCache,
    /// By path: files that are on their way out, or that a stream has.
    open: HashMap<Box<str>, Weak<File>>,
    max_open: usize,
    /// Number of entries from which unused ones are removed.
    sweep_at: usize,
    place: Place,
    wait: Wait,
}

/// Number of unused entries that may stay.
const SWEEP_MIN: usize = 256;

/// A file, and its length.
type OpenFile = (Arc<File>, u64);

/// A block's bytes, and the output of a map they are a part of.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) data: ManagedBuffer,
    pub(super) output: Option<MapOutput>,
}

impl From<ManagedBuffer> for Found {
    fn from(data: ManagedBuffer) -> Self {
        Found { data, output: None }
    }
}

/// The output of a map as it was found: the next block often lies in it too, and needs no look at the disk then.
#[derive(Debug)]
pub(super) struct MapOutput {
    shuffle: u32,
    map: u64,
    offsets: Arc<[u64]>,
    file: Arc<File>,
    len: u64,
}

impl MapOutput {
    /// A block of it; `None` if it has no such block.
    pub(super) fn part(&self, block: Block) -> Option<ManagedBuffer> {
        let Block::Shuffle {
            shuffle,
            map,
            first,
            end,
        } = block
        else {
            return None;
        };
        if (shuffle, map) != (self.shuffle, self.map) || first > end {
            return None;
        }
        let from = *self.offsets.get(first as usize)?;
        let to = *self.offsets.get(end as usize)?;
        if to > self.len {
            return None;
        }
        Some(match to - from {
            0 => ManagedBuffer::from(Bytes::new()),
            len => ManagedBuffer::file(Arc::clone(&self.file), from, len),
        })
    }
}

/// As many files are open as may be.
#[derive(Debug)]
pub(super) struct Full;

impl Files {
    pub(super) fn new(index_budget: usize, max_open: usize, wait: Wait) -> Self {
        Self {
            indices: IndexCache::new(index_budget),
            open: HashMap::new(),
            max_open,
            sweep_at: SWEEP_MIN,
            place: Place::default(),
            wait,
        }
    }

    /// Takes over entries that other caches have found.
    pub(super) fn absorb(&mut self, other: Files) {
        self.indices.absorb(other.indices);
        self.open.extend(other.open);
    }

    /// Bytes of the index files that are held.
    pub(super) fn index_len(&self) -> usize {
        self.indices.len()
    }

    /// Frees places in the table of open files, after streams have closed some.
    pub(super) fn purge(&mut self) -> Result<(), Full> {
        self.sweep();
        if self.open.len() < self.max_open {
            Ok(())
        } else {
            Err(Full)
        }
    }

    /// Removes entries of closed files. Runs so rarely that the cost per opened file is small.
    fn sweep(&mut self) {
        self.open.retain(|_, file| file.strong_count() > 0);
        self.sweep_at = (self.open.len() * 2).max(SWEEP_MIN);
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
    /// If the block does not exist or its files are damaged; or if it is not in memory and blocking
    /// is not allowed.
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
                let looked = self.indices.range((roots, self.wait), &self.place, range)?;
                locate(layout, &name(MergedPart::Data), &mut self.place);
                let (data, _) = self.part(roots, &looked)?;
                Ok(Found::from(data))
            }
            Block::Rdd { rdd, split } => {
                locate(layout, &FileName::Rdd { rdd, split }, &mut self.place);
                let (file, len) = self.open(roots)?;
                Ok(Found::from(ManagedBuffer::file(file, 0, len)))
            }
            Block::Shuffle {
                shuffle,
                map,
                first,
                end,
            } => {
                locate(layout, &FileName::Index { shuffle, map }, &mut self.place);
                let range = (first, end);
                let looked = self.indices.range((roots, self.wait), &self.place, range)?;
                locate(layout, &FileName::Data { shuffle, map }, &mut self.place);
                let (data, opened) = self.part(roots, &looked)?;
                let offsets = looked.offsets;
                let output = opened.zip(offsets).map(|((file, len), offsets)| MapOutput {
                    shuffle,
                    map,
                    offsets,
                    file,
                    len,
                });
                Ok(Found { data, output })
            }
        }
    }

    /// Metadata of a merged partition: the number of its chunks, and a bitmap of maps for each (Spark:
    /// `MergedBlockMeta`).
    ///
    /// # Errors
    /// If the partition does not exist.
    pub(super) fn merged_meta(
        &mut self,
        roots: &LocalRoots,
        (layout, app): (&Layout, &str),
        (shuffle, merge, reduce): (u32, u32, u32),
    ) -> Result<(i32, ManagedBuffer), ShuffleError> {
        let name = |part| FileName::Merged {
            app,
            shuffle,
            merge,
            reduce,
            part,
        };
        locate(layout, &name(MergedPart::Index), &mut self.place);
        let index = roots.look(&self.place, self.wait);
        let index = index.map_err(|errno| self.failed(errno.into()))?;
        // The first entry is the offset of the first chunk.
        let chunks = (index.st_size as u64 / 8).saturating_sub(1);
        let chunks = i32::try_from(chunks).unwrap_or(i32::MAX);
        locate(layout, &name(MergedPart::Meta), &mut self.place);
        let (file, len) = self.open(roots)?;
        Ok((chunks, ManagedBuffer::file(file, 0, len)))
    }

    /// A part of the located file, and the open file; no file if all of a map's partitions are empty. If the
    /// index was reloaded, the file is reopened too.
    fn part(
        &mut self,
        roots: &LocalRoots,
        looked: &Looked,
    ) -> Result<(ManagedBuffer, Option<OpenFile>), ShuffleError> {
        let (from, to) = looked.range;
        if from == to {
            return Ok((ManagedBuffer::from(Bytes::new()), None));
        }
        if looked.is_new {
            self.open.remove(self.place.path());
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
        Ok((data, Some((file, have))))
    }

    /// Opens the file that was located, or takes it from those who have it open, unless it has been deleted or
    /// another one put in its place; and its length.
    fn open(&mut self, roots: &LocalRoots) -> Result<OpenFile, ShuffleError> {
        if let Some(opened) = self.open.get(self.place.path())
            && let Some(file) = opened.upgrade()
            && let Ok(stat) = fstat(&file)
            && stat.st_nlink > 0
        {
            return Ok((file, stat.st_size as u64));
        }
        if self.open.len() >= self.sweep_at {
            self.sweep();
        }
        let opened = roots.open_file(&self.place, self.wait);
        let (file, stat) = opened.map_err(|errno| self.failed(errno.into()))?;
        let file = Arc::new(file);
        let path = self.place.path().into();
        self.open.insert(path, Arc::downgrade(&file));
        Ok((file, stat.st_size as u64))
    }

    #[cold]
    fn failed(&self, source: io::Error) -> ShuffleError {
        ShuffleError::of_file(self.place.path(), source, self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_nobody_has_are_forgotten_and_those_in_use_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let roots = LocalRoots::open(&[dir.path().to_owned()]).unwrap();
        let layout = Layout {
            dirs: vec![roots.local_dir(dir.path().to_str().unwrap()).unwrap()],
            sub_dirs: 1,
        };
        std::fs::create_dir(dir.path().join("00")).unwrap();
        let mut files = Files::new(0, usize::MAX, Wait::Allowed);
        let find = |split: u32, files: &mut Files| {
            let path = dir.path().join(format!("00/rdd_1_{split}"));
            std::fs::write(path, [1; 10]).unwrap();
            let block = Block::Rdd { rdd: 1, split };
            files.find(&roots, (&layout, "app"), block).unwrap().data
        };
        let held: Vec<_> = (0..100).map(|split| find(split, &mut files)).collect();
        for split in 100..2000 {
            drop(find(split, &mut files));
            assert!(files.open.len() <= SWEEP_MIN + 1, "{}", files.open.len());
        }
        let kept = files.open.values().filter(|file| file.strong_count() > 0);
        assert_eq!(kept.count(), held.len());
    }
}
