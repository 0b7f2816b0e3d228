//! Secrets are not printed.

use std::borrow::Cow;

use regex_lite::Regex;

use super::keys::network::REDACTION_REGEX;
use super::map::Conf;

/// Replacement for a secret value; Spark's text.
pub const REDACTED: &str = "*********(redacted)";

/// Tells which values are secret.
pub(super) struct Redaction {
    /// `None` where the expression is none: then everything is secret.
    secret: Option<Regex>,
}

impl Redaction {
    /// The value, or what stands in its place: if the expression is found in key or value.
    pub(super) fn of<'a>(&self, key: &str, value: &'a str) -> Cow<'a, str> {
        match &self.secret {
            Some(secret) if !secret.is_match(key) && !secret.is_match(value) => value.into(),
            _ => REDACTED.into(),
        }
    }
}

impl Conf {
    pub(super) fn redaction(&self) -> Redaction {
        let text = self.get_entry(&REDACTION_REGEX);
        Redaction {
            secret: text.ok().and_then(|text| Regex::new(&text).ok()),
        }
    }

    /// Everything that is set, a `key=value` a line, by key, without secrets (Spark:
    /// `toDebugString`). A value is secret if `ringrail.redaction.regex` matches its key or the
    /// value; while that is no valid regular expression, everything is secret.
    pub fn to_debug_string(&self) -> String {
        let redaction = self.redaction();
        let lines = self
            .iter()
            .map(|(key, value)| format!("{key}={}", redaction.of(key, value)));
        lines.collect::<Vec<_>>().join("\n")
    }
}
