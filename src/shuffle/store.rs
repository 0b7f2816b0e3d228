//! Executors, and what was merged, on disk (Spark: `registeredExecutors.ldb` of `spark.shuffle.service.db.enabled`).
//!
//! Tables of an embedded database (redb): its transactions survive a crash at any moment, which an own
//! file format would have to prove anew. A value is the very message that the executor has sent, so there is
//! no second format, and what was stored is checked as strictly as what is received.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, WriteTransaction,
};
use ringrail_codec::spark::shuffle::RegisterExecutor;

use super::error::ShuffleError;

/// Application and executor, and the executor's registration.
const EXECUTORS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("executors");

/// Application, and the registration of the executor that named its merge directories.
const MERGE_APPS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("merge_apps");

/// Application, attempt and shuffle; the merge that has ended, and its partitions.
const FINALIZED: TableDefinition<'_, (&str, i32, u32), (u32, Vec<u32>)> =
    TableDefinition::new("finalized_merges");

/// The shuffle that a merge belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct FinalizedKey<'a> {
    pub(super) app: &'a str,
    pub(super) attempt: i32,
    pub(super) shuffle: u32,
}

/// Memory for pages of the database: it is read once and written seldom.
const CACHE_LEN: usize = 256 << 10;

/// How often it is looked whether the other process has closed it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The database. Only one process can have it open.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
}

impl Store {
    /// Opens the database at `path`, or creates one. If another process has it open, waits up to `wait`,
    /// because that process may be about to end. A damaged database is moved aside, as in Spark: a
    /// service that starts without recovered state is better than none.
    ///
    /// # Errors
    /// Another process keeps it open, or the file cannot be written.
    pub(super) fn open(path: &Path, wait: Duration) -> Result<Self, ShuffleError> {
        let store = match open_in(path, wait) {
            Err(DatabaseError::Storage(StorageError::Io(error)))
                if error.kind() != ErrorKind::InvalidData =>
            {
                return Err(named(path, &error));
            }
            Err(error @ (DatabaseError::Storage(_) | DatabaseError::UpgradeRequired(_))) => {
                put_aside(path, &error)?;
                open_in(path, wait)
            }
            other => other,
        };
        let store = Self {
            database: store.map_err(|error| named(path, &error))?,
        };
        // So that reading finds the tables.
        let made = store.write(|transaction| {
            transaction.open_table(EXECUTORS)?;
            transaction.open_table(MERGE_APPS)?;
            transaction.open_table(FINALIZED)?;
            Ok(())
        });
        made.map_err(|error| named(path, &error))?;
        Ok(store)
    }

    /// Stores a registration, durably.
    ///
    /// # Errors
    /// It cannot be written; nothing has changed then.
    pub(super) fn put(&self, message: &RegisterExecutor<'_>) -> Result<(), ShuffleError> {
        let bytes = bytes_of(message)?;
        self.change(|table| {
            table.insert((message.app_id, message.exec_id), &bytes[..])?;
            Ok(())
        })
    }

    /// Forgets an application's executors, durably.
    ///
    /// # Errors
    /// It cannot be written; nothing has changed then.
    pub(super) fn remove_app(&self, app: &str) -> Result<(), ShuffleError> {
        self.change(|table| table.retain(|(owner, _), _| owner != app))
    }

    /// Forgets these executors, each by application and name, durably.
    ///
    /// # Errors
    /// It cannot be written; nothing has changed then.
    pub(super) fn remove(&self, executors: &[(String, String)]) -> Result<(), ShuffleError> {
        self.change(|table| {
            for (app, exec) in executors {
                table.remove((app.as_str(), exec.as_str()))?;
            }
            Ok(())
        })
    }

    /// Gives every registration to `visit`; one that cannot be read is left out, with a warning.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn executors(
        &self,
        mut visit: impl FnMut(RegisterExecutor<'_>),
    ) -> Result<(), ShuffleError> {
        self.read(|transaction| {
            for entry in transaction.open_table(EXECUTORS)?.iter()? {
                read_registration(entry?.1.value(), &mut visit);
            }
            Ok(())
        })
    }

    /// Stores where an application has its blocks merged, in place of what it had; merges of another attempt are
    /// forgotten.
    ///
    /// # Errors
    /// It cannot be written; nothing has changed then.
    pub(super) fn put_merge_app(&self, message: &RegisterExecutor<'_>) -> Result<(), ShuffleError> {
        let bytes = bytes_of(message)?;
        self.write(|transaction| {
            transaction
                .open_table(FINALIZED)?
                .retain(|(app, ..), _| app != message.app_id)?;
            transaction
                .open_table(MERGE_APPS)?
                .insert(message.app_id, &bytes[..])?;
            Ok(())
        })
    }

