//! The executors that have registered: where each writes its files.
//!
//! Read by every shard for every chunk, written when an executor starts. What is written is on disk first (see
//! [`store`](super::store)), so that a service that starts again still serves the files of executors that are
//! long gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ringrail_codec::spark::shuffle::RegisterExecutor;

use super::error::ShuffleError;
use super::roots::{LocalDir, LocalRoots};
use super::store::Store;

/// Local directories that one executor may have.
pub const MAX_LOCAL_DIRS: usize = 1024;

/// An executor's directories (Spark: `ExecutorShuffleInfo`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Executor {
    dirs: Vec<LocalDir>,
    sub_dirs: usize,
    as_registered: Vec<String>,
}

impl Executor {
    /// Checks what an executor says of itself against the service's directories. Looks at the file system.
    ///
    /// # Errors
    /// A directory is not the service's, or there is none to find a file in.
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
            dirs: dirs.collect::<Result<_, _>>()?,
            sub_dirs,
            as_registered: message.local_dirs.iter().map(str::to_owned).collect(),
        })
    }

    /// Its directories, in canonical form; at least one.
    pub(super) fn dirs(&self) -> &[LocalDir] {
        &self.dirs
    }

    /// Sub-directories of each; at least one.
    pub(super) fn sub_dirs(&self) -> usize {
        self.sub_dirs
    }

    /// Its directories as it has named them.
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
    /// Taken for the whole of a change, so that disk and memory see changes in one order.
    store: Mutex<Option<Store>>,
}

impl Executors {
    /// Those in the store, if there is one, as far as their directories are still the service's.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn load(
        store: Option<Store>,
        roots: &LocalRoots,
        limit: usize,
    ) -> Result<Self, ShuffleError> {
        let mut table = Table::default();
        if let Some(store) = &store {
            store.for_each(|message| match Executor::new(&message, roots) {
                Ok(executor) => table.insert(message.app_id, message.exec_id, executor),
                Err(error) => tracing::warn!(
                    target: "ringrail::shuffle", app = message.app_id, executor = message.exec_id, %error,
                    "a stored executor is left out"
                ),
            })?;
        }
        Ok(Self {
            limit,
            table: RwLock::new(table),
            store: Mutex::new(store),
        })
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
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.get(message.app_id, message.exec_id);
        if known.as_deref() == Some(&executor) {
            return Ok(());
        }
        if known.is_none() && self.len() >= self.limit {
            return Err(ShuffleError::Limit {
                what: "as many executors are registered as may be",
                limit: self.limit as u64,
                advice: "remove applications that have ended, or raise ShuffleConf::max_executors",
            });
        }
        if let Some(store) = &*store {
            store.put(message)?;
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(message.app_id, message.exec_id, executor);
        Ok(())
    }

    /// Forgets an application's executors; how many there were. Waits for the disk.
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed then.
    pub(super) fn remove_app(&self, app: &str) -> Result<usize, ShuffleError> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*store {
            store.remove_app(app)?;
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let removed = table
            .apps
            .remove(app)
            .map_or(0, |executors| executors.len());
        table.count -= removed;
        Ok(removed)
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
}

impl Table {
    fn insert(&mut self, app: &str, exec: &str, executor: Executor) {
        let executors = self.apps.entry(app.to_owned()).or_default();
        let replaced = executors.insert(exec.to_owned(), Arc::new(executor));
        self.count += usize::from(replaced.is_none());
    }
}
