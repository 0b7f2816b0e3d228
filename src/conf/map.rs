//! [`Conf`]: keys and what they are set to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::deprecation::Notice;
use super::entry::{AnyEntry, ConfigEntry};
use super::error::ConfError;
use super::keys;
use super::value::ConfigValue;

/// A configuration (Spark: `SparkConf`).
///
/// It holds what was set, as text; types, defaults and checks come from the key's
/// [entry](ConfigEntry) when it is read. Reading a key that is not set looks at its alternates, so
/// Spark's names work, old and new. Setting a deprecated or unknown key warns.
///
/// Setters take `&mut self`: what is built is handed on and then stays as it is, which is how Spark
/// wants its own to be used, though any thread can change that one. A clone costs a reference count
/// (it is written anew when either side changes) and warns of nothing; it may be read from any thread.
///
/// ```
/// use ringrail::conf::Conf;
/// use ringrail::conf::keys::rpc;
///
/// let mut conf = Conf::new();
/// conf.set("spark.rpc.askTimeout", "5s").set("ringrail.rpc.inbox.capacity", "100");
/// assert_eq!(conf.get_entry(&rpc::ASK_TIMEOUT)?.as_secs(), 5);
/// assert_eq!(conf.get_entry(&rpc::LOOKUP_TIMEOUT)?.as_secs(), 120);
/// # Ok::<(), ringrail::conf::ConfError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Conf {
    values: Arc<BTreeMap<String, String>>,
}

/// The value found for a key.
pub(super) struct Found<'a> {
    /// The key that is set: the one asked for, or an alternate of it.
    pub(super) key: &'a str,
    /// The text that is set, translated.
    pub(super) text: String,
}

impl Conf {
    /// One in which nothing is set (Spark: `new SparkConf(false)`).
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key. Warns where the key was given up or is unknown, and stores the value in any case.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let key = key.into();
        warn(&key);
        Arc::make_mut(&mut self.values).insert(key, value.into());
        self
    }

    /// As [`set`](Conf::set), for building in one expression.
    ///
    /// ```
    /// use ringrail::conf::Conf;
    ///
    /// let conf = Conf::new().with("ringrail.rpc.shards", "2").with("my.own", "x");
    /// assert_eq!(conf.get("my.own")?, "x");
    /// # Ok::<(), ringrail::conf::ConfError>(())
    /// ```
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.set(key, value);
        self
    }

    /// As [`set`](Conf::set), and refuses what could not be read: a `ringrail.` key that does not
    /// exist, and a value that its key cannot have. References (`${…}`) are not looked into.
    ///
    /// # Errors
    /// [`ConfError::Unknown`], [`ConfError::IllegalValue`]; nothing has changed.
    pub fn try_set(&mut self, key: &str, value: &str) -> Result<&mut Self, ConfError> {
        if let Some(Notice::Unknown { key, nearest }) = Notice::of(key) {
            return Err(ConfError::Unknown { key, nearest });
        }
        if let Some(entry) = keys::index().entry(key)
            && !value.contains("${")
        {
            let checked = entry.check(value);
            checked.map_err(|cause| ConfError::illegal(key, key, cause))?;
        }
        Ok(self.set(key, value))
    }

    /// Sets a typed key.
    ///
    /// # Errors
    /// The range or the rule of the entry forbids the value; nothing has changed.
    pub fn set_entry<T: ConfigValue>(
        &mut self,
        entry: &ConfigEntry<T>,
        value: &T,
    ) -> Result<&mut Self, ConfError> {
        let text = entry.format(value);
        let checked = entry.check(&text);
        checked.map_err(|cause| ConfError::illegal(entry.key(), entry.key(), cause))?;
        Ok(self.set(entry.key(), text))
    }

    /// Sets a key unless it is set already; its alternates are not looked at, as in Spark.
    pub fn set_if_missing(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> &mut Self {
        let key = key.into();
        if !self.values.contains_key(&key) {
            self.set(key, value);
        }
        self
    }

    /// Sets all of these.
    pub fn set_all<K, V>(&mut self, pairs: impl IntoIterator<Item = (K, V)>) -> &mut Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        for (key, value) in pairs {
            self.set(key, value);
        }
        self
    }

    /// Forgets a key; its alternates stay as they are.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        if self.values.contains_key(key) {
            Arc::make_mut(&mut self.values).remove(key);
        }
        self
    }

    /// Whether a key is set, or one of its alternates.
    pub fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
            || keys::index()
                .alternates(key)
                .iter()
                .any(|other| self.contains(other.key))
    }

    /// Sets pairs of another configuration, of which that one has warned.
    pub(super) fn copy<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
        let values = Arc::make_mut(&mut self.values);
        values.extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    /// Everything that is set, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many keys are set.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a typed key: the one that is set, with references replaced, or its default.
    ///
    /// # Errors
    /// If the text that is set is invalid, or none is set and there is no default.
    pub fn get_entry<T: ConfigValue>(&self, entry: &ConfigEntry<T>) -> Result<T, ConfError> {
        entry.read(self)
    }

    /// The text that `key` itself is set to.
    pub(super) fn own(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The text set for a key: under the key itself, or under the first of its alternates that is
    /// set.
    pub(super) fn find<'a>(&self, key: &'a str) -> Result<Option<Found<'a>>, ConfError> {
        if let Some(text) = self.own(key) {
            let text = text.to_owned();
            return Ok(Some(Found { key, text }));
        }
        for other in keys::index().alternates(key) {
            let Some(found) = self.find(other.key)? else {
                continue;
            };
            let text = match other.translation {
                None => found.text,
                Some(translate) => translate(&found.text)
                    .map_err(|cause| ConfError::illegal(key, found.key, cause))?,
            };
            let key = found.key;
            return Ok(Some(Found { key, text }));
        }
        Ok(None)
    }
}

fn warn(key: &str) {
    if let Some(notice) = Notice::of(key) {
        tracing::warn!(target: "ringrail::conf", key, "{notice}");
    }
}

impl fmt::Debug for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redaction = self.redaction();
        let shown = self
            .iter()
            .map(|(key, value)| (key, redaction.of(key, value)));
        f.debug_map().entries(shown).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Conf {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut conf = Self::new();
        conf.set_all(pairs);
        conf
    }
}
