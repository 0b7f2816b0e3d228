//! References in values: `${env:NAME}` and `${some.key}`.
//!
//! Follows Spark's `ConfigReader`: only typed entries look at them. `${some.key}` stands for what a
//! `ringrail.` or `spark.` key is set to, or has by default; `${env:NAME}` for a variable of the
//! environment. What cannot be resolved stays as it is written, and so does `${system:…}`, for there
//! are no system properties here. A reference that leads back to itself is an error.

use std::env;

use super::error::ConfError;
use super::keys;
use super::map::Conf;

impl Conf {
    /// Replaces the references in `input`.
    pub(super) fn substitute(&self, input: &str) -> Result<String, ConfError> {
        if !input.contains("${") {
            return Ok(input.to_owned());
        }
        self.expand(input, &mut Vec::new())
    }

    /// `seen` holds the references on the way here.
    fn expand(&self, input: &str, seen: &mut Vec<String>) -> Result<String, ConfError> {
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
            if seen.iter().any(|other| other == name) {
                let (input, key) = (input.to_owned(), name.to_owned());
                return Err(ConfError::Circular { input, key });
            }
            match self.resolve(name)? {
                None => out.push_str(&from[..name.len() + 3]),
                Some(value) => {
                    seen.push(name.to_owned());
                    out.push_str(&self.expand(&value, seen)?);
                    seen.pop();
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
        Ok(keys::index().entry(name).and_then(keys::default_value))
    }
}

/// The name in a text that begins with `${name}`: not empty, without white space.
fn reference(text: &str) -> Option<&str> {
    let name = &text[2..text.find('}')?];
    let whole = !name.is_empty() && !name.contains(char::is_whitespace) && !name.contains("${");
    whole.then_some(name)
}
