//! The executors that have registered: where each writes its files.
//!
//! Read by every shard, written when an executor starts. Registrations are written to disk first (see
//! [`store`](super::store)), so that a restarted service still serves the files of executors that are
//! long gone. No event reports the end of an application to a standalone service; its executors are forgotten
//! when all their directories are gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ringrail_codec::spark::shuffle::RegisterExecutor;

use super::error::ShuffleError;
use super::recovery::Recovery;
use super::resolve::Layout;
use super::roots::LocalRoots;

/// Local directories that one executor may have.
pub const MAX_LOCAL_DIRS: usize = 1024;

/// An executor's directories (Spark: `ExecutorShuffleInfo`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Executor {
    layout: Layout,
    as_registered: Vec<String>,
}

impl Executor {
    /// Checks an executor's registration against the service's directories. Reads the file system.
    ///
    /// # Errors
    /// If a directory is not below the service's, or the list is empty.
    pub(super) fn new(
        message: &RegisterExecutor<'_>,
        roots: &LocalRoots,
    ) -> Result<Self, ShuffleError> {
        let (count, sub_dirs) = (message.local_dirs.len(), message.sub_dirs_per_local_dir);
        let bad = |rule| ShuffleError::BadExecutor {
            dirs: count,
            sub_dirs,
            rule,
        };
        if count == 0 || count > MAX_LOCAL_DIRS {
            return Err(bad("it has between 1 and 1024 directories"));
        }
        let sub_dirs = usize::try_from(sub_dirs)
            .ok()
            .filter(|sub_dirs| *sub_dirs > 0)
            .ok_or_else(|| bad("each has at least one sub-directory"))?;
        let dirs = message.local_dirs.iter().map(|dir| roots.local_dir(dir));
        Ok(Self {
            layout: Layout {
                dirs: dirs.collect::<Result<_, _>>()?,
                sub_dirs,
            },
            as_registered: message.local_dirs.iter().map(str::to_owned).collect(),
        })
    }

    /// The layout of its directories.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its directories as it registered them.
    pub(super) fn as_registered(&self) -> &[String] {
        &self.as_registered
    }
}

type Apps = HashMap<String, HashMap<String, Arc<Executor>>>;

#[derive(Debug, Default)]
struct Table {
    apps: Apps,
    count: usize,
}

/// All executors of a service, shared by its shards.
#[derive(Debug)]
pub(super) struct Executors {
    limit: usize,
    table: RwLock<Table>,
    /// Counts changes of the table; cached lookups stay valid while it is unchanged.
    generation: AtomicU64,
    recovery: Arc<Recovery>,
    /// Taken for the whole of a change, so that disk and memory see changes in one order.
    changing: Mutex<()>,
}

