//! The shuffles of an application that are, or were, merged (Spark: `AppShuffleInfo`,
//! `AppShuffleMergePartitionsInfo`).
//!
//! A shuffle has one merge at a time, by its number; a higher one, of a stage that runs again, makes the one before it
//! void. No lock is held while files are touched, but that of the partition that is written.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringrail_codec::spark::shuffle::PushOutcome;
use rustix::io::Errno;

use super::super::block::{FileName, MergedPart};
use super::super::error::ShuffleError;
use super::super::resolve::{Layout, locate};
use super::super::roots::{LocalRoots, Place};
use super::partition::{Closed, Merged, Partition};
use super::registration::Registration;

/// Partitions of one application that may be merged at a time.
const MAX_PARTITIONS: usize = 1 << 20;

/// A merge of a shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MergeId {
    pub(super) shuffle: u32,
    pub(super) merge: u32,
}

/// An application, and one of its attempts.
#[derive(Debug)]
pub(in crate::shuffle) struct MergeApp {
    pub(super) id: String,
    pub(super) registration: Registration,
    shuffles: Mutex<Shuffles>,
}

#[derive(Debug, Default)]
struct Shuffles {
    by_id: HashMap<u32, Shuffle>,
    /// The application, or this attempt of it, has ended: blocks that are still on their way are not merged.
    ended: bool,
}

type Partitions = HashMap<u32, Arc<Mutex<Partition>>>;

/// In the order of their numbers.
pub(super) type SortedPartitions = Vec<(u32, Arc<Mutex<Partition>>)>;

#[derive(Debug)]
struct Shuffle {
    merge: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Active(Partitions),
    /// With the partitions whose files there may be.
    Finalized(Vec<u32>),
}

/// State that an application no longer needs: closed and deleted when no lock is held.
#[derive(Debug)]
pub(super) struct Outdated {
    id: MergeId,
    state: State,
}

/// A partition after its merge has ended.
#[derive(Debug)]
pub(super) struct MergedPartition {
    pub(super) reduce: u32,
    pub(super) merged: Merged,
}

impl MergeApp {
    pub(super) fn new(id: &str, registration: Registration) -> Self {
        Self {
            id: id.to_owned(),
            registration,
            shuffles: Mutex::default(),
        }
    }

    /// The layout of its merged files.
    pub(in crate::shuffle) fn layout(&self) -> &Layout {
        &self.registration.layout
    }

    /// Checks whether blocks of this merge come too late, and why; does not touch a file.
    pub(super) fn refusal(&self, id: MergeId) -> Option<PushOutcome> {
        let shuffles = self.shuffles();
        let shuffle = shuffles.by_id.get(&id.shuffle)?;
        shuffle.refusal(id.merge)
    }

    /// The partition of a block, created if necessary; and the state that this invalidates.
    pub(super) fn partition(
        &self,
        id: MergeId,
        reduce: u32,
    ) -> Result<(Arc<Mutex<Partition>>, Option<Outdated>), PushOutcome> {
        let mut shuffles = self.shuffles();
        if shuffles.ended {
            return Err(PushOutcome::TooOldAttemptPush);
        }
        let shuffles = &mut shuffles.by_id;
        let mut outdated = None;
        if let Some(shuffle) = shuffles.get(&id.shuffle) {
            match shuffle.refusal(id.merge) {
                Some(refused) => return Err(refused),
                None if shuffle.merge < id.merge => {
                    outdated = take(shuffles, id.shuffle);
                }
                None => {}
            }
        }
        let others: usize = shuffles.values().map(Shuffle::active).sum();
        let shuffle = shuffles.entry(id.shuffle).or_insert_with(|| Shuffle {
            merge: id.merge,
            state: State::Active(Partitions::new()),
        });
        let State::Active(partitions) = &mut shuffle.state else {
            return Err(PushOutcome::TooLateBlockPush);
        };
        if others >= MAX_PARTITIONS && !partitions.contains_key(&reduce) {
            return Err(PushOutcome::BlockAppendCollisionDetected);
        }
        let partition = partitions.entry(reduce).or_default();
        Ok((Arc::clone(partition), outdated))
    }

    /// Ends a merge; returns its state, to be ended too, and the partitions merged so far.
    ///
    /// # Errors
    /// It has ended, or a later one has begun; Spark's text.
    pub(super) fn begin_finalize(
        &self,
        id: MergeId,
    ) -> Result<(SortedPartitions, Option<Outdated>), ShuffleError> {
        let mut shuffles = self.shuffles();
        let shuffles = &mut shuffles.by_id;
        let known = take(shuffles, id.shuffle);
        let (partitions, outdated) = match known {
            None => (Partitions::new(), None),
            Some(known) if known.id.merge < id.merge => (Partitions::new(), Some(known)),
            Some(Outdated {
                id: MergeId { merge, .. },
                state: State::Active(partitions),
            }) if merge == id.merge => (partitions, None),
            Some(Outdated { id: now, state }) => {
                let merge = now.merge;
                shuffles.insert(id.shuffle, Shuffle { merge, state });
                let MergeId { shuffle, merge } = id;
                return Err(ShuffleError::StaleFinalize { shuffle, merge });
            }
        };
        let mut partitions: SortedPartitions = partitions.into_iter().collect();
        partitions.sort_by_key(|(reduce, _)| *reduce);
        let reduces = partitions.iter().map(|(reduce, _)| *reduce);
        insert_finalized(shuffles, id, reduces.collect());
        Ok((partitions, outdated))
    }

