//! Keys that were given up, and what is said when one is set.
//!
//! Three tests in Spark's order, and one more for unknown names; only the first that matches
//! reports. The value is stored in every case.

use std::fmt;

use super::keys;

/// A key that was given up without one that takes its place (Spark: `DeprecatedConfig`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecated {
    /// The key.
    pub key: &'static str,
    /// The version of Spark in which it was given up.
    pub since: &'static str,
    /// The replacement.
    pub advice: &'static str,
}

impl Deprecated {
    /// A key that was given up in this version of Spark.
    pub const fn new(key: &'static str, since: &'static str, advice: &'static str) -> Self {
        Self { key, since, advice }
    }
}

/// A notice about a key that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The key is deprecated.
    Deprecated(Deprecated),
    /// The key has been replaced by another.
    Renamed {
        /// The key that was set.
        key: String,
        /// The version of Spark in which it was given up.
        since: &'static str,
        /// The key that took its place.
        new_key: &'static str,
    },
    /// Akka's keys mean nothing any more.
    Akka {
        /// The key that was set.
        key: String,
    },
    /// ringrail has no such key.
    Unknown {
        /// The key that was set.
        key: String,
        /// The known key that is written most like it.
        nearest: Option<&'static str>,
    },
    /// A variable of the environment that belongs to no key.
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The variable of a key that is written most like it.
        nearest: Option<&'static str>,
    },
}

impl Notice {
    /// The notice for `key`, if there is one.
    pub fn of(key: &str) -> Option<Self> {
        let index = keys::index();
        if let Some(deprecated) = index.deprecated(key) {
            return Some(Notice::Deprecated(deprecated));
        }
        if let Some((new_key, since)) = index.renamed(key) {
            let key = key.to_owned();
            return Some(Notice::Renamed {
                key,
                since,
                new_key,
            });
        }
        if key.starts_with("spark.akka") || key.starts_with("spark.ssl.akka") {
            return Some(Notice::Akka {
                key: key.to_owned(),
            });
        }
        if key.starts_with("ringrail.") && index.entry(key).is_none() {
            return Some(Notice::Unknown {
                key: key.to_owned(),
                nearest: index.nearest(key),
            });
        }
        None
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Deprecated(Deprecated { key, since, advice }) => write!(
                f,
                "The configuration key '{key}' has been deprecated as of Spark {since} and may be \
                 removed in the future. {advice}"
            ),
            Notice::Renamed {
                key,
                since,
                new_key,
            } => write!(
                f,
                "The configuration key '{key}' has been deprecated as of Spark {since} and may be \
                 removed in the future. Please use the new key '{new_key}' instead."
            ),
            Notice::Akka { key } => write!(
                f,
                "The configuration key {key} is not supported any more because Spark doesn't use \
                 Akka since 2.0"
            ),
            Notice::UnknownVariable { variable, nearest } => {
                write!(f, "The variable {variable} sets no configuration key")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean {nearest}?"),
                    None => Ok(()),
                }
            }
            Notice::Unknown { key, nearest } => {
                write!(
                    f,
                    "The configuration key '{key}' is unknown and does nothing"
                )?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean '{nearest}'?"),
                    None => f.write_str("; `ringrail conf list` prints those that there are"),
                }
            }
        }
    }
}