impl Executors {
    /// Those in the store, if there is one, whose directories still exist below the service's.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn load(
        recovery: &Arc<Recovery>,
        roots: &LocalRoots,
        limit: usize,
    ) -> Result<Self, ShuffleError> {
        let mut table = Table::default();
        recovery.change(|store| {
            store.executors(|message| match Executor::new(&message, roots) {
                Ok(executor) => table.insert(message.app_id, message.exec_id, executor),
                Err(error) => tracing::warn!(
                    target: "ringrail::shuffle", app = message.app_id, executor = message.exec_id, %error,
                    "a stored executor is left out"
                ),
            })
        })?;
        let executors = Self {
            limit,
            table: RwLock::new(table),
            generation: AtomicU64::new(0),
            recovery: Arc::clone(recovery),
            changing: Mutex::new(()),
        };
        executors.forget_gone(roots)?;
        Ok(executors)
    }

    /// Registers an executor, in place of one of that name. Waits for the disk.
    ///
    /// # Errors
    /// It is refused, or cannot be stored; nothing has changed then.
    pub(super) fn register(
        &self,
        message: &RegisterExecutor<'_>,
        roots: &LocalRoots,
    ) -> Result<(), ShuffleError> {
        let executor = Executor::new(message, roots)?;
        let changing = self.changing();
        let known = self.get(message.app_id, message.exec_id);
        if known.as_deref() == Some(&executor) {
            return Ok(());
        }
        if known.is_none() && self.len() >= self.limit && self.forget(&changing, roots)? == 0 {
            return Err(ShuffleError::Limit {
                what: "as many executors are registered as may be",
                limit: self.limit as u64,
                advice: "delete the directories of applications that have ended, or raise \
                         ringrail.shuffle.maxExecutors",
            });
        }
        self.recovery.change(|store| store.put(message))?;
        self.change(|table| table.insert(message.app_id, message.exec_id, executor));
        Ok(())
    }

    /// Forgets an application's executors; how many there were. Waits for the disk.
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed then.
    pub(super) fn remove_app(&self, app: &str) -> Result<usize, ShuffleError> {
        let _changing = self.changing();
        self.recovery.change(|store| store.remove_app(app))?;
        let mut removed = 0;
        self.change(|table| {
            let executors = table.apps.remove(app);
            removed = executors.map_or(0, |executors| executors.len());
            table.count -= removed;
        });
        Ok(removed)
    }

    /// Forgets executors of whose directories none is left; how many there were. Waits for the disk.
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed then.
    pub(super) fn forget_gone(&self, roots: &LocalRoots) -> Result<usize, ShuffleError> {
        self.forget(&self.changing(), roots)
    }

    fn forget(
        &self,
        _changing: &MutexGuard<'_, ()>,
        roots: &LocalRoots,
    ) -> Result<usize, ShuffleError> {
        let gone = self.gone(roots);
        if gone.is_empty() || self.recovery.is_handed_over() {
            return Ok(0);
        }
        self.recovery.change(|store| store.remove(&gone))?;
        self.change(|table| {
            for (app, exec) in &gone {
                table.remove(app, exec);
            }
        });
        tracing::info!(
            target: "ringrail::shuffle", executors = gone.len(), "forgot executors whose directories are gone"
        );
        Ok(gone.len())
    }

    /// Names of executors without any directory.
    fn gone(&self, roots: &LocalRoots) -> Vec<(String, String)> {
        let all: Vec<(String, String, Arc<Executor>)> = {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            let each = table.apps.iter().flat_map(|(app, executors)| {
                let each = executors.iter();
                each.map(|(exec, it)| (app.clone(), exec.clone(), Arc::clone(it)))
            });
            each.collect()
        };
        all.into_iter()
            .filter(|(_, _, executor)| !roots.is_any_there(&executor.layout))
            .map(|(app, exec, _)| (app, exec))
            .collect()
    }

    /// A number that is another one after each change.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The executor of this name, if it has registered.
    pub(super) fn get(&self, app: &str, exec: &str) -> Option<Arc<Executor>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.apps.get(app)?.get(exec).map(Arc::clone)
    }

    /// The executor of this name.
    ///
    /// # Errors
    /// It has not registered; Spark's text.
    pub(super) fn find(&self, app: &str, exec: &str) -> Result<Arc<Executor>, ShuffleError> {
        self.get(app, exec)
            .ok_or_else(|| ShuffleError::UnknownExecutor {
                app: app.to_owned(),
                exec: exec.to_owned(),
            })
    }

    /// How many have registered.
    pub(super) fn len(&self) -> usize {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .count
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut table);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Table {
    fn insert(&mut self, app: &str, exec: &str, executor: Executor) {
        let executors = self.apps.entry(app.to_owned()).or_default();
        let replaced = executors.insert(exec.to_owned(), Arc::new(executor));
        self.count += usize::from(replaced.is_none());
    }

    fn remove(&mut self, app: &str, exec: &str) {
        let Some(executors) = self.apps.get_mut(app) else {
            return;
        };
        self.count -= usize::from(executors.remove(exec).is_some());
        if executors.is_empty() {
            self.apps.remove(app);
        }
    }
}
