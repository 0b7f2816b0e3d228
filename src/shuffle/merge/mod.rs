//! Push-based shuffle: blocks that map tasks push are appended, partition by partition, to merged files, which reduce
//! tasks read in large chunks (Spark: `RemoteBlockPushResolver`).
//!
//! ```text
//! shard:         upload ─► sink keeps the block ─► queue ─► merger thread ─► appended, answered
//! helper thread: FinalizeShuffleMerge ─► each partition ended ─► which maps' blocks are in it
//! shard:         MergedBlockMetaRequest ─► meta file; FetchShuffleBlockChunks ─► chunks of the data file
//! ```
//!
//! A block is written once it has arrived completely, under the lock of its partition. So no block waits for
//! another block's sender, and blocks that Spark's service defers, or refuses because they collide, are written
//! one after the other. The memory of waiting blocks is bounded: beyond the bound a block gets Spark's answer
//! for a collision, upon which its sender retries.
//!
//! The store keeps registrations and finalized merges. Merges in progress are lost when the service ends; their
//! blocks are then read from the executors' own files.

mod app;
mod partition;
mod push;
mod registration;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use ringrail_codec::spark::shuffle::{
    Bitmaps, FinalizeShuffleMerge, Ints, Longs, MergeStatuses, Message, MessageKind,
    RegisterExecutor, RemoveShuffleMerge,
};

use super::error::ShuffleError;
use super::recovery::Recovery;
use super::roots::LocalRoots;
use super::tasks::encoded;
use app::{MergeId, MergedPartition};
use partition::{Closed, Rules};
use registration::{NO_ATTEMPT, Registration};

pub(super) use app::MergeApp;
pub(super) use push::{PushJob, receive};

/// The merger's name in requests for local directories (Spark: `SHUFFLE_MERGER_IDENTIFIER`).
pub(super) const MERGER: &str = "shuffle-push-merger";

/// In [`RemoveShuffleMerge`]: every merge of the shuffle (Spark: `DELETE_ALL_MERGED_SHUFFLE`).
const ANY_MERGE: i32 = -1;

/// Settings of push-based shuffle.
#[derive(Clone, Debug)]
pub struct MergeConf {
    /// A chunk of a merged file ends with the block that makes it as long as this, in bytes. Spark:
    /// `spark.shuffle.push.server.minChunkSizeInMergedShuffleFile`.
    pub min_chunk_len: u64,
    /// Failures of the disk after which the merging of a partition is given up. Spark:
    /// `spark.shuffle.push.server.ioExceptionsThresholdDuringMerge`.
    pub max_io_errors: u32,
    /// Memory for blocks that are received or wait to be written, in bytes, of all shards together. A block may have
    /// a quarter of it.
    pub memory: usize,
    /// Threads that write.
    pub threads: usize,
}

impl Default for MergeConf {
    fn default() -> Self {
        Self {
            min_chunk_len: 2 << 20,
            max_io_errors: 4,
            memory: 128 << 20,
            threads: 2,
        }
    }
}

/// The applications that have blocks merged.
#[derive(Debug)]
pub(super) struct Merges {
    conf: MergeConf,
    apps: RwLock<HashMap<String, Arc<MergeApp>>>,
    recovery: Arc<Recovery>,
    /// Taken for the whole of a change of `apps`.
    changing: Mutex<()>,
    /// Bytes of blocks that are received or wait.
    held: AtomicUsize,
}

