//! Messages about executors and where their blocks lie.

use super::message::message;
use super::{Ints, Strings, StringsIter};
use crate::spark::FieldError;

message! {
    /// Tells the shuffle service where an executor writes its blocks. Answered by an empty body.
    RegisterExecutor<'a> {
        /// The application.
        app_id: &'a str,
        /// The executor.
        exec_id: &'a str,
        /// Its directories.
        local_dirs: Strings<'a>,
        /// How many directories are in each of them.
        sub_dirs_per_local_dir: i32,
        /// The class that writes its shuffle files; with push-based shuffle followed by `:` and JSON.
        shuffle_manager: &'a str,
    }
}

message! {
    /// Asks for the directories of executors. Answered by [`LocalDirsForExecutors`].
    GetLocalDirsForExecutors<'a> {
        /// The application.
        app_id: &'a str,
        /// The executors.
        exec_ids: Strings<'a>,
    }
}

message! {
    /// The directories of executors, in any order of the executors.
    LocalDirsForExecutors<'a> check every_dir_has_its_executor {
        /// The executors.
        exec_ids: Strings<'a>,
        /// How many directories each of them has.
        num_dirs: Ints<'a>,
        /// The directories, executor by executor.
        dirs: Strings<'a>,
    }
}

fn every_dir_has_its_executor(message: &LocalDirsForExecutors<'_>) -> Result<(), FieldError> {
    if message.num_dirs.len() != message.exec_ids.len() {
        return Err(FieldError::Value {
            field: "the number of num_dirs",
            value: message.num_dirs.len() as i64,
            expected: "the number of exec_ids",
        });
    }
    let mut sum = 0;
    for count in message.num_dirs {
        if count < 0 {
            return Err(FieldError::NegativeLen {
                field: "num_dirs",
                len: count,
            });
        }
        sum += i64::from(count);
    }
    if sum == message.dirs.len() as i64 {
        return Ok(());
    }
    Err(FieldError::Value {
        field: "the sum of num_dirs",
        value: sum,
        expected: "the number of dirs",
    })
}

impl<'a> LocalDirsForExecutors<'a> {
    /// Each executor with its directories.
    pub fn by_executor(&self) -> impl Iterator<Item = (&'a str, std::iter::Take<StringsIter<'a>>)> {
        let mut dirs = self.dirs.iter();
        self.exec_ids
            .iter()
            .zip(self.num_dirs.iter())
            .map(move |(exec_id, count)| {
                let count = usize::try_from(count).unwrap_or(0);
                let own = dirs.clone().take(count);
                dirs.by_ref().take(count).for_each(drop);
                (exec_id, own)
            })
    }
}

message! {
    /// Registers a driver with Mesos' shuffle service; gone in Spark 4.
    RegisterDriver<'a> {
        /// The application.
        app_id: &'a str,
        /// How long the driver may be silent, in ms.
        heartbeat_timeout_ms: i64,
    }
}

message! {
    /// Tells Mesos' shuffle service that a driver is alive; gone in Spark 4.
    ShuffleServiceHeartbeat<'a> {
        /// The application.
        app_id: &'a str,
    }
}
