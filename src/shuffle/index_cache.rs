//! Index files: what is in them, and those read lately, up to a budget.
//!
//! An index file is one offset more than there are partitions, each an i64 of Java (Spark:
//! `ShuffleIndexInformation`). An entry is good as long as the file at its path is the one that was read.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::Stat;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::error::ShuffleError;
use super::roots::{LocalRoots, Place, Wait};

/// First byte, and the end (exclusive).
pub(super) type Range = (u64, u64);

/// The result of a lookup in an index file.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) range: Range,
    /// All offsets of the file, if it is cached.
    pub(super) offsets: Option<Arc<[u64]>>,
    /// It had not been read before, or was another one then.
    pub(super) is_new: bool,
}

/// Bytes of an offset.
const OFFSET_LEN: u64 = 8;

/// Cost of an entry in addition to its offsets and its path, in bytes.
const ENTRY_LEN: usize = 128;

/// Identifies one state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    len: i64,
    time: (i64, i64),
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Self {
        Self {
            file: (stat.st_dev, stat.st_ino),
            len: stat.st_size,
            time: (stat.st_mtime, stat.st_mtime_nsec as i64),
        }
    }
}

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    offsets: Arc<[u64]>,
}

/// The index files that one shard has read lately (Spark: `spark.shuffle.service.index.cache.size`).
///
/// Two generations: what is used moves to the young one, and when that has half the budget, what is left in the
/// old one goes. So the budget is never passed, and nothing is ever searched.
#[derive(Debug)]
pub(super) struct IndexCache {
    budget: usize,
    young: HashMap<Box<str>, Entry>,
    young_len: usize,
    old: HashMap<Box<str>, Entry>,
    old_len: usize,
}

impl IndexCache {
    /// An empty cache of at most `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            budget,
            young: HashMap::new(),
            young_len: 0,
            old: HashMap::new(),
            old_len: 0,
        }
    }

    /// Bytes it holds now.
    pub(super) fn len(&self) -> usize {
        self.young_len + self.old_len
    }

    /// The range of partitions `first` to before `end` in the data file, and all offsets, unless the file is too
    /// large to be cached.
    ///
    /// # Errors
    /// If the index file cannot be read, is damaged, or lacks these partitions; or if it is not in memory and
    /// `wait` forbids blocking.
    pub(super) fn range(
        &mut self,
        (roots, wait): (&LocalRoots, Wait),
        place: &Place,
        (first, end): (u32, u32),
    ) -> Result<Looked, ShuffleError> {
        let path = place.path();
        let failed = |errno: Errno| ShuffleError::of_file(path, errno.into(), wait);
        let seen = roots.look(place, wait).map_err(failed)?;
        if let Some(offsets) = self.cached(path, Stamp::from(&seen)) {
            return Ok(Looked {
                range: pick(path, &offsets, (first, end))?,
                offsets: Some(offsets),
                is_new: false,
            });
        }
        let (file, stat) = roots.open_file(place, wait).map_err(failed)?;
        let count = count_of(path, &stat)?;
        let cost = path.len() + ENTRY_LEN + (count * OFFSET_LEN) as usize;
        let file = Reader { file, path, wait };
        if cost > self.budget / 2 {
            return Ok(Looked {
                range: file.read_two(count, (first, end))?,
                offsets: None,
                is_new: true,
            });
        }
        let offsets: Arc<[u64]> = file.read(0, count)?.into();
        check(path, &offsets)?;
        let range = pick(path, &offsets, (first, end));
        let stamp = Stamp::from(&stat);
        let kept = Arc::clone(&offsets);
        self.keep(path.into(), Entry { stamp, offsets });
        Ok(Looked {
            range: range?,
            offsets: Some(kept),
            is_new: true,
        })
    }

    /// Takes over entries that another cache has read.
    pub(super) fn absorb(&mut self, other: IndexCache) {
        for (path, entry) in other.young.into_iter().chain(other.old) {
            self.remove_young(&path);
            self.remove_old(&path);
            self.keep(path, entry);
        }
    }

    fn remove_young(&mut self, path: &str) -> Option<(Box<str>, Entry)> {
        let (path, entry) = self.young.remove_entry(path)?;
        self.young_len -= cost(&path, &entry);
        Some((path, entry))
    }

    fn remove_old(&mut self, path: &str) -> Option<(Box<str>, Entry)> {
        let (path, entry) = self.old.remove_entry(path)?;
        self.old_len -= cost(&path, &entry);
        Some((path, entry))
    }

    fn cached(&mut self, path: &str, stamp: Stamp) -> Option<Arc<[u64]>> {
        if let Some(entry) = self.young.get(path) {
            if entry.stamp == stamp {
                return Some(Arc::clone(&entry.offsets));
            }
            self.remove_young(path);
            return None;
        }
        let (path, entry) = self.remove_old(path)?;
        if entry.stamp != stamp {
            return None;
        }
        let offsets = Arc::clone(&entry.offsets);
        self.keep(path, entry);
        Some(offsets)
    }

    fn keep(&mut self, path: Box<str>, entry: Entry) {
        let len = cost(&path, &entry);
        if self.young_len + len > self.budget / 2 {
            self.old = std::mem::take(&mut self.young);
            self.old_len = std::mem::take(&mut self.young_len);
        }
        self.young_len += len;
        self.young.insert(path, entry);
    }
}