impl Merges {
    /// Those of the store, as far as their directories are still the service's.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn load(
        conf: MergeConf,
        recovery: &Arc<Recovery>,
        roots: &LocalRoots,
    ) -> Result<Self, ShuffleError> {
        let mut apps = HashMap::new();
        recovery.change(|store| {
            store.merge_apps(|message| match Registration::of(&message, roots) {
                Ok(Some(it)) => {
                    let app = Arc::new(MergeApp::new(message.app_id, it));
                    apps.insert(message.app_id.to_owned(), app);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(
                    target: "ringrail::shuffle", app = message.app_id, %error,
                    "a stored merge directory is left out"
                ),
            })?;
            store.finalized(|key, merge, reduces| {
                let app = apps
                    .get(key.app)
                    .filter(|app| app.registration.attempt == key.attempt);
                if let Some(app) = app {
                    let shuffle = key.shuffle;
                    app.restore(MergeId { shuffle, merge }, reduces);
                }
            })
        })?;
        let merges = Self {
            conf,
            apps: RwLock::new(apps),
            recovery: Arc::clone(recovery),
            changing: Mutex::new(()),
            held: AtomicUsize::new(0),
        };
        merges.forget_gone(roots)?;
        Ok(merges)
    }

    /// Records an application's merge directories. The first executor of an attempt registers for all; a
    /// later attempt invalidates the state of the one before it. Blocks on the disk.
    ///
    /// # Errors
    /// If the registration is invalid or cannot be stored.
    pub(super) fn register(
        &self,
        message: &RegisterExecutor<'_>,
        roots: &LocalRoots,
    ) -> Result<(), ShuffleError> {
        let Some(registration) = Registration::of(message, roots)? else {
            return Ok(());
        };
        let _changing = self.changing();
        if !self.is_newer(message.app_id, registration.attempt) {
            return Ok(());
        }
        self.recovery.change(|store| store.put_merge_app(message))?;
        let app = Arc::new(MergeApp::new(message.app_id, registration));
        let before = {
            let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
            apps.insert(message.app_id.to_owned(), app)
        };
        if let Some(before) = before {
            discard_all(&before, roots, Closed::OldAttempt);
        }
        Ok(())
    }

    fn is_newer(&self, app: &str, attempt: i32) -> bool {
        match self.get(app) {
            None => true,
            Some(known) => attempt != NO_ATTEMPT && attempt > known.registration.attempt,
        }
    }

    /// The application of this id.
    pub(super) fn get(&self, app: &str) -> Option<Arc<MergeApp>> {
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
        apps.get(app).map(Arc::clone)
    }

    /// The application of this id.
    ///
    /// # Errors
    /// It has not registered for merging; Spark's text.
    pub(super) fn find(&self, app: &str) -> Result<Arc<MergeApp>, ShuffleError> {
        let app_of = || ShuffleError::UnknownMergeApp {
            app: app.to_owned(),
        };
        self.get(app).ok_or_else(app_of)
    }

    /// The directories of an application's merged files, as executors know them.
    ///
    /// # Errors
    /// It has not registered for merging.
    pub(super) fn dirs(&self, app: &str) -> Result<Vec<String>, ShuffleError> {
        Ok(self.find(app)?.registration.dirs.clone())
    }

    /// The application whose merged partition may be read.
    ///
    /// # Errors
    /// It has not registered for merging, or a later merge of the shuffle has begun.
    pub(super) fn for_fetch(
        &self,
        app: &str,
        (shuffle, merge, reduce): (u32, u32, u32),
    ) -> Result<Arc<MergeApp>, ShuffleError> {
        let app = self.find(app)?;
        app.check_fetch(MergeId { shuffle, merge }, reduce)?;
        Ok(app)
    }

    /// Ends a merge; returns the `MergeStatuses` that describe it. Blocks on the disk.
    ///
    /// # Errors
    /// It is not one of this application, or has ended.
    pub(super) fn finalize(
        &self,
        asked: &FinalizeShuffleMerge<'_>,
        roots: &LocalRoots,
    ) -> Result<Bytes, ShuffleError> {
        let app = self.find(asked.app_id)?;
        let kind = MessageKind::FinalizeShuffleMerge;
        check_attempt(&app, kind, asked.app_attempt_id)?;
        let id = merge_id(asked.shuffle_id, asked.shuffle_merge_id)?;
        let (partitions, outdated) = app.begin_finalize(id)?;
        if let Some(outdated) = outdated {
            app.discard(roots, outdated, Closed::Superseded);
        }
        let reduces: Vec<u32> = partitions.iter().map(|(reduce, _)| *reduce).collect();
        self.store_finalized(&app, id, &reduces);
        let merged = partitions
            .iter()
            .filter_map(|(reduce, partition)| app.finalize(roots, (id, *reduce), partition));
        let merged: Vec<MergedPartition> = merged.collect();
        tracing::info!(
            target: "ringrail::shuffle", app = asked.app_id, shuffle = id.shuffle, merge = id.merge,
            partitions = merged.len(), "merge finalized"
        );
        Ok(statuses(id, merged))
    }

    /// Deletes a merge's files. Waits for the disk.
    ///
    /// # Errors
    /// It is not one of this application, or a later one has begun.
    pub(super) fn remove(
        &self,
        asked: &RemoveShuffleMerge<'_>,
        roots: &LocalRoots,
    ) -> Result<(), ShuffleError> {
        let app = self.find(asked.app_id)?;
        check_attempt(&app, MessageKind::RemoveShuffleMerge, asked.app_attempt_id)?;
        let any = asked.shuffle_merge_id == ANY_MERGE;
        let number = if any { 0 } else { asked.shuffle_merge_id };
        let MergeId { shuffle, merge } = merge_id(asked.shuffle_id, number)?;
        let (outdated, now) = app.begin_remove(shuffle, (!any).then_some(merge))?;
        if let Some(id) = now {
            self.store_finalized(&app, id, &[]);
        }
        if let Some(outdated) = outdated {
            app.discard(roots, outdated, Closed::Finalized);
        }
        Ok(())
    }

    /// Forgets an application that has ended; its files stay.
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed then.
    pub(super) fn remove_app(&self, app: &str) -> Result<(), ShuffleError> {
        let _changing = self.changing();
        self.recovery.change(|store| store.remove_merge_app(app))?;
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(app) = apps.remove(app) {
            app.end();
        }
        Ok(())
    }

    /// Forgets applications of whose merge directories none is left.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) fn forget_gone(&self, roots: &LocalRoots) -> Result<(), ShuffleError> {
        let all: Vec<Arc<MergeApp>> = {
            let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
            apps.values().map(Arc::clone).collect()
        };
        all.iter()
            .filter(|app| !roots.is_any_there(&app.registration.layout))
            .try_for_each(|app| self.remove_app(&app.id))
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As in Spark, a merge that cannot be stored proceeds, and is unknown after a restart.
    fn store_finalized(&self, app: &MergeApp, id: MergeId, reduces: &[u32]) {
        let key = super::store::FinalizedKey {
            app: &app.id,
            attempt: app.registration.attempt,
            shuffle: id.shuffle,
        };
        let stored = self
            .recovery
            .change(|store| store.put_finalized(key, id.merge, reduces));
        if let Err(error) = stored {
            tracing::error!(
                target: "ringrail::shuffle", app = app.id, shuffle = id.shuffle, merge = id.merge, %error,
                "a merge that has ended is not stored"
            );
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            min_chunk_len: self.conf.min_chunk_len,
            max_io_errors: self.conf.max_io_errors,
        }
    }
}

