//! Executors on disk (Spark: `registeredExecutors.ldb` of `spark.shuffle.service.db.enabled`).
//!
//! One table of an embedded database (redb): its transactions survive a crash at any moment, which an own
//! file format would have to prove anew. A value is the very message that the executor has sent, so there is
//! no second format, and what was stored is checked as strictly as what is received.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use ringrail_codec::spark::shuffle::RegisterExecutor;

use super::error::ShuffleError;

/// Application and executor, and the executor's registration.
const EXECUTORS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("executors");

/// Memory for pages of the database: it is read once and written seldom.
const CACHE_LEN: usize = 256 << 10;

/// The database. Only one process can have it open.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
}

impl Store {
    /// Opens the database at `path`, or makes one.
    ///
    /// # Errors
    /// Another process has it open, it is damaged, or the file cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, ShuffleError> {
        let named = |error: &dyn std::fmt::Display| {
            ShuffleError::Store(format!("{}: {error}", path.display()))
        };
        let database = Database::builder()
            .set_cache_size(CACHE_LEN)
            .create(path)
            .map_err(|error| named(&error))?;
        let store = Self { database };
        // So that reading finds the table.
        store.change(|_| Ok(())).map_err(|error| named(&error))?;
        Ok(store)
    }

    /// Stores a registration, durably.
    ///
    /// # Errors
    /// It cannot be written; nothing has changed then.
    pub(super) fn put(&self, message: &RegisterExecutor<'_>) -> Result<(), ShuffleError> {
        let mut bytes = vec![0; message.encoded_len()];
        let written = message.encode(&mut bytes);
        written.map_err(|error| ShuffleError::Store(error.to_string()))?;
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

    /// Gives every registration to `visit`; one that cannot be read is left out, with a warning.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn for_each(
        &self,
        mut visit: impl FnMut(RegisterExecutor<'_>),
    ) -> Result<(), ShuffleError> {
        let mut read = || -> Result<(), redb::Error> {
            let table = self.database.begin_read()?.open_table(EXECUTORS)?;
            for entry in table.iter()? {
                let (_, bytes) = entry?;
                match RegisterExecutor::decode(bytes.value()) {
                    Ok(message) => visit(message),
                    Err(error) => tracing::warn!(
                        target: "ringrail::shuffle", %error, "a stored executor cannot be read"
                    ),
                }
            }
            Ok(())
        };
        read().map_err(|error| ShuffleError::Store(error.to_string()))
    }

    fn change(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, (&'static str, &'static str), &'static [u8]>,
        ) -> Result<(), redb::StorageError>,
    ) -> Result<(), ShuffleError> {
        let run = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            change(&mut transaction.open_table(EXECUTORS)?)?;
            transaction.commit()?;
            Ok(())
        };
        run().map_err(|error| ShuffleError::Store(error.to_string()))
    }
}