fn cost(path: &str, entry: &Entry) -> usize {
    path.len() + ENTRY_LEN + size_of_val::<[u64]>(&entry.offsets)
}

fn damaged(path: &str, what: &'static str) -> ShuffleError {
    ShuffleError::BadIndex {
        path: path.to_owned(),
        what,
    }
}

/// The number of offsets that a file has.
fn count_of(path: &str, stat: &Stat) -> Result<u64, ShuffleError> {
    let len = stat.st_size as u64;
    if len == 0 || !len.is_multiple_of(OFFSET_LEN) {
        return Err(damaged(path, "its length is not that of whole offsets"));
    }
    Ok(len / OFFSET_LEN)
}

/// An index file that is read.
struct Reader<'a> {
    file: File,
    path: &'a str,
    wait: Wait,
}

impl Reader<'_> {
    /// Reads offsets; they are not negative.
    fn read(&self, from: u64, count: u64) -> Result<Vec<u64>, ShuffleError> {
        let mut bytes = vec![0; (count * OFFSET_LEN) as usize];
        self.fill(&mut bytes, from * OFFSET_LEN)
            .map_err(|source| ShuffleError::of_file(self.path, source, self.wait))?;
        let (words, _) = bytes.as_chunks::<8>();
        let offset = |word: &[u8; 8]| u64::try_from(i64::from_be_bytes(*word)).ok();
        let damaged = || damaged(self.path, "an offset is negative");
        words
            .iter()
            .map(|word| offset(word).ok_or_else(damaged))
            .collect()
    }

    /// Reads all of `bytes`; without permission to block, only the part in memory.
    fn fill(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        if self.wait == Wait::Allowed {
            return self.file.read_exact_at(bytes, at);
        }
        let len = bytes.len();
        let slices = &mut [IoSliceMut::new(bytes)];
        match preadv2(&self.file, slices, at, ReadWriteFlags::NOWAIT) {
            Ok(count) if count == len => Ok(()),
            // The rest is not in memory, or beyond the end; or this file system cannot tell.
            Ok(_) | Err(Errno::OPNOTSUPP) => Err(io::ErrorKind::WouldBlock.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads only the two offsets needed, of a file that would fill the cache.
    fn read_two(&self, count: u64, (first, end): (u32, u32)) -> Result<(u64, u64), ShuffleError> {
        in_range(self.path, count, (first, end))?;
        let at = |index: u32| self.read(u64::from(index), 1).map(|offsets| offsets[0]);
        let range = (at(first)?, at(end)?);
        check(self.path, &[range.0, range.1])?;
        Ok(range)
    }
}

fn check(path: &str, offsets: &[u64]) -> Result<(), ShuffleError> {
    if offsets.is_sorted() {
        return Ok(());
    }
    Err(damaged(path, "its offsets go backwards"))
}

fn in_range(path: &str, count: u64, (first, end): (u32, u32)) -> Result<(), ShuffleError> {
    if first <= end && u64::from(end) < count {
        return Ok(());
    }
    Err(ShuffleError::NoSuchPartition {
        path: path.to_owned(),
        first,
        end,
        have: count - 1,
    })
}

fn pick(path: &str, offsets: &[u64], range: (u32, u32)) -> Result<(u64, u64), ShuffleError> {
    in_range(path, offsets.len() as u64, range)?;
    Ok((offsets[range.0 as usize], offsets[range.1 as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    struct Dir {
        dir: tempfile::TempDir,
        roots: LocalRoots,
        path: PathBuf,
    }

    impl Dir {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let roots = LocalRoots::open(&[dir.path().to_owned()]).unwrap();
            let path = dir.path().join("00");
            fs::create_dir(&path).unwrap();
            Self { dir, roots, path }
        }

        fn path(&self) -> &Path {
            &self.path
        }

        fn write(&self, name: &str, offsets: &[i64]) {
            let bytes: Vec<u8> = offsets.iter().flat_map(|o| o.to_be_bytes()).collect();
            fs::write(self.path().join(name), bytes).unwrap();
        }

        fn range(
            &self,
            cache: &mut IndexCache,
            name: &str,
            range: (u32, u32),
        ) -> Result<(u64, u64), ShuffleError> {
            let dir = self.dir.path().to_str().unwrap();
            let dir = self.roots.local_dir(dir).unwrap();
            let mut place = Place::default();
            place.write_name(&name);
            place.enter(&dir);
            place.push_name(0);
            let found = cache.range((&self.roots, Wait::Allowed), &place, range);
            found.map(|looked| looked.range)
        }
    }

    #[test]
    fn the_budget_is_never_passed_and_what_is_used_stays() {
        let dir = Dir::new();
        let budget = 10_000;
        let mut cache = IndexCache::new(budget);
        dir.write("hot", &[0, 11, 22]);
        for number in 0..200 {
            let name = format!("i{number}");
            dir.write(&name, &vec![5; 40]);
            assert_eq!(dir.range(&mut cache, &name, (0, 39)).unwrap(), (5, 5));
            assert_eq!(dir.range(&mut cache, "hot", (0, 2)).unwrap(), (0, 22));
            assert!(cache.len() <= budget, "{}", cache.len());
            let held = cache.young.len() + cache.old.len();
            assert!(held <= budget / (ENTRY_LEN + 24), "{held} entries");
            let hot = |path: &str| path.ends_with("/hot");
            assert!(
                cache
                    .young
                    .keys()
                    .chain(cache.old.keys())
                    .any(|path| hot(path))
            );
        }
        assert!(cache.len() > budget / 4, "it does keep something");
    }

    #[test]
    fn a_file_that_was_replaced_is_read_again() {
        let dir = Dir::new();
        let mut cache = IndexCache::new(10_000);
        dir.write("i", &[0, 10]);
        assert_eq!(dir.range(&mut cache, "i", (0, 1)).unwrap(), (0, 10));
        dir.write("new", &[0, 77]);
        fs::rename(dir.path().join("new"), dir.path().join("i")).unwrap();
        assert_eq!(dir.range(&mut cache, "i", (0, 1)).unwrap(), (0, 77));
        fs::remove_file(dir.path().join("i")).unwrap();
        assert!(dir.range(&mut cache, "i", (0, 1)).is_err());
    }

    #[test]
    fn a_file_larger_than_the_cache_is_read_where_it_is_needed() {
        let dir = Dir::new();
        let mut cache = IndexCache::new(1000);
        let offsets: Vec<i64> = (0..100_000).collect();
        dir.write("huge", &offsets);
        assert_eq!(
            dir.range(&mut cache, "huge", (99_990, 99_999)).unwrap(),
            (99_990, 99_999)
        );
        assert!(dir.range(&mut cache, "huge", (0, 100_000)).is_err());
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn damaged_files_are_refused() {
        let dir = Dir::new();
        let mut cache = IndexCache::new(10_000);
        for (offsets, text) in [
            (&[0, 5, 3][..], "backwards"),
            (&[0, -1, 3], "negative"),
            (&[i64::MIN], "negative"),
            (&[], "length"),
        ] {
            dir.write("bad", offsets);
            let error = dir
                .range(&mut cache, "bad", (0, 1))
                .unwrap_err()
                .to_string();
            assert!(error.contains(text), "{error}");
        }
        fs::write(dir.path().join("bad"), [0; 15]).unwrap();
        let error = dir
            .range(&mut cache, "bad", (0, 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains("length"), "{error}");
        assert_eq!(cache.len(), 0);
    }
}
