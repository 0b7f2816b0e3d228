//! `ringrail conf explain`.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use ringrail::conf::{AnyEntry, Conf, ConfError, Notice, keys, variable_of};
use serde::Serialize;

use super::{Row, all, default};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output;
use crate::cli::settings::Settings;

/// Explain one key: its meaning, type, default, other names, and the value that it has here
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The key, or one of its other names
    #[arg(value_name = "KEY")]
    key: String,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The output of `--json`.
#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    row: Row,
    /// The keys that setting this one sets.
    sets: Vec<&'static str>,
    is_set: bool,
    /// None where it is not set, or cannot be read.
    value: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> Outcome {
        let found = all().find(|(_, entry)| entry.key() == self.key);
        let Some((family, entry)) = found else {
            return self.without_entry();
        };
        let conf = self.settings.load(&[])?;
        if self.json {
            output::json(&Explained {
                row: Row::new(family, entry),
                sets: keys::set_by(entry.key()),
                is_set: conf.contains(entry.key()),
                value: value(entry, &conf).unwrap_or_default(),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        explain(entry)?;
        let here = match value(entry, &conf) {
            Err(error) => error.to_string(),
            Ok(None) => String::from("not set"),
            Ok(Some(value)) if conf.contains(entry.key()) => value,
            Ok(Some(value)) => format!("{value} (by default)"),
        };
        output::line(format_args!("  here          {here}"))?;
        Ok(ExitCode::SUCCESS)
    }

    /// A key that has no row: renamed or unknown.
    fn without_entry(&self) -> Outcome {
        let key = &self.key;
        match Notice::of(key) {
            Some(Notice::Renamed { new_key, since, .. }) => {
                output::line(format_args!(
                    "{key} was given up in Spark {since}; {new_key} has taken its place"
                ))?;
                if let Some(entry) = keys::find(new_key) {
                    explain(entry)?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Some(notice @ (Notice::Deprecated(_) | Notice::Akka { .. })) => {
                output::line(notice)?;
                Ok(ExitCode::SUCCESS)
            }
            _ => Err(match keys::nearest(key) {
                Some(nearest) => anyhow!("there is no key {key}; did you mean {nearest}?"),
                None => {
                    anyhow!("there is no key {key}; `ringrail conf list` prints those there are")
                }
            }
            .into()),
        }
    }
}

fn explain(entry: &dyn AnyEntry) -> Result<(), Failure> {
    let names = keys::other_names(entry.key());
    let names = names.into_iter().map(|name| match name.since {
        None => name.key.to_owned(),
        Some(since) => format!("{} (given up in Spark {since})", name.key),
    });
    let names: Vec<_> = names.collect();
    let default = default(entry).unwrap_or_else(|| String::from("not set"));
    output::line(format_args!("{}\n  {}\n", entry.key(), entry.doc()))?;
    output::line(format_args!("  type          {}", entry.kind()))?;
    output::line(format_args!("  default       {default}"))?;
    if !entry.bounds().is_empty() {
        output::line(format_args!("  allowed       {}", entry.bounds()))?;
    }
    if !names.is_empty() {
        output::line(format_args!("  other names   {}", names.join(", ")))?;
    }
    let set = keys::set_by(entry.key());
    if !set.is_empty() {
        output::line(format_args!("  sets          {}", set.join(", ")))?;
    }
    output::line(format_args!("  variable      {}", variable_of(entry.key())))?;
    output::line(format_args!("  since         {}", entry.since()))
}

/// The value of a key; a secret is left out.
fn value(entry: &dyn AnyEntry, conf: &Conf) -> Result<Option<String>, ConfError> {
    let value = entry.value_in(conf)?;
    Ok(value.map(|value| {
        let shown = Conf::new().with(entry.key(), value).to_debug_string();
        let shown = shown.split_once('=').map_or("", |(_, value)| value);
        shown.to_owned()
    }))
}
