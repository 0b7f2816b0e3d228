//! One file of a fetch: its completed chunks, and its outcome.
//!
//! Several connections may work on one file; its state is behind a lock of its own, taken once per
//! chunk. A file has exactly one outcome: the connection that completes it renames it, the one that
//! finds it failed reports it, and all others see that it is finished.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dest::{Destination, Need, Part};
use super::plan::FilePlan;
use super::{FileError, LocalError};
use crate::block::BlockId;
use crate::block::Stamp;
use crate::block::digest::{Chunking, Digest};

/// A file to fetch.
#[derive(Debug)]
pub(super) struct FileJob {
    /// Its name on the server.
    pub(super) id: BlockId,
    /// Its path below the destination.
    pub(super) path: BlockId,
    /// Its state on the server when the fetch was planned.
    pub(super) stamp: Stamp,
    /// How it is cut.
    pub(super) cut: Chunking,
    resume: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    part: Option<Arc<Part>>,
    chunks: Chunks,
    attempts: u32,
    over: bool,
}

/// The chunks that are complete, with their digests.
#[derive(Debug)]
struct Chunks {
    done: Vec<u64>,
    left: u32,
    digests: Vec<Digest>,
}

impl Chunks {
    fn new(count: u32) -> Self {
        let words = count.div_ceil(64) as usize;
        // Files of one chunk are many: they need no table.
        let done = if count > 1 {
            vec![0; words]
        } else {
            Vec::new()
        };
        Self {
            done,
            left: count,
            digests: Vec::new(),
        }
    }

    fn has(&self, index: u32) -> bool {
        match self.done.get(index as usize / 64) {
            Some(word) => word >> (index % 64) & 1 == 1,
            None => self.left == 0,
        }
    }

    /// Marks a chunk as complete; false if it was complete before.
    fn add(&mut self, index: u32) -> bool {
        if self.has(index) {
            return false;
        }
        if let Some(word) = self.done.get_mut(index as usize / 64) {
            *word |= 1 << (index % 64);
        }
        self.left -= 1;
        true
    }
}

/// The effect of a chunk's arrival on its file.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The chunk was already there, or the file is finished.
    Late,
    /// Other chunks are missing.
    More,
    /// It was the last: the file is to be published by the caller.
    Last {
        /// The complete file.
        part: Arc<Part>,
        /// The digest of the whole, if all chunks were verified.
        digest: Option<Digest>,
    },
}

impl FileJob {
    pub(super) fn new(id: BlockId, path: BlockId, plan: &FilePlan, resume: bool) -> Self {
        let chunks = Chunks::new(plan.cut.count().max(1));
        let state = State {
            part: None,
            chunks,
            attempts: 0,
            over: false,
        };
        // One chunk is fetched sooner than checked.
        let resume = resume && plan.cut.count() > 1;
        let (stamp, cut) = (plan.stamp, plan.cut);
        Self {
            id,
            path,
            stamp,
            cut,
            resume,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if this chunk need not be fetched.
    pub(super) fn has(&self, index: u32) -> bool {
        let state = self.state();
        state.over || state.chunks.has(index)
    }

    /// The unfinished file, opened by the first caller; `None` if the file is finished.
    pub(super) fn part(&self, to: &Destination) -> Result<Option<Arc<Part>>, LocalError> {
        let mut state = self.state();
        if state.over {
            return Ok(None);
        }
        if let Some(part) = &state.part {
            return Ok(Some(Arc::clone(part)));
        }
        let (len, several) = (self.cut.len(), self.cut.count() > 1);
        let need = Need {
            len,
            resume: self.resume,
            reserve: several,
        };
        let part = Arc::new(to.part(&self.path, need)?);
        state.part = Some(Arc::clone(&part));
        Ok(Some(part))
    }

    /// A chunk has been written, or found on disk; its digest if it was verified.
    pub(super) fn arrived(&self, index: u32, digest: Option<Digest>) -> Arrival {
        let mut state = self.state();
        if state.over || !state.chunks.add(index) {
            return Arrival::Late;
        }
        let count = self.cut.count();
        if let Some(digest) = digest {
            let digests = &mut state.chunks.digests;
            digests.resize(count as usize, Digest::default());
            digests[index as usize] = digest;
        }
        if state.chunks.left > 0 {
            return Arrival::More;
        }
        state.over = true;
        let digest = digest.and_then(|_| self.cut.root(&state.chunks.digests));
        state.chunks.digests = Vec::new();
        match state.part.take() {
            Some(part) => Arrival::Last { part, digest },
            None => Arrival::Late,
        }
    }

    /// Ends a file that has failed; false if it is finished already.
    pub(super) fn fail(&self) -> bool {
        let mut state = self.state();
        state.part = None;
        !std::mem::replace(&mut state.over, true)
    }

    /// Counts an attempt that failed: how many there were.
    pub(super) fn count_attempt(&self) -> u32 {
        let mut state = self.state();
        state.attempts += 1;
        state.attempts
    }

    /// Checks that the server's file is unchanged since the plan.
    pub(super) fn check(&self, now: &Stamp) -> Result<(), FileError> {
        if self.stamp.same_content(now) {
            Ok(())
        } else {
            Err(FileError::Changed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::fetch::dest::Destination;

    fn job(len: u64) -> FileJob {
        let cut = Chunking::new(len, Chunking::MIN_CHUNK_LEN).unwrap();
        let plan = FilePlan {
            path: BlockId::ROOT,
            stamp: Stamp::default(),
            cut,
            digest: None,
        };
        FileJob::new("a".parse().unwrap(), "a".parse().unwrap(), &plan, true)
    }

    #[test]
    fn the_last_chunk_ends_a_file_once() {
        let dir = tempfile::tempdir().unwrap();
        let to = Destination::tree(dir.path(), false).unwrap();
        let chunk = u64::from(Chunking::MIN_CHUNK_LEN);
        let job = job(100 * chunk);
        assert!(job.part(&to).unwrap().is_some());
        for index in (0..100).rev() {
            assert!(!job.has(index));
            let arrival = job.arrived(index, None);
            assert_eq!(matches!(arrival, Arrival::Last { .. }), index == 0);
            assert!(job.has(index));
            assert!(matches!(job.arrived(index, None), Arrival::Late));
        }
        assert!(!job.fail(), "it has had its outcome");
        assert!(job.part(&to).unwrap().is_none());
    }

    #[test]
    fn a_failed_file_takes_no_more_chunks() {
        let job = job(10);
        assert!(job.fail());
        assert!(!job.fail());
        assert!(job.has(0));
        assert!(matches!(job.arrived(0, None), Arrival::Late));
    }
}
