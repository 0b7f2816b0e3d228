//! Blocks in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ringrail_transport::buf::ManagedBuffer;

use super::{BlockStore, OpenBlock, StoreError, Visit};
use crate::block::{BlockId, Entry, EntryKind, Stamp};

/// Permission bits of blocks and directories that only exist in memory.
const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;

/// Blocks in memory, up to a budget (Spark: `MemoryStore`).
///
/// Directories are implied by the names of blocks. Blocks are shared, not copied: one that is
/// replaced or removed while it is being sent is sent as it was.
///
/// ```
/// use ringrail::block::{BlockId, BlockStore, MemoryStore};
///
/// let store = MemoryStore::new(1 << 20);
/// let id: BlockId = "rdd_0_7".parse().unwrap();
/// store.put(id.clone(), "seven").unwrap();
/// assert_eq!(store.open(&id).unwrap().data.len(), 5);
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    budget: u64,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    blocks: BTreeMap<BlockId, (ManagedBuffer, Stamp)>,
    used: u64,
    writes: u64,
}

impl MemoryStore {
    /// A store of at most `budget` bytes of blocks.
    pub fn new(budget: u64) -> Self {
        Self {
            budget,
            inner: RwLock::default(),
        }
    }

    /// Keeps a block, in place of one of that name.
    ///
    /// # Errors
    /// The budget would be passed; nothing has changed then.
    pub fn put(&self, id: BlockId, data: impl Into<Bytes>) -> Result<(), StoreError> {
        let data = data.into();
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = inner.blocks.get(&id).map_or(0, |(old, _)| old.len());
        let used = inner.used - replaced + data.len() as u64;
        if used > self.budget {
            return Err(StoreError::Busy {
                what: "the memory store",
                limit: self.budget,
                key: "its budget",
            });
        }
        inner.used = used;
        inner.writes += 1;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let stamp = Stamp {
            len: data.len() as u64,
            mode: FILE_MODE,
            mtime_s: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            mtime_ns: now.subsec_nanos(),
            version: inner.writes,
        };
        inner.blocks.insert(id, (ManagedBuffer::block(data), stamp));
        Ok(())
    }

    /// Removes a block; false if there was none.
    pub fn remove(&self, id: &BlockId) -> bool {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let Some((data, _)) = inner.blocks.remove(id) else {
            return false;
        };
        inner.used -= data.len();
        true
    }

    /// Bytes of all blocks.
    pub fn used(&self) -> u64 {
        self.inner
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .used
    }
}

impl BlockStore for MemoryStore {
    fn open(&self, id: &BlockId) -> Result<OpenBlock, StoreError> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        match inner.blocks.get(id) {
            Some((data, stamp)) => Ok(OpenBlock {
                data: data.clone(),
                stamp: *stamp,
            }),
            None => Err(StoreError::NotFound { id: id.clone() }),
        }
    }

    fn walk(&self, id: &BlockId, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        // Taken out first: `visit` may open blocks of this very store.
        let found = self.inside(id);
        if let [(path, stamp)] = &found[..]
            && path.is_empty()
        {
            return visit(file(path, *stamp));
        }
        if found.is_empty() && !id.is_root() {
            return Err(StoreError::NotFound { id: id.clone() });
        }
        visit(directory(b""))?;
        let mut last: Vec<u8> = Vec::new();
        for (path, stamp) in &found {
            for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                if !last.starts_with(&path[..=at]) {
                    visit(directory(&path[..at]))?;
                }
            }
            visit(file(path, *stamp))?;
            last.clone_from(path);
        }
        Ok(())
    }
}

impl MemoryStore {
    /// The block `id` itself, or those within it, by their names below it.
    fn inside(&self, id: &BlockId) -> Vec<(Vec<u8>, Stamp)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, stamp)) = inner.blocks.get(id) {
            return vec![(Vec::new(), *stamp)];
        }
        let below = |path: &[u8]| {
            if id.is_root() {
                return Some(path.to_vec());
            }
            Some(
                path.strip_prefix(id.as_bytes())?
                    .strip_prefix(b"/")?
                    .to_vec(),
            )
        };
        let from = (Bound::Included(id), Bound::Unbounded);
        let blocks = inner.blocks.range::<BlockId, _>(from);
        blocks
            .take_while(|(name, _)| name.as_bytes().starts_with(id.as_bytes()))
            .filter_map(|(name, (_, stamp))| Some((below(name.as_bytes())?, *stamp)))
            .collect()
    }
}

fn file(path: &[u8], stamp: Stamp) -> Entry {
    Entry {
        path: path.to_vec(),
        kind: EntryKind::File { digest: None },
        stamp,
    }
}

fn directory(path: &[u8]) -> Entry {
    let stamp = Stamp {
        mode: DIR_MODE,
        ..Stamp::default()
    };
    Entry {
        path: path.to_vec(),
        kind: EntryKind::Directory,
        stamp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(names: &[&str]) -> MemoryStore {
        let store = MemoryStore::new(1000);
        for name in names {
            store.put(name.parse().unwrap(), name.to_string()).unwrap();
        }
        store
    }

    fn walked(store: &MemoryStore, id: &str) -> Vec<String> {
        let mut found = Vec::new();
        let id = id.parse().unwrap();
        let visit = &mut |entry: Entry| {
            let mark = if entry.kind == EntryKind::Directory {
                "/"
            } else {
                ""
            };
            found.push(format!("{}{mark}", String::from_utf8_lossy(&entry.path)));
            Ok(())
        };
        store.walk(&id, visit).unwrap();
        found
    }

    #[test]
    fn directories_are_implied_once_and_come_first() {
        let store = store(&["b", "a/x/1", "a/x/2", "a/y", "ab/z", "a-b"]);
        let all = [
            "/", "a-b", "a/", "a/x/", "a/x/1", "a/x/2", "a/y", "ab/", "ab/z", "b",
        ];
        assert_eq!(walked(&store, ""), all);
        assert_eq!(walked(&store, "a"), ["/", "x/", "x/1", "x/2", "y"]);
        assert_eq!(walked(&store, "a/y"), [""]);
        let error = store
            .walk(&"c".parse().unwrap(), &mut |_| Ok(()))
            .unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }));
    }

    #[test]
    fn the_budget_holds_and_replacing_gives_room_back() {
        let store = MemoryStore::new(10);
        let id: BlockId = "a".parse().unwrap();
        store.put(id.clone(), vec![0; 10]).unwrap();
        assert!(store.put("b".parse().unwrap(), vec![0; 1]).is_err());
        let before = store.open(&id).unwrap();
        store.put(id.clone(), vec![1; 9]).unwrap();
        assert_eq!(store.used(), 9);
        assert_eq!(before.data.len(), 10, "what is being sent stays as it was");
        assert!(!store.open(&id).unwrap().stamp.same_content(&before.stamp));
        assert!(store.remove(&id) && !store.remove(&id));
        assert_eq!(store.used(), 0);
    }
}
