//! Files that are open for serving, each open once however many streams read it.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Default limit of the open files of one store.
pub const MAX_OPEN_FILES: usize = 4096;

/// The device and inode number of a file: its identity, independent of its name.
pub(super) type FileKey = (u64, u64);

/// Hands out shared files. It keeps none open itself: the last stream's end closes a file.
#[derive(Debug)]
pub(super) struct OpenFiles {
    limit: usize,
    files: Mutex<HashMap<FileKey, Weak<File>>>,
}

/// As many are open as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl OpenFiles {
    /// None open yet, and never more than `limit`.
    pub(super) fn new(limit: usize) -> Self {
        let files = Mutex::default();
        Self { limit, files }
    }

    /// How many may be open.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The shared handle of `file`: if the same file is open already, that one, and `file` is
    /// closed.
    pub(super) fn share(&self, key: FileKey, file: File) -> Result<Arc<File>, Full> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = files.get(&key).and_then(Weak::upgrade) {
            return Ok(open);
        }
        if files.len() >= self.limit {
            files.retain(|_, file| file.strong_count() > 0);
            if files.len() >= self.limit {
                return Err(Full);
            }
        }
        let file = Arc::new(file);
        files.insert(key, Arc::downgrade(&file));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        File::open("/dev/null").unwrap()
    }

    #[test]
    fn a_file_is_open_once_and_closes_with_its_last_reader() {
        let files = OpenFiles::new(MAX_OPEN_FILES);
        let first = files.share((1, 1), file()).unwrap();
        let second = files.share((1, 1), file()).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(
            Arc::strong_count(&first),
            2,
            "the table itself holds none open"
        );
        drop((first, second));
        let third = files.share((1, 1), file()).unwrap();
        assert_eq!(Arc::strong_count(&third), 1);
    }

    #[test]
    fn the_table_is_bounded_by_what_is_open() {
        let files = OpenFiles::new(MAX_OPEN_FILES);
        let shared = Arc::new(file());
        let fill = |from: u64, keep: &mut Vec<Arc<File>>| {
            for number in from..from + MAX_OPEN_FILES as u64 {
                let mut table = files.files.lock().unwrap();
                table.insert((0, number), Arc::downgrade(&shared));
                keep.push(Arc::clone(&shared));
            }
        };
        let mut keep = Vec::new();
        fill(0, &mut keep);
        assert_eq!(files.share((1, 1), file()).err(), Some(Full));
        drop((keep, shared));
        assert!(
            files.share((1, 1), file()).is_ok(),
            "those that have closed make room"
        );
    }
}
