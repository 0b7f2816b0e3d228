//! `ringrail conf list`.

use std::process::ExitCode;

use clap::Args;

use super::{Row, all, default};
use crate::cli::failure::Outcome;
use crate::cli::output;

/// List the keys, with their types and defaults
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those with this in the name, in any case
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Spark's own keys too
    #[arg(long)]
    spark: bool,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> Outcome {
        let found: Vec<_> = all().filter(|(_, entry)| self.wants(entry.key())).collect();
        if self.json {
            let rows = found
                .into_iter()
                .map(|(family, entry)| Row::new(family, entry));
            output::json(&rows.collect::<Vec<_>>())?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut last = "";
        for (family, entry) in found {
            if family != last {
                let space = if last.is_empty() { "" } else { "\n" };
                output::line(format_args!("{space}{family}\n"))?;
                last = family;
            }
            let default = default(entry).unwrap_or_else(|| String::from("not set"));
            let (key, kind) = (entry.key(), entry.kind().to_string());
            output::line(format_args!("  {key:<48} {kind:<16} {default}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wants(&self, key: &str) -> bool {
        let filter = self.filter.as_deref().unwrap_or_default().to_lowercase();
        let named = key.to_lowercase().contains(&filter);
        named && (self.spark || filter.starts_with("spark.") || key.starts_with("ringrail."))
    }
}
