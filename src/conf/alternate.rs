//! Other keys that are looked at where a key itself is not set, in their order.

use super::value::ValueError;

/// Turns the text of an old key into one that suits the new key.
pub type Translation = fn(&str) -> Result<String, ValueError>;

/// Another key for the same setting (Spark: `AlternateConfig`).
///
/// A value set under it stays stored under it, and is found when the new key is read.
#[derive(Clone, Copy, Debug)]
pub struct Alternate {
    /// The other key.
    pub key: &'static str,
    /// The version of Spark in which it was given up; setting it then warns. `None` for a key that
    /// is as good as the first one.
    pub since: Option<&'static str>,
    /// The conversion of its text.
    pub translation: Option<Translation>,
}

impl Alternate {
    /// A key that may be used just as well.
    pub const fn same(key: &'static str) -> Self {
        Self {
            key,
            since: None,
            translation: None,
        }
    }

    /// A key that was given up in this version of Spark.
    pub const fn renamed(key: &'static str, since: &'static str) -> Self {
        Self {
            key,
            since: Some(since),
            translation: None,
        }
    }

    /// Its text is translated.
    pub const fn translated(mut self, translation: Translation) -> Self {
        self.translation = Some(translation);
        self
    }
}

/// A bare number was one of mebibytes.
#[cfg(feature = "block")]
pub(super) fn mebibytes(text: &str) -> Result<String, ValueError> {
    let text = text.trim();
    match text.parse::<u64>() {
        Ok(number) => Ok(format!("{number}m")),
        Err(_) => Ok(text.to_owned()),
    }
}
