//! Lookups of data that a shard has not cached: a helper thread does them while the connection
//! waits.
//!
//! ```text
//! shard: chunk ─► Files: not in memory ─► Lookups::begin ─► pause ─► helper thread: Files of its own, which wait
//! shard: the same chunk again ◄─ resume ◄─────────────────── answer, and what was found on the way
//! ```
//!
//! A waiting connection sends no other request, so each has at most one lookup. The chunk is then built from
//! the lookup's answer, even if the caches have evicted the files meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ringrail_transport::Connection;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::Pause;

use super::block::Block;
use super::error::ShuffleError;
use super::executors::Executor;
use super::files::{Files, Found};
use super::merge::MergeApp;
use super::resolve::Layout;
use super::roots::Wait;
use super::service::Shared;

/// The directories to search.
#[derive(Debug)]
pub(super) enum Owner {
    /// An executor's.
    Executor(Arc<Executor>),
    /// Those of an application's merged files.
    Merges(Arc<MergeApp>),
}

impl Owner {
    pub(super) fn layout(&self) -> &Layout {
        match self {
            Owner::Executor(executor) => executor.layout(),
            Owner::Merges(app) => app.layout(),
        }
    }
}

/// The object of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A block.
    Block(Block),
    /// Metadata of a merged partition: shuffle, merge, partition.
    MergedMeta((u32, u32, u32)),
}

/// The result of a lookup.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A block.
    Block(Found),
    /// The number of chunks of a merged partition, and their bitmaps.
    MergedMeta(i32, ManagedBuffer),
}

impl Files {
    /// Looks for something of an application.
    ///
    /// # Errors
    /// If the block does not exist or is damaged, or if it is not in memory and blocking is not
    /// allowed.
    pub(super) fn look_for(
        &mut self,
        shared: &Shared,
        (owner, app): (&Owner, &str),
        wanted: Wanted,
    ) -> Result<Outcome, ShuffleError> {
        let place = (owner.layout(), app);
        match wanted {
            Wanted::Block(block) => self.find(&shared.roots, place, block).map(Outcome::Block),
            Wanted::MergedMeta(partition) => {
                let (chunks, bitmaps) = self.merged_meta(&shared.roots, place, partition)?;
                Ok(Outcome::MergedMeta(chunks, bitmaps))
            }
        }
    }
}

/// An answer, and the entries that the shard's caches can take over.
type Answer = (Result<Outcome, ShuffleError>, Files);

/// The place where the helper thread stores an answer.
type Slot = Arc<Mutex<Option<Answer>>>;

/// Something that a helper thread looks for.
#[derive(Debug)]
pub(super) struct Lookup {
    shared: Arc<Shared>,
    owner: Owner,
    app: Box<str>,
    wanted: Wanted,
    slot: Slot,
    _pause: Pause,
}

impl Lookup {
    pub(super) fn run(self) {
        let budget = self.shared.conf.index_cache_len;
        let mut files = Files::new(budget, usize::MAX, Wait::Allowed);
        let found = files.look_for(&self.shared, (&self.owner, &self.app), self.wanted);
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some((found, files));
        // The pause ends with the lookup, once the answer is stored.
    }
}

/// The lookups of one shard.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// By connection.
    pending: HashMap<u64, (Wanted, Slot)>,
}

impl Lookups {
    /// Begins a lookup for a connection, which is paused from now on. Pass the lookup to a helper
    /// thread.
    pub(super) fn begin(
        &mut self,
        from: &Connection,
        shared: &Arc<Shared>,
        (owner, app): (Owner, &str),
        wanted: Wanted,
    ) -> Lookup {
        let slot = Slot::default();
        self.pending.insert(from.id(), (wanted, Arc::clone(&slot)));
        Lookup {
            shared: Arc::clone(shared),
            owner,
            app: app.into(),
            wanted,
            slot,
            _pause: from.pause(),
        }
    }

    /// The answer of the lookup that a connection waited for, if it repeats the same request; `files` takes over
    /// the files found.
    #[inline]
    pub(super) fn answer(
        &mut self,
        from: &Connection,
        wanted: impl FnOnce() -> Option<Wanted>,
        files: &mut Files,
    ) -> Option<Result<Outcome, ShuffleError>> {
        if self.pending.is_empty() {
            return None;
        }
        let (looked_for, slot) = self.pending.remove(&from.id())?;
        let answer = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A lookup that panicked has left nothing: to look once more would end in the same way.
        let Some((found, seen)) = answer else {
            return Some(Err(ShuffleError::LookupLost));
        };
        files.absorb(seen);
        (wanted() == Some(looked_for)).then_some(found)
    }

    /// A connection has ended.
    pub(super) fn forget(&mut self, connection: &Connection) {
        self.pending.remove(&connection.id());
    }
}
