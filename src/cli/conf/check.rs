//! `ringrail conf check`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ringrail::conf::properties::{self, Property};
use ringrail::conf::{Conf, ConfError, Notice, Problem};
use serde::Serialize;

use crate::cli::failure::{FAILED, Outcome};
use crate::cli::output;

/// Look for mistakes in a properties file: values that their keys cannot have or that do not fit
/// together, keys that do not exist, that were given up or that come twice
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// Something that is wrong, and where.
#[derive(Debug, Serialize)]
struct Finding {
    line: Option<usize>,
    key: Option<String>,
    problem: String,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    keys: usize,
    findings: Vec<Finding>,
}

impl Check {
    pub(super) fn run(self) -> Outcome {
        let lines = properties::read_file(&self.file)?;
        let keys = lines.len();
        let mut findings = findings(&lines);
        findings.sort_by_key(|finding| finding.line.unwrap_or(usize::MAX));
        let ok = findings.is_empty();
        if self.json {
            output::json(&Report { ok, keys, findings })?;
        } else {
            let file = self.file.display();
            for Finding { line, problem, .. } in &findings {
                let line = line.map_or_else(String::new, |line| format!("{line}:"));
                output::line(format_args!("{file}:{line} {problem}"))?;
            }
            if ok {
                output::line(format_args!("{file}: {keys} keys, nothing wrong"))?;
            }
        }
        Ok(if ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    }
}

fn findings(lines: &[Property]) -> Vec<Finding> {
    let mut conf = Conf::new();
    conf.load_properties(lines.iter().cloned());
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut findings = Vec::new();
    for Property { key, line, .. } in lines {
        if !key.starts_with("ringrail.") && !key.starts_with("spark.") {
            let problem = format!("'{key}' is left out: keys begin with ringrail. or spark.");
            findings.push(finding(Some(*line), Some(key), problem));
        }
        if let Some(first) = places.insert(key, *line) {
            let problem = format!("'{key}' is set in line {first} already, which does not count");
            findings.push(finding(Some(*line), Some(key), problem));
        }
    }
    for problem in conf.check() {
        let key = key_of(&problem);
        let line = key.and_then(|key| places.get(key).copied());
        findings.push(finding(line, key, problem.to_string()));
    }
    findings
}

fn finding(line: Option<usize>, key: Option<&str>, problem: String) -> Finding {
    let key = key.map(str::to_owned);
    Finding { line, key, problem }
}

/// The key that has to be looked at, if it is one.
fn key_of(problem: &Problem) -> Option<&str> {
    match problem {
        Problem::Error(ConfError::IllegalValue { set_as, .. }) => Some(set_as),
        Problem::Error(ConfError::Circular { key, .. }) => Some(key),
        Problem::Error(_) | Problem::Notice(Notice::UnknownVariable { .. }) => None,
        Problem::Notice(Notice::Deprecated(gone)) => Some(gone.key),
        Problem::Notice(
            Notice::Renamed { key, .. } | Notice::Akka { key } | Notice::Unknown { key, .. },
        ) => Some(key),
    }
}
