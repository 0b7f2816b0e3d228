//! The result of a fetch, for programs and for people.

use std::path::Path;

use ringrail::block::RailUri;
use ringrail::block::digest::to_hex;
use ringrail::block::fetch::{FetchReport, Skipped};
use serde::Serialize;

use crate::cli::failure::Failure;

/// The output of `--json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    ok: bool,
    uri: String,
    dest: String,
    verified: bool,
    files: u64,
    files_kept: u64,
    directories: u64,
    symlinks: u64,
    bytes: u64,
    bytes_resumed: u64,
    bytes_kept: u64,
    seconds: f64,
    gb_per_s: f64,
    retries: u64,
    failed: u64,
    blake3: Option<String>,
    failures: Vec<Problem>,
    skipped: Vec<Problem>,
    error: Option<String>,
}

/// A path and what is wrong with it.
#[derive(Debug, Serialize)]
struct Problem {
    path: String,
    reason: String,
}

impl From<&Skipped> for Problem {
    fn from(skipped: &Skipped) -> Self {
        Self {
            path: skipped.path.to_string(),
            reason: skipped.reason.clone(),
        }
    }
}

impl Summary {
    pub(super) fn new(
        uri: &RailUri,
        dest: &Path,
        verify: bool,
        result: &Result<FetchReport, Failure>,
    ) -> Self {
        let (uri, dest) = (uri.to_string(), dest.display().to_string());
        let report = match result {
            Ok(report) => report,
            Err(failure) => {
                let error = Some(failure.to_string());
                return Self {
                    uri,
                    dest,
                    error,
                    ..Self::default()
                };
            }
        };
        let failed = report.failures.iter().map(|failure| Problem {
            path: failure.path.to_string(),
            reason: failure.error.to_string(),
        });
        Self {
            ok: report.is_complete(),
            uri,
            dest,
            verified: verify,
            files: report.files,
            files_kept: report.files_kept,
            directories: report.directories,
            symlinks: report.symlinks,
            bytes: report.bytes,
            bytes_resumed: report.bytes_resumed,
            bytes_kept: report.bytes_kept,
            seconds: report.elapsed.as_secs_f64(),
            gb_per_s: report.bytes_per_second() / 1e9,
            retries: report.retries,
            failed: report.failed,
            blake3: report.digest.as_ref().map(to_hex),
            failures: failed
                .chain(report.unreadable.iter().map(Problem::from))
                .collect(),
            skipped: report.skipped.iter().map(Problem::from).collect(),
            error: None,
        }
    }
}

/// Names what failed and what was left out, on stderr.
pub(super) fn print_failures(report: &FetchReport) {
    for skipped in &report.skipped {
        eprintln!(
            "ringrail: {} was left out: {}",
            skipped.path, skipped.reason
        );
    }
    for failure in &report.failures {
        eprintln!("ringrail: {}: {}", failure.path, failure.error);
    }
    for unreadable in &report.unreadable {
        eprintln!(
            "ringrail: {}: the server: {}",
            unreadable.path, unreadable.reason
        );
    }
    let shown = (report.failures.len() + report.unreadable.len()) as u64;
    if report.failed > shown {
        eprintln!("ringrail: and {} more", report.failed - shown);
    }
}
