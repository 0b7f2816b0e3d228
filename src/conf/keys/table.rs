//! The table of keys, by name.

use std::collections::HashMap;
use std::sync::LazyLock;

use strsim::normalized_damerau_levenshtein;

use super::super::alternate::Alternate;
use super::super::deprecation::Deprecated;
use super::super::entry::AnyEntry;
use super::super::load::variable_of;
use super::{all, spark};

/// Names that differ by more than this part of their length are not suggested.
const SIMILAR: f64 = 0.7;

/// The table by name.
pub(in crate::conf) struct Index {
    entries: HashMap<&'static str, &'static dyn AnyEntry>,
    alternates: HashMap<&'static str, &'static [Alternate]>,
    renamed: HashMap<&'static str, (&'static str, &'static str)>,
    deprecated: HashMap<&'static str, Deprecated>,
    /// Names of variables, and the keys they set.
    variables: HashMap<String, &'static str>,
}

/// Built at the first use.
pub(in crate::conf) fn index() -> &'static Index {
    static INDEX: LazyLock<Index> = LazyLock::new(Index::build);
    &INDEX
}

impl Index {
    fn build() -> Self {
        let mut index = Self {
            entries: HashMap::new(),
            alternates: HashMap::new(),
            renamed: HashMap::new(),
            deprecated: HashMap::new(),
            variables: HashMap::new(),
        };
        for entry in all().iter().flat_map(|family| family.entries) {
            index.entries.insert(entry.key(), *entry);
            index
                .variables
                .insert(variable_of(entry.key()), entry.key());
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

    /// The key that a variable of the environment sets.
    pub(in crate::conf) fn of_variable(&self, name: &str) -> Option<&'static str> {
        self.variables.get(name).copied()
    }

    /// The variable of a key that is written most like `name`.
    pub(in crate::conf) fn nearest_variable(&'static self, name: &str) -> Option<&'static str> {
        most_like(name, self.variables.keys().map(String::as_str))
    }

    /// The known key that is written most like `key`.
    pub(in crate::conf) fn nearest(&self, key: &str) -> Option<&'static str> {
        let family = key.split('.').next().unwrap_or_default();
        let known = self.entries.keys().copied();
        most_like(key, known.filter(|known| known.starts_with(family)))
    }
}

/// The name that differs least from `text`, if any is near enough to be meant.
fn most_like(text: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let likeness = names.map(|name| {
        let likeness = normalized_damerau_levenshtein(&text, &name.to_ascii_lowercase());
        (likeness, name)
    });
    // Of two that are equally near, always the same one.
    let best = likeness.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
    best.filter(|(likeness, _)| *likeness >= SIMILAR)
        .map(|(_, name)| name)
}
