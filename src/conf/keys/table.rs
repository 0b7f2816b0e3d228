//! What is known of a key, by its name.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::super::alternate::Alternate;
use super::super::deprecation::Deprecated;
use super::super::entry::{AnyEntry, DefaultText};
use super::super::map::Conf;
use super::{all, spark};

/// Names that differ by more than this part of their length are not suggested.
const SIMILAR: f64 = 0.7;

/// The table by name.
pub(in crate::conf) struct Index {
    entries: HashMap<&'static str, &'static dyn AnyEntry>,
    alternates: HashMap<&'static str, &'static [Alternate]>,
    renamed: HashMap<&'static str, (&'static str, &'static str)>,
    deprecated: HashMap<&'static str, Deprecated>,
}

/// Built at the first use.
pub(in crate::conf) fn index() -> &'static Index {
    static INDEX: LazyLock<Index> = LazyLock::new(Index::build);
    &INDEX
}

/// What an entry has where nothing is set.
pub(in crate::conf) fn default_value(entry: &dyn AnyEntry) -> Option<String> {
    match entry.default_text() {
        DefaultText::Value(text) => Some(text.to_owned()),
        _ => entry.value_in(&Conf::new()).ok().flatten(),
    }
}

impl Index {
    fn build() -> Self {
        let mut index = Self {
            entries: HashMap::new(),
            alternates: HashMap::new(),
            renamed: HashMap::new(),
            deprecated: HashMap::new(),
        };
        for entry in all().iter().flat_map(|family| family.entries) {
            index.entries.insert(entry.key(), *entry);
            index.add_alternates(entry.key(), entry.alternates());
            if let Some(deprecated) = entry.deprecated() {
                index.deprecated.insert(entry.key(), deprecated);
            }
        }
        for (key, alternates) in spark::RENAMED {
            index.add_alternates(key, alternates);
        }
        for deprecated in spark::DEPRECATED {
            index.deprecated.insert(deprecated.key, *deprecated);
        }
        index
    }

    fn add_alternates(&mut self, key: &'static str, alternates: &'static [Alternate]) {
        if alternates.is_empty() {
            return;
        }
        self.alternates.insert(key, alternates);
        for other in alternates {
            if let Some(since) = other.since {
                self.renamed.insert(other.key, (key, since));
            }
        }
    }

    pub(in crate::conf) fn entry(&self, key: &str) -> Option<&'static dyn AnyEntry> {
        self.entries.get(key).copied()
    }

    pub(in crate::conf) fn alternates(&self, key: &str) -> &'static [Alternate] {
        self.alternates.get(key).copied().unwrap_or_default()
    }

    /// The key that has taken the place of this one, and since when.
    pub(in crate::conf) fn renamed(&self, key: &str) -> Option<(&'static str, &'static str)> {
        self.renamed.get(key).copied()
    }

    pub(in crate::conf) fn deprecated(&self, key: &str) -> Option<Deprecated> {
        self.deprecated.get(key).copied()
    }

    /// The known key that is written most like `key`.
    pub(in crate::conf) fn nearest(&self, key: &str) -> Option<&'static str> {
        let lower = key.to_ascii_lowercase();
        let family = lower.split('.').next().unwrap_or_default();
        let known = self
            .entries
            .keys()
            .filter(|known| known.starts_with(family));
        let likeness = known.map(|known| {
            let likeness =
                strsim::normalized_damerau_levenshtein(&lower, &known.to_ascii_lowercase());
            (likeness, *known)
        });
        // Of two that are equally near, always the same one.
        let best = likeness.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
        best.filter(|(likeness, _)| *likeness >= SIMILAR)
            .map(|(_, known)| known)
    }
}
