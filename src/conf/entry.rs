//! [`ConfigEntry`]: a key with everything that is known about it.
//!
//! Entries are statics, written down in [`keys`](super::keys) and nowhere else. Reading, checking,
//! `docs/configuration.md` and `ringrail conf` all come from them.

use std::fmt;
use std::marker::PhantomData;

use super::alternate::Alternate;
use super::deprecation::Deprecated;
use super::error::ConfError;
use super::map::Conf;
use super::size::ByteUnit;
use super::time::TimeUnit;
use super::value::{ConfigValue, Kind, ValueError};

/// The value of a key that is not set.
pub(super) enum Fallback<T: 'static> {
    /// None.
    Absent,
    /// This value.
    Value(&'static str),
    /// The result of this function.
    Computed(&'static str, fn() -> String),
    /// The value of another key.
    Entry(&'static ConfigEntry<T>),
}

impl<T> Clone for Fallback<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Fallback<T> {}

/// A rule that a value has to keep besides its range.
struct Rule<T> {
    holds: fn(&T) -> bool,
    says: &'static str,
}

impl<T> Clone for Rule<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rule<T> {}

/// A typed key (Spark: `ConfigEntry`, `ConfigBuilder`).
///
/// ```
/// use ringrail::conf::{ConfigEntry, Conf, entry};
/// use std::time::Duration;
///
/// static PATIENCE: ConfigEntry<Duration> =
///     entry::time(ringrail::conf::TimeUnit::Seconds).default("30s").named("my.patience", "How long");
///
/// let mut conf = Conf::new();
/// assert_eq!(conf.get_entry(&PATIENCE)?, Duration::from_secs(30));
/// conf.set("my.patience", "2min");
/// assert_eq!(conf.get_entry(&PATIENCE)?, Duration::from_secs(120));
/// # Ok::<(), ringrail::conf::ConfError>(())
/// ```
pub struct ConfigEntry<T: 'static> {
    key: &'static str,
    doc: &'static str,
    kind: Kind,
    default: Fallback<T>,
    range: Option<(&'static str, &'static str)>,
    rule: Option<Rule<T>>,
    alternates: &'static [Alternate],
    deprecated: Option<Deprecated>,
    since: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> Clone for ConfigEntry<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: 'static> Copy for ConfigEntry<T> {}

impl<T: 'static> fmt::Debug for ConfigEntry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigEntry")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An entry of `kind`, to be [`named`](ConfigEntry::named).
pub const fn of<T>(kind: Kind) -> ConfigEntry<T> {
    ConfigEntry {
        key: "",
        doc: "",
        kind,
        default: Fallback::Absent,
        range: None,
        rule: None,
        alternates: &[],
        deprecated: None,
        since: "0.1.0",
        value: PhantomData,
    }
}

/// An entry that is on or off.
pub const fn flag<T>() -> ConfigEntry<T> {
    of(Kind::Bool)
}

/// An entry for a whole number.
pub const fn int<T>() -> ConfigEntry<T> {
    of(Kind::Int)
}

/// An entry for a text.
pub const fn text<T>() -> ConfigEntry<T> {
    of(Kind::Text)
}

/// An entry for texts between commas.
pub const fn list<T>() -> ConfigEntry<T> {
    of(Kind::List)
}

/// An entry for a time; a bare number is one of `unit`.
pub const fn time<T>(unit: TimeUnit) -> ConfigEntry<T> {
    of(Kind::Time(unit))
}

/// An entry for a time; a bare number is one of `unit`, a negative one counts as 0.
pub const fn time_or_zero<T>(unit: TimeUnit) -> ConfigEntry<T> {
    of(Kind::TimeOrZero(unit))
}

/// An entry for a size; a bare number is one of `unit`.
pub const fn size<T>(unit: ByteUnit) -> ConfigEntry<T> {
    of(Kind::Size(unit))
}

/// An entry for one of these words.
pub const fn choice<T>(words: &'static [&'static str]) -> ConfigEntry<T> {
    of(Kind::Choice(words))
}

impl<T: 'static> ConfigEntry<T> {
    /// Sets the value that applies if the key is not set.
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Fallback::Value(text);
        self
    }

    /// As [`default`](ConfigEntry::default), worked out when it is read; `says` tells how.
    pub const fn computed(mut self, says: &'static str, value: fn() -> String) -> Self {
        self.default = Fallback::Computed(says, value);
        self
    }

    /// If the key is not set, the value of `entry` applies (Spark: `fallbackConf`).
    pub const fn falls_back_to(mut self, entry: &'static ConfigEntry<T>) -> Self {
        self.default = Fallback::Entry(entry);
        self
    }

    /// The least and the greatest value.
    pub const fn range(mut self, min: &'static str, max: &'static str) -> Self {
        self.range = Some((min, max));
        self
    }

    /// A rule for values; `says` completes "must be …" (Spark: `checkValue`).
    pub const fn rule(mut self, holds: fn(&T) -> bool, says: &'static str) -> Self {
        self.rule = Some(Rule { holds, says });
        self
    }

    /// Keys that are looked at, in this order, where this one is not set.
    pub const fn alternates(mut self, alternates: &'static [Alternate]) -> Self {
        self.alternates = alternates;
        self
    }

    /// Setting it warns.
    pub const fn deprecated(mut self, since: &'static str, advice: &'static str) -> Self {
        self.deprecated = Some(Deprecated::new(self.key, since, advice));
        self
    }

    /// The version in which it came: of Spark for Spark's keys, of ringrail for its own.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }

    /// Its key and meaning. Comes last.
    pub const fn named(mut self, key: &'static str, doc: &'static str) -> Self {
        self.key = key;
        self.doc = doc;
        if let Some(deprecated) = self.deprecated {
            self.deprecated = Some(Deprecated { key, ..deprecated });
        }
        self
    }

    /// The key.
    pub const fn key(&self) -> &'static str {
        self.key
    }
}

