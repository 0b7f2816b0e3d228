//! Progress events of a running fetch, and its final report.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{FetchError, FileError};
use crate::block::BlockId;
use crate::block::digest::Digest;

/// Failures that a report keeps one by one; the others are counted.
pub const MAX_FAILURES_KEPT: usize = 1000;

/// An event of a fetch. Reported on the thread where it occurs; keep handlers short.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchEvent<'a> {
    /// The plan of the fetch is known.
    Planned {
        /// Files to fetch.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// Files that are complete here already.
        kept: u64,
    },
    /// Bytes were received and written, or found here.
    Progress {
        /// How many.
        bytes: u64,
        /// True if an earlier attempt had fetched them already.
        resumed: bool,
    },
    /// A file is complete and has its name. Each file has one outcome: this or the next.
    FileDone {
        /// The file.
        path: &'a BlockId,
        /// Its digest, if the fetch verifies.
        digest: Option<Digest>,
    },
    /// A file failed.
    FileFailed {
        /// The file.
        path: &'a BlockId,
        /// Why.
        error: &'a FileError,
    },
    /// A connection failed and will be tried again.
    Retrying {
        /// Why.
        error: &'a FetchError,
        /// Number of the coming attempt, from 1.
        attempt: u32,
        /// Delay before it.
        wait: Duration,
    },
}

/// Takes the events of a fetch, on any thread.
pub type Listener = dyn Fn(&FetchEvent<'_>) + Send + Sync;

/// Ends a fetch from another thread.
#[derive(Clone, Debug, Default)]
pub struct Canceller {
    flag: Arc<AtomicBool>,
}

impl Canceller {
    /// Ends the fetch: no further chunk is asked for. Complete files stay; incomplete ones can be
    /// resumed.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Release);
    }

    /// True once cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }
}

/// A file that failed, and why.
#[derive(Debug)]
pub struct FileFailure {
    /// The file.
    pub path: BlockId,
    /// Why.
    pub error: FileError,
}

/// Something of the server's tree that was not fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The entry.
    pub path: BlockId,
    /// The reason.
    pub reason: String,
}

/// The result of a fetch.
#[derive(Debug, Default)]
pub struct FetchReport {
    /// Files fetched.
    pub files: u64,
    /// Files that were already complete at the destination.
    pub files_kept: u64,
    /// Directories made or found.
    pub directories: u64,
    /// Symbolic links made or found.
    pub symlinks: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Bytes found here, from an earlier attempt.
    pub bytes_resumed: u64,
    /// Bytes of the files kept.
    pub bytes_kept: u64,
    /// How often something was tried again.
    pub retries: u64,
    /// Pipes, sockets and devices, which are left out.
    pub skipped: Vec<Skipped>,
    /// Entries that the server could not read, and failed files; the first [`MAX_FAILURES_KEPT`].
    pub failures: Vec<FileFailure>,
    /// Entries that the server could not read.
    pub unreadable: Vec<Skipped>,
    /// Number of all failures.
    pub failed: u64,
    /// The digest of the file, if a single file was fetched and verified.
    pub digest: Option<Digest>,
    /// From the first request to the last file's name.
    pub elapsed: Duration,
}

impl FetchReport {
    /// True if everything that can be fetched has been fetched.
    pub fn is_complete(&self) -> bool {
        self.failed == 0
    }

    /// Bytes received per second.
    pub fn bytes_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.bytes as f64 / seconds
        } else {
            0.0
        }
    }
}

impl fmt::Display for FetchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.bytes_per_second() / 1e9;
        write!(
            f,
            "{} files, {} bytes in {seconds:.3} s, {rate:.3} GB/s",
            self.files, self.bytes
        )?;
        if self.bytes_resumed > 0 {
            write!(
                f,
                "; {} bytes were here from an earlier attempt",
                self.bytes_resumed
            )?;
        }
        if self.files_kept > 0 {
            write!(
                f,
                "; {} files ({} bytes) were complete",
                self.files_kept, self.bytes_kept
            )?;
        }
        if self.failed > 0 {
            write!(f, "; {} failed", self.failed)?;
        }
        Ok(())
    }
}
