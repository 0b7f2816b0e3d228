//! References in values: `${env:NAME}` and `${some.key}`.
//!
//! Follows Spark's `ConfigReader`: only typed entries look at them. `${some.key}` stands for what a
//! `ringrail.` or `spark.` key is set to, or has by default; `${env:NAME}` for a variable of the
//! environment. References that cannot be resolved stay as written, and so does `${system:…}`,
//! because there are no system properties here. A reference that leads back to itself is an error.

use std::env;

use super::entry::{AnyEntry, DefaultText};
use super::error::ConfError;
use super::keys;
use super::map::Conf;

/// The most references that are replaced in one value: a few that refer to each other twice would
/// otherwise take exponential time.
const MAX_REFERENCES: usize = 1024;

/// How far replacing has come.
#[derive(Default)]
struct Progress {
    /// The references on the way to the text that is being read.
    seen: Vec<String>,
    /// How many have been replaced.
    replaced: usize,
}

impl Conf {
    /// Replaces the references in `input`.
    pub(super) fn substitute(&self, input: &str) -> Result<String, ConfError> {
        if !input.contains("${") {
            return Ok(input.to_owned());
        }
        self.expand(input, &mut Progress::default())
    }

    fn expand(&self, input: &str, progress: &mut Progress) -> Result<String, ConfError> {
        let mut out = String::with_capacity(input.len());
        let mut rest = input;
        while let Some(start) = rest.find("${") {
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let Some(name) = reference(from) else {
                out.push_str("${");
                rest = &from[2..];
                continue;
            };
            if progress.seen.iter().any(|other| other == name) {
                let (input, key) = (input.to_owned(), name.to_owned());
                return Err(ConfError::Circular { input, key });
            }
            match self.resolve(name)? {
                None => out.push_str(&from[..name.len() + 3]),
                Some(value) => {
                    progress.replaced += 1;
                    if progress.replaced > MAX_REFERENCES {
                        let (key, limit) = (name.to_owned(), MAX_REFERENCES);
                        return Err(ConfError::TooManyReferences { key, limit });
                    }
                    progress.seen.push(name.to_owned());
                    out.push_str(&self.expand(&value, progress)?);
                    progress.seen.pop();
                }
            }
            rest = &from[name.len() + 3..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn resolve(&self, name: &str) -> Result<Option<String>, ConfError> {
        if let Some(variable) = name.strip_prefix("env:") {
            return Ok(env::var(variable).ok());
        }
        if !name.starts_with("ringrail.") && !name.starts_with("spark.") {
            return Ok(None);
        }
        if let Some(found) = self.find(name)? {
            return Ok(Some(found.text));
        }
        let entry = keys::index().entry(name);
        match entry.map(AnyEntry::default_text) {
            Some(DefaultText::Key(other)) => self.resolve(other),
            Some(DefaultText::Value(text)) => Ok(Some(text.to_owned())),
            Some(DefaultText::Computed(_)) => entry.map_or(Ok(None), |it| it.value_in(self)),
            Some(DefaultText::Absent) | None => Ok(None),
        }
    }
}

/// The name in a text that begins with `${name}`: not empty, without white space.
fn reference(text: &str) -> Option<&str> {
    let name = &text[2..text.find('}')?];
    let whole = !name.is_empty() && !name.contains(char::is_whitespace) && !name.contains("${");
    whole.then_some(name)
}
