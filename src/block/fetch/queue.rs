//! The remaining work of a fetch, handed out to the connections in batches ("lots").
//!
//! One connection opens and fetches a lot as a unit: many small files, or some consecutive chunks
//! of a large file, so that all connections share a large file.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::job::FileJob;

/// Files in one lot at most.
pub(super) const LOT_FILES: usize = 64;

/// Chunks of one file in one lot at most.
const LOT_CHUNKS: u64 = 512;

/// Bytes in one lot at most, about: a lot ends with the chunk that reaches it.
const LOT_LEN_MAX: u64 = 32 << 20;

/// Lots that each connection should get, so that all end at about the same time.
const LOTS_EACH: u64 = 4;

/// Some chunks of some files.
#[derive(Debug)]
pub(super) struct Lot {
    pub(super) files: Vec<(Arc<FileJob>, Range<u32>)>,
}

#[derive(Debug)]
struct Inner {
    files: VecDeque<Arc<FileJob>>,
    /// The next chunk of the first file.
    next_chunk: u32,
    lot_len: u64,
    returned: VecDeque<Lot>,
    /// Number of lots in work.
    out: usize,
    /// Connections that are working.
    workers: usize,
    stopped: bool,
}

/// The queue of one fetch.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Queue {
    pub(super) fn new(files: VecDeque<Arc<FileJob>>, workers: usize) -> Self {
        let (returned, out, stopped, next_chunk) = (VecDeque::new(), 0, false, 0);
        let bytes: u64 = files.iter().map(|file| file.cut.len()).sum();
        let lot_len = (bytes / (workers.max(1) as u64 * LOTS_EACH)).clamp(1, LOT_LEN_MAX);
        let inner = Inner {
            files,
            next_chunk,
            lot_len,
            returned,
            out,
            workers,
            stopped,
        };
        Self {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next lot, if one is available now.
    pub(super) fn try_next(&self) -> Option<Lot> {
        self.lock().take()
    }

    /// The next lot; waits while a lot in work may be returned. `None` when no work is left.
    pub(super) fn next(&self) -> Option<Lot> {
        let mut inner = self.lock();
        loop {
            if let Some(lot) = inner.take() {
                return Some(lot);
            }
            if inner.out == 0 || inner.stopped {
                return None;
            }
            inner = self
                .changed
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A lot is done with.
    pub(super) fn done(&self) {
        let mut inner = self.lock();
        inner.out -= 1;
        if inner.out == 0 {
            self.changed.notify_all();
        }
    }

    /// A connection stops: others take its lots. True if it was the last one.
    pub(super) fn give_up(&self, lots: impl IntoIterator<Item = Lot>) -> bool {
        let mut inner = self.lock();
        for lot in lots {
            inner.returned.push_back(lot);
            inner.out -= 1;
        }
        inner.workers -= 1;
        self.changed.notify_all();
        inner.workers == 0
    }

    /// Hands out nothing more.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Whether [`stop`](Self::stop) was called.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }
}

impl Inner {
    fn take(&mut self) -> Option<Lot> {
        if self.stopped {
            return None;
        }
        let lot = self.returned.pop_front().or_else(|| self.cut())?;
        self.out += 1;
        Some(lot)
    }

    /// Cuts a lot off the files.
    fn cut(&mut self) -> Option<Lot> {
        let (mut files, mut bytes) = (Vec::new(), 0);
        while let Some(file) = self.files.front() {
            let (count, chunk_len) = (file.cut.count(), u64::from(file.cut.chunk_len()));
            let room = self.lot_len.saturating_sub(bytes).div_ceil(chunk_len);
            let first = self.next_chunk;
            let end = count.min(first.saturating_add(room.clamp(1, LOT_CHUNKS) as u32));
            bytes += u64::from(end - first) * chunk_len.min(file.cut.len());
            files.push((Arc::clone(file), first..end));
            if end < count {
                self.next_chunk = end;
                break;
            }
            self.next_chunk = 0;
            self.files.pop_front();
            if files.len() >= LOT_FILES || bytes >= self.lot_len {
                break;
            }
        }
        (!files.is_empty()).then_some(Lot { files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::digest::Chunking;
    use crate::block::fetch::plan::FilePlan;
    use crate::block::{BlockId, Stamp};

    fn queue(lens: &[u64], workers: usize) -> Queue {
        let files = lens.iter().enumerate().map(|(number, len)| {
            let cut = Chunking::new(*len, Chunking::DEFAULT_CHUNK_LEN).unwrap();
            let plan = FilePlan {
                path: BlockId::ROOT,
                stamp: Stamp::default(),
                cut,
                digest: None,
            };
            let id: BlockId = number.to_string().parse().unwrap();
            Arc::new(FileJob::new(id.clone(), id, &plan, true))
        });
        Queue::new(files.collect(), workers)
    }

    #[test]
    fn every_chunk_is_handed_out_once() {
        const MIB: u64 = 1 << 20;
        let lens = [1, 400 * MIB + 1, 4 * MIB, 4 * MIB + 1, 7, 33 * MIB];
        let queue = queue(&lens, 1);
        let mut handed = vec![Vec::new(); lens.len()];
        while let Some(lot) = queue.try_next() {
            assert!(!lot.files.is_empty());
            for (file, chunks) in lot.files {
                let number: usize = file.id.to_string().parse().unwrap();
                handed[number].extend(chunks);
            }
        }
        for (len, chunks) in lens.iter().zip(handed) {
            let count = len.div_ceil(4 * MIB) as u32;
            assert_eq!(chunks, (0..count).collect::<Vec<_>>(), "{len} bytes");
        }
    }

    #[test]
    fn small_files_go_many_at_a_time() {
        let sizes = |queue: Queue| -> Vec<usize> {
            std::iter::from_fn(|| queue.try_next())
                .map(|lot| lot.files.len())
                .collect()
        };
        assert_eq!(sizes(queue(&[100; 1000], 1))[..4], [64, 64, 64, 64]);
        assert_eq!(
            sizes(queue(&[100; 32], 2)),
            [4; 8],
            "a short list is shared fairly"
        );
    }

    #[test]
    fn a_large_file_is_shared_by_all() {
        let queue = queue(&[64 << 20], 4);
        let lots = std::iter::from_fn(|| queue.try_next()).count();
        assert_eq!(lots, 16);
    }

    #[test]
    fn what_one_gives_back_another_gets() {
        let queue = queue(&[1], 2);
        let lot = queue.next().unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| queue.next().map(|lot| lot.files.len()));
            assert!(!queue.give_up([lot]), "another one is left");
            assert_eq!(other.join().unwrap(), Some(1));
        });
        queue.done();
        assert!(queue.next().is_none());
        assert!(queue.give_up([]));
    }

    #[test]
    fn stopping_wakes_whoever_waits() {
        let queue = queue(&[1], 2);
        let _lot = queue.next().unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| queue.next().is_none());
            queue.stop();
            assert!(other.join().unwrap());
        });
    }
}
