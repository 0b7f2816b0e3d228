//! Totals of a fetch, shared by all connections: counts, failures, and the progress callback.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::event::{FetchEvent, FetchReport, FileFailure, Listener, MAX_FAILURES_KEPT};
use super::job::FileJob;
use super::{FetchError, FileError};
use crate::block::digest::Digest;

/// Counts, kept by all connections at once.
#[derive(Default)]
pub(super) struct Tally<'a> {
    listener: Option<&'a Listener>,
    files: AtomicU64,
    bytes: AtomicU64,
    resumed: AtomicU64,
    retries: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<Vec<FileFailure>>,
    digest: Mutex<Option<Digest>>,
    fatal: Mutex<Option<FetchError>>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(listener: Option<&'a Listener>) -> Self {
        Self {
            listener,
            ..Self::default()
        }
    }

    pub(super) fn tell(&self, event: &FetchEvent<'_>) {
        if let Some(listener) = self.listener {
            listener(event);
        }
    }

    pub(super) fn progress(&self, bytes: u64, resumed: bool) {
        let counter = if resumed { &self.resumed } else { &self.bytes };
        counter.fetch_add(bytes, Ordering::Relaxed);
        self.tell(&FetchEvent::Progress { bytes, resumed });
    }

    pub(super) fn file_done(&self, job: &FileJob, digest: Option<Digest>) {
        self.files.fetch_add(1, Ordering::Relaxed);
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = digest;
        self.tell(&FetchEvent::FileDone {
            path: &job.path,
            digest,
        });
    }

    /// The outcome of a failed file; the caller ensures that each file has one.
    pub(super) fn file_failed(&self, job: &FileJob, error: FileError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.tell(&FetchEvent::FileFailed {
            path: &job.path,
            error: &error,
        });
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MAX_FAILURES_KEPT {
            failures.push(FileFailure {
                path: job.path.clone(),
                error,
            });
        }
    }

    pub(super) fn retrying(&self, event: &FetchEvent<'_>) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.tell(event);
    }

    /// The error that ends everything: the first one counts.
    pub(super) fn fatal(&self, error: FetchError) {
        let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.get_or_insert(error);
    }

    pub(super) fn take_fatal(&self) -> Option<FetchError> {
        self.fatal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Files that have had their outcome.
    pub(super) fn files_over(&self) -> u64 {
        self.files.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    /// Adds the counts to the report.
    pub(super) fn finish(self, report: &mut FetchReport, single: bool) {
        report.files += self.files.into_inner();
        report.bytes = self.bytes.into_inner();
        report.bytes_resumed = self.resumed.into_inner();
        report.retries = self.retries.into_inner();
        report.failed += self.failed.into_inner();
        report.failures = self
            .failures
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if single {
            report.digest = self
                .digest
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