    /// Removes an application's merge directories, and its merges.
    ///
    /// # Errors
    /// It cannot be written; nothing has changed then.
    pub(super) fn remove_merge_app(&self, app: &str) -> Result<(), ShuffleError> {
        self.write(|transaction| {
            transaction
                .open_table(FINALIZED)?
                .retain(|(owner, ..), _| owner != app)?;
            transaction.open_table(MERGE_APPS)?.remove(app)?;
            Ok(())
        })
    }

    /// Stores that a merge has ended, durably.
    ///
    /// # Errors
    /// It cannot be written; nothing has changed then.
    pub(super) fn put_finalized(
        &self,
        key: FinalizedKey<'_>,
        merge: u32,
        reduces: &[u32],
    ) -> Result<(), ShuffleError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(FINALIZED)?;
            table.insert(
                (key.app, key.attempt, key.shuffle),
                (merge, reduces.to_vec()),
            )?;
            Ok(())
        })
    }

    /// Gives every registration of merges to `visit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn merge_apps(
        &self,
        mut visit: impl FnMut(RegisterExecutor<'_>),
    ) -> Result<(), ShuffleError> {
        self.read(|transaction| {
            for entry in transaction.open_table(MERGE_APPS)?.iter()? {
                read_registration(entry?.1.value(), &mut visit);
            }
            Ok(())
        })
    }

    /// Gives every merge that has ended to `visit`, with its partitions.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn finalized(
        &self,
        mut visit: impl FnMut(FinalizedKey<'_>, u32, Vec<u32>),
    ) -> Result<(), ShuffleError> {
        self.read(|transaction| {
            for entry in transaction.open_table(FINALIZED)?.iter()? {
                let (key, value) = entry?;
                let ((app, attempt, shuffle), (merge, reduces)) = (key.value(), value.value());
                let key = FinalizedKey {
                    app,
                    attempt,
                    shuffle,
                };
                visit(key, merge, reduces);
            }
            Ok(())
        })
    }

    fn change(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, (&'static str, &'static str), &'static [u8]>,
        ) -> Result<(), redb::StorageError>,
    ) -> Result<(), ShuffleError> {
        self.write(|transaction| {
            change(&mut transaction.open_table(EXECUTORS)?)?;
            Ok(())
        })
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), ShuffleError> {
        let run = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        run().map_err(|error| ShuffleError::Store(error.to_string()))
    }

    fn read(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), ShuffleError> {
        let run = || -> Result<(), redb::Error> { read(&self.database.begin_read()?) };
        run().map_err(|error| ShuffleError::Store(error.to_string()))
    }
}

fn bytes_of(message: &RegisterExecutor<'_>) -> Result<Vec<u8>, ShuffleError> {
    let mut bytes = vec![0; message.encoded_len()];
    let written = message.encode(&mut bytes);
    written.map_err(|error| ShuffleError::Store(error.to_string()))?;
    Ok(bytes)
}

/// Gives a registration on; one that cannot be read is left out, with a warning.
fn read_registration(bytes: &[u8], visit: &mut impl FnMut(RegisterExecutor<'_>)) {
    match RegisterExecutor::decode(bytes) {
        Ok(message) => visit(message),
        Err(error) => tracing::warn!(
            target: "ringrail::shuffle", %error, "a stored executor cannot be read"
        ),
    }
}

fn open_in(path: &Path, wait: Duration) -> Result<Database, DatabaseError> {
    let since = Instant::now();
    let mut told = false;
    loop {
        let opened = Database::builder().set_cache_size(CACHE_LEN).create(path);
        match opened {
            Err(DatabaseError::DatabaseAlreadyOpen) if since.elapsed() < wait => {
                if !told {
                    tracing::warn!(
                        target: "ringrail::shuffle", path = %path.display(),
                        "another process has the store of executors open; waiting for it to end"
                    );
                    told = true;
                }
                std::thread::sleep(LOOK_EVERY);
            }
            other => return other,
        }
    }
}

/// Renames a database that cannot be read.
fn put_aside(path: &Path, error: &DatabaseError) -> Result<(), ShuffleError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    tracing::error!(
        target: "ringrail::shuffle", path = %path.display(), %error,
        "the store of executors is damaged and was put aside as *.damaged; executors that have registered are \
         forgotten"
    );
    std::fs::rename(path, aside).map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &dyn std::fmt::Display) -> ShuffleError {
    ShuffleError::Store(format!("{}: {error}", path.display()))
}