    /// Deletes a merge, or with `None` the current one; no other merge of that number can be pushed to. Returns
    /// the state to delete, and the shuffle's current merge.
    ///
    /// # Errors
    /// A later one has begun; Spark's text.
    pub(super) fn begin_remove(
        &self,
        shuffle: u32,
        merge: Option<u32>,
    ) -> Result<(Option<Outdated>, Option<MergeId>), ShuffleError> {
        let mut shuffles = self.shuffles();
        let shuffles = &mut shuffles.by_id;
        let current = shuffles.get(&shuffle).map(|known| known.merge);
        let Some(merge) = merge.or(current) else {
            return Ok((None, None));
        };
        if let Some(current) = current.filter(|current| *current > merge) {
            return Err(ShuffleError::StaleRemoval {
                app: self.id.clone(),
                shuffle,
                merge,
                current,
            });
        }
        let outdated = take(shuffles, shuffle);
        let id = MergeId { shuffle, merge };
        insert_finalized(shuffles, id, Vec::new());
        Ok((outdated, Some(id)))
    }

    /// Everything that is merged or was: the application, or this attempt of it, has ended.
    pub(super) fn end(&self) -> Vec<Outdated> {
        let mut shuffles = self.shuffles();
        shuffles.ended = true;
        let all = shuffles.by_id.drain().map(|(shuffle, it)| Outdated {
            id: MergeId {
                shuffle,
                merge: it.merge,
            },
            state: it.state,
        });
        all.collect()
    }

    /// Notes a merge that had ended before this service was started.
    pub(super) fn restore(&self, id: MergeId, reduces: Vec<u32>) {
        insert_finalized(&mut self.shuffles().by_id, id, reduces);
    }

    /// Refuses to read a merge that a later one has made void.
    ///
    /// # Errors
    /// Spark's text.
    pub(super) fn check_fetch(&self, id: MergeId, reduce: u32) -> Result<(), ShuffleError> {
        let shuffles = self.shuffles();
        match shuffles.by_id.get(&id.shuffle) {
            Some(known) if known.merge > id.merge => Err(ShuffleError::StaleFetch {
                shuffle: id.shuffle,
                merge: id.merge,
                reduce,
            }),
            _ => Ok(()),
        }
    }

    /// Opens a file of a partition for writing.
    pub(super) fn open(
        &self,
        roots: &LocalRoots,
        (id, reduce): (MergeId, u32),
        part: MergedPart,
        make: bool,
    ) -> io::Result<File> {
        let mut place = Place::default();
        self.locate((id, reduce), part, &mut place);
        Ok(roots.write_file(&place, make)?)
    }

    /// Ends a partition's merging; `None`, and no files, if it is empty.
    pub(super) fn finalize(
        &self,
        roots: &LocalRoots,
        (id, reduce): (MergeId, u32),
        partition: &Mutex<Partition>,
    ) -> Option<MergedPartition> {
        let open = |part, make| self.open(roots, (id, reduce), part, make);
        let merged = locked(partition).finalize(&open);
        if merged.is_none() {
            self.delete(roots, (id, reduce));
        }
        Some(MergedPartition {
            reduce,
            merged: merged?,
        })
    }

    /// Closes outdated state, and deletes its files.
    pub(super) fn discard(&self, roots: &LocalRoots, outdated: Outdated, why: Closed) {
        let id = outdated.id;
        match outdated.state {
            State::Active(partitions) => {
                for (reduce, partition) in partitions {
                    // The lock waits for a current writer, and `close` refuses later ones.
                    locked(&partition).close(why);
                    self.delete(roots, (id, reduce));
                }
            }
            State::Finalized(reduces) => {
                for reduce in reduces {
                    self.delete(roots, (id, reduce));
                }
            }
        }
    }

    fn delete(&self, roots: &LocalRoots, partition: (MergeId, u32)) {
        let mut place = Place::default();
        for part in MergedPart::ALL {
            self.locate(partition, part, &mut place);
            match roots.remove(&place) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => tracing::warn!(
                    target: "ringrail::shuffle", path = place.path(), %error, "a merged file was not deleted"
                ),
            }
        }
    }

    fn locate(&self, (id, reduce): (MergeId, u32), part: MergedPart, place: &mut Place) {
        let file = FileName::Merged {
            app: &self.id,
            shuffle: id.shuffle,
            merge: id.merge,
            reduce,
            part,
        };
        locate(&self.registration.layout, &file, place);
    }

    fn shuffles(&self) -> MutexGuard<'_, Shuffles> {
        self.shuffles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shuffle {
    fn refusal(&self, merge: u32) -> Option<PushOutcome> {
        if self.merge > merge {
            return Some(PushOutcome::StaleBlockPush);
        }
        let ended = matches!(self.state, State::Finalized(_));
        (ended && self.merge == merge).then_some(PushOutcome::TooLateBlockPush)
    }

    fn active(&self) -> usize {
        match &self.state {
            State::Active(partitions) => partitions.len(),
            State::Finalized(_) => 0,
        }
    }
}

fn take(shuffles: &mut HashMap<u32, Shuffle>, shuffle: u32) -> Option<Outdated> {
    let known = shuffles.remove(&shuffle)?;
    Some(Outdated {
        id: MergeId {
            shuffle,
            merge: known.merge,
        },
        state: known.state,
    })
}

fn insert_finalized(shuffles: &mut HashMap<u32, Shuffle>, id: MergeId, reduces: Vec<u32>) {
    let MergeId { shuffle, merge } = id;
    let state = State::Finalized(reduces);
    shuffles.insert(shuffle, Shuffle { merge, state });
}

/// A partition whose writer panicked is as it was before that block.
pub(super) fn locked(partition: &Mutex<Partition>) -> MutexGuard<'_, Partition> {
    partition.lock().unwrap_or_else(PoisonError::into_inner)
}