fn discard_all(app: &MergeApp, roots: &LocalRoots, why: Closed) {
    for outdated in app.end() {
        app.discard(roots, outdated, why);
    }
}

fn check_attempt(app: &MergeApp, message: MessageKind, attempt: i32) -> Result<(), ShuffleError> {
    let current = app.registration.attempt;
    if attempt == current {
        return Ok(());
    }
    Err(ShuffleError::OtherAttempt {
        message,
        app: app.id.clone(),
        attempt,
        current,
    })
}

fn merge_id(shuffle: i32, merge: i32) -> Result<MergeId, ShuffleError> {
    let bad = |_| ShuffleError::BadMergeNumbers { shuffle, merge };
    Ok(MergeId {
        shuffle: u32::try_from(shuffle).map_err(bad)?,
        merge: u32::try_from(merge).map_err(bad)?,
    })
}

fn statuses(id: MergeId, merged: Vec<MergedPartition>) -> Bytes {
    let reduces: Vec<i32> = merged.iter().map(|it| it.reduce as i32).collect();
    let sizes: Vec<i64> = merged.iter().map(|it| it.merged.len as i64).collect();
    let bitmaps: Vec<_> = merged.into_iter().map(|it| it.merged.maps).collect();
    encoded(Message::MergeStatuses(MergeStatuses {
        shuffle_id: id.shuffle as i32,
        shuffle_merge_id: id.merge as i32,
        bitmaps: Bitmaps::from(&bitmaps[..]),
        reduce_ids: Ints::from(&reduces[..]),
        sizes: Longs::from(&sizes[..]),
    }))
}
