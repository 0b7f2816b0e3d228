//! `ringrail conf`: the configuration keys, one of them, what a properties file says.

mod check;
mod explain;
mod list;

use clap::{Args, Subcommand};
use ringrail::conf::{AnyEntry, DefaultText, keys, variable_of};
use serde::Serialize;

use super::failure::Outcome;

/// List and explain configuration keys, and look for mistakes in properties files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail conf list                               every key of ringrail, with its default
  ringrail conf list timeout --spark               those with `timeout` in the name, Spark's too
  ringrail conf list --json                        the table as JSON
  ringrail conf explain ringrail.rpc.askTimeout    everything about one key, and its value here
  ringrail conf explain spark.akka.frameSize       what became of one of Spark's old keys
  ringrail conf check /etc/ringrail.conf           mistakes, unknown and old keys

Exit codes: 0 done, nothing wrong; 1 failed, no such key, or something is wrong with the file; 2 wrong
arguments.")]
pub(crate) struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(list::List),
    Explain(explain::Explain),
    Check(check::Check),
}

impl Command {
    pub(crate) fn run(self) -> Outcome {
        match self.what {
            What::List(list) => list.run(),
            What::Explain(explain) => explain.run(),
            What::Check(check) => check.run(),
        }
    }
}

/// A key, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    key: &'static str,
    family: &'static str,
    r#type: String,
    default: Option<String>,
    allowed: Option<String>,
    other_names: Vec<OtherName>,
    variable: String,
    meaning: String,
    since: &'static str,
    deprecated_since: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct OtherName {
    key: &'static str,
    given_up_in_spark: Option<&'static str>,
}

impl Row {
    fn new(family: &'static str, entry: &'static dyn AnyEntry) -> Self {
        let bounds = entry.bounds();
        let names = keys::other_names(entry.key());
        Self {
            key: entry.key(),
            family,
            r#type: entry.kind().to_string(),
            default: default(entry),
            allowed: Some(bounds).filter(|bounds| !bounds.is_empty()),
            other_names: names
                .into_iter()
                .map(|name| OtherName {
                    key: name.key,
                    given_up_in_spark: name.since,
                })
                .collect(),
            variable: variable_of(entry.key()),
            meaning: entry.doc(),
            since: entry.since(),
            deprecated_since: entry.deprecated().map(|gone| gone.since),
        }
    }
}

/// The value of a key that is not set, as text for people.
fn default(entry: &dyn AnyEntry) -> Option<String> {
    match entry.default_text() {
        DefaultText::Absent => None,
        DefaultText::Value(text) => Some(text.to_owned()),
        DefaultText::Computed(says) => Some(says.to_owned()),
        DefaultText::Key(key) => Some(format!("that of {key}")),
    }
}

/// The keys, with the titles of their families.
fn all() -> impl Iterator<Item = (&'static str, &'static dyn AnyEntry)> {
    let families = keys::all().iter();
    families.flat_map(|family| family.entries.iter().map(|entry| (family.title, *entry)))
}
