//! Counters of a service.

use std::collections::BTreeMap;

/// Counters by name: Spark's own, or those of a page in Prometheus's text format.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters(BTreeMap<String, f64>);

impl Counters {
    /// Reads Prometheus's text format. Values with labels are added up under the bare name.
    ///
    /// ```
    /// use ringrail_spark_peers::Counters;
    /// let page = "# TYPE a counter\na{shard=\"0\"} 2\na{shard=\"1\"} 3\nb 0.5\n";
    /// let counters = Counters::from_prometheus(page);
    /// assert_eq!((counters.get("a"), counters.get("b"), counters.get("c")), (5.0, 0.5, 0.0));
    /// ```
    #[must_use]
    pub fn from_prometheus(page: &str) -> Self {
        let mut counters = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let value = line.rsplit(' ').next().and_then(|value| value.parse().ok());
            if let Some(value) = value {
                *counters.entry(name.to_owned()).or_insert(0.0) += f64::max(value, 0.0);
            }
        }
        Self(counters)
    }

    /// Reads a peer's answer: every number in it.
    #[must_use]
    pub fn from_answer(answer: &serde_json::Value) -> Self {
        let fields = answer.as_object().into_iter().flatten();
        let numbers = fields.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
        Self(numbers.collect())
    }

    /// The counter `name`; 0 if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The first of `names` that exists.
    pub(crate) fn first(&self, names: &[&str]) -> f64 {
        let found = names.iter().find_map(|&name| self.0.get(name));
        found.copied().unwrap_or_default()
    }

    /// Every name and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, &value)| (name.as_str(), value))
    }
}
