//! Errors of a configuration.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::value::ValueError;

/// An error of a configuration, naming the key.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfError {
    /// No value is set, and there is no default (Spark: `NoSuchElementException`).
    #[error("the config key {key} is not set and has no default")]
    NotSet {
        /// The key that was asked for.
        key: String,
    },
    /// A value that the key cannot have.
    #[error("Illegal value for config key {key}{}: {cause}", other_key(key, .set_as))]
    IllegalValue {
        /// The key that was asked for.
        key: String,
        /// The key under which the value is set: the same, or one of its alternates.
        set_as: String,
        /// Why it cannot be.
        cause: ValueError,
    },
    /// No such key.
    #[error("there is no config key {key}{}", did_you_mean(.nearest))]
    Unknown {
        /// The key.
        key: String,
        /// The key that is written most like it.
        nearest: Option<&'static str>,
    },
    /// A value refers to itself (Spark's words).
    #[error("Circular reference in {input}: {key}")]
    Circular {
        /// The text that was being substituted.
        input: String,
        /// The key that led back.
        key: String,
    },
    /// References lead to more references than anybody means.
    #[error("a value has more than {limit} references to replace; the last was ${{{key}}}")]
    TooManyReferences {
        /// The key that the last one named.
        key: String,
        /// The most that are replaced.
        limit: usize,
    },
    /// Values that do not fit together.
    #[error("{0}")]
    Conflict(String),
    /// A properties file could not be read.
    #[error("cannot read the properties file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// A properties file has a line that means nothing.
    #[error("line {line} of the properties {}: {cause}", place(.path))]
    BadLine {
        /// The file, if it was one.
        path: Option<PathBuf>,
        /// The line, from 1.
        line: usize,
        /// The error of the value.
        cause: ValueError,
    },
    /// A variable of the environment cannot be read.
    #[error("the variable {variable} of the environment is not UTF-8")]
    NotText {
        /// The variable.
        variable: String,
    },
    /// A `key=value` that is none.
    #[error("`{text}` is no setting: write key=value")]
    NoPair {
        /// The text.
        text: String,
    },
}

impl ConfError {
    pub(super) fn not_set(key: &str) -> Self {
        ConfError::NotSet {
            key: key.to_owned(),
        }
    }

    pub(super) fn illegal(key: &str, set_as: &str, cause: ValueError) -> Self {
        ConfError::IllegalValue {
            key: key.to_owned(),
            set_as: set_as.to_owned(),
            cause,
        }
    }
}

fn other_key(key: &str, set_as: &str) -> String {
    if key == set_as {
        String::new()
    } else {
        format!(" (set as {set_as})")
    }
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean {key}?"))
}

fn place(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(
        || String::from("text"),
        |path| format!("file {}", path.display()),
    )
}