impl<T: ConfigValue> ConfigEntry<T> {
    /// Reads a text and checks it.
    ///
    /// # Errors
    /// It is no value of this type, or one that the range or the rule forbids.
    pub fn parse(&self, text: &str) -> Result<T, ValueError> {
        let value = T::parse(text, self.kind)?;
        if let Some((min, max)) = self.range {
            let (least, most) = (T::parse(min, self.kind)?, T::parse(max, self.kind)?);
            let below = value.compare(&least).is_some_and(|order| order.is_lt());
            let above = value.compare(&most).is_some_and(|order| order.is_gt());
            if below || above {
                let text = text.trim();
                return Err(ValueError::new(format!(
                    "must be {min} to {max}, but was {text}"
                )));
            }
        }
        match self.rule {
            Some(rule) if !(rule.holds)(&value) => Err(ValueError::new(format!(
                "must be {}, but was {}",
                rule.says,
                text.trim()
            ))),
            _ => Ok(value),
        }
    }

    /// Writes a value as [`parse`](ConfigEntry::parse) reads it.
    pub fn format(&self, value: &T) -> String {
        value.format(self.kind)
    }

    /// The value in `conf`: the one that is set, or the default.
    ///
    /// # Errors
    /// If the text that is set is invalid, or none is set and there is no default.
    pub(super) fn read(&self, conf: &Conf) -> Result<T, ConfError> {
        if let Some(found) = conf.find(self.key)? {
            let text = conf.substitute(&found.text)?;
            let value = self.parse(&text);
            return value.map_err(|cause| ConfError::illegal(self.key, found.key, cause));
        }
        match self.default {
            Fallback::Entry(entry) => entry.read(conf),
            Fallback::Absent => T::absent().ok_or_else(|| ConfError::not_set(self.key)),
            Fallback::Value(text) => self.parse_default(text),
            Fallback::Computed(_, value) => self.parse_default(&value()),
        }
    }

    fn parse_default(&self, text: &str) -> Result<T, ConfError> {
        let value = self.parse(text);
        value.map_err(|cause| ConfError::illegal(self.key, self.key, cause))
    }
}

/// The value of a key that is not set, as text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultText {
    /// None.
    Absent,
    /// This value.
    Value(&'static str),
    /// A value that is worked out so.
    Computed(&'static str),
    /// The value of this key.
    Key(&'static str),
}

/// An entry of any type: a row of the table.
pub trait AnyEntry: Sync + fmt::Debug {
    /// The key.
    fn key(&self) -> &'static str;
    /// The meaning of the key, in Markdown.
    fn doc(&self) -> String;
    /// The type and unit.
    fn kind(&self) -> Kind;
    /// The value that applies if the key is not set.
    fn default_text(&self) -> DefaultText;
    /// The range and rule, as text for people: `4k to 1g; a multiple of 16`.
    fn bounds(&self) -> String;
    /// The keys that are read if this one is not set.
    fn alternates(&self) -> &'static [Alternate];
    /// Whether setting it warns.
    fn deprecated(&self) -> Option<Deprecated>;
    /// The version in which it came.
    fn since(&self) -> &'static str;
    /// Whether `text` is a value of it.
    ///
    /// # Errors
    /// Why it is none.
    fn check(&self, text: &str) -> Result<(), ValueError>;
    /// The value in `conf` as text; `None` if it has none.
    ///
    /// # Errors
    /// If the text that is set is invalid.
    fn value_in(&self, conf: &Conf) -> Result<Option<String>, ConfError>;
}

impl<T: ConfigValue> AnyEntry for ConfigEntry<T> {
    fn key(&self) -> &'static str {
        self.key
    }

    fn doc(&self) -> String {
        let lines = self.doc.split('\n').map(str::trim);
        lines.collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn default_text(&self) -> DefaultText {
        match self.default {
            Fallback::Absent => DefaultText::Absent,
            Fallback::Value(text) => DefaultText::Value(text),
            Fallback::Computed(says, _) => DefaultText::Computed(says),
            Fallback::Entry(entry) => DefaultText::Key(entry.key),
        }
    }

    fn bounds(&self) -> String {
        let range = self.range.map(|(min, max)| format!("{min} to {max}"));
        let rule = self.rule.map(|rule| rule.says.to_owned());
        let parts: Vec<_> = range.into_iter().chain(rule).collect();
        parts.join("; ")
    }

    fn alternates(&self) -> &'static [Alternate] {
        self.alternates
    }

    fn deprecated(&self) -> Option<Deprecated> {
        self.deprecated
    }

    fn since(&self) -> &'static str {
        self.since
    }

    fn check(&self, text: &str) -> Result<(), ValueError> {
        self.parse(text).map(drop)
    }

    fn value_in(&self, conf: &Conf) -> Result<Option<String>, ConfError> {
        match self.read(conf) {
            Ok(value) => Ok(Some(self.format(&value)).filter(|text| !text.is_empty())),
            Err(ConfError::NotSet { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
