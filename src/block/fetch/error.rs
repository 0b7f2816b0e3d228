//! Errors of a fetch, each with its remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ringrail_codec::native::FailureCode;
use ringrail_transport::{ConnectError, RequestError};
use rustix::io::Errno;

use crate::block::{BlockError, BlockId};

/// Something that this side's file system refused.
#[derive(Debug)]
pub struct LocalError {
    /// The attempted action, as in `cannot write`.
    pub doing: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The kernel's error.
    pub source: io::Error,
}

impl LocalError {
    pub(super) fn new(doing: &'static str, path: impl Into<PathBuf>, source: Errno) -> Self {
        Self {
            doing,
            path: path.into(),
            source: source.into(),
        }
    }

    fn errno(&self) -> Option<Errno> {
        self.source.raw_os_error().map(Errno::from_raw_os_error)
    }

    /// True where every other file would meet the same: the disk is full, the descriptors are used
    /// up.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self.errno(),
            Some(
                Errno::NOSPC
                    | Errno::DQUOT
                    | Errno::ROFS
                    | Errno::IO
                    | Errno::MFILE
                    | Errno::NFILE
                    | Errno::NODEV
                    | Errno::STALE
            )
        )
    }

    fn advice(&self) -> &'static str {
        match self.errno() {
            Some(Errno::NOSPC) => "; make room and run it again: it goes on where it stopped",
            Some(Errno::DQUOT) => "; the quota is used up: make room and run it again",
            Some(Errno::ROFS) => "; the file system is mounted read-only",
            Some(Errno::ACCESS | Errno::PERM) => "; check owner and mode of the directory",
            Some(Errno::NAMETOOLONG) => "; this file system takes no name or path so long",
            Some(Errno::MFILE) => "; raise `ulimit -n`",
            Some(Errno::LOOP) => "; a symbolic link is in the way, and none is written through",
            Some(Errno::NOTDIR) => "; something that is no directory is in the way",
            Some(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => "; a directory is in the way",
            Some(Errno::FBIG) => "; the file is too large for this file system",
            Some(Errno::XDEV) => "; another file system is mounted inside the destination",
            _ => "",
        }
    }
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot {} {}: {}{}",
            self.doing,
            self.path.display(),
            self.source,
            self.advice()
        )
    }
}

impl std::error::Error for LocalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Why a fetch ended early, or never began. Failures of single files are in the
/// [`FetchReport`](super::FetchReport).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server did not send the manifest.
    #[error(transparent)]
    Manifest(BlockError),
    /// The server's manifest cannot be right; nothing of it was written.
    #[error("the server's manifest is refused: {path}: {reason}")]
    Refused {
        /// The entry's path, as text.
        path: String,
        /// The violated rule.
        reason: String,
    },
    /// The name can be listed but not fetched.
    #[error("{id} cannot be fetched: {reason}")]
    NotFetchable {
        /// The name.
        id: BlockId,
        /// The reason.
        reason: String,
    },
    /// The destination cannot be written.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Another fetch is writing there.
    #[error("another fetch is writing to {path}: wait for it, or choose another destination")]
    InUse {
        /// The destination.
        path: PathBuf,
    },
    /// The connection to the server was lost and could not be restored.
    #[error(
        "the server is gone with {files_left} files unfinished: {source}. Run it again: it goes on \
         where it stopped"
    )]
    Lost {
        /// Files that are not complete.
        files_left: u64,
        /// The last thing that happened.
        source: Box<FetchError>,
    },
    /// A request failed for good.
    #[error(transparent)]
    Request(BlockError),
    /// The received bytes differ from the server's, by their digest.
    #[error("chunk {chunk} of {path} differs from what the server has")]
    Differs {
        /// The file.
        path: BlockId,
        /// Index of the chunk.
        chunk: u32,
    },
    /// The [`Canceller`](super::Canceller) was used.
    #[error("the fetch was cancelled")]
    Cancelled,
    /// A setting makes no sense.
    #[error("{0}")]
    Config(&'static str),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl FetchError {
    /// True if the server could not be reached or the connection was lost: a later attempt may
    /// succeed.
    pub fn is_connection(&self) -> bool {
        match self {
            FetchError::Connect(_) | FetchError::Lost { .. } => true,
            FetchError::Manifest(error) | FetchError::Request(error) => {
                let lost = matches!(
                    error,
                    BlockError::Request(
                        RequestError::Closed { .. }
                            | RequestError::NotConnected
                            | RequestError::TimedOut { .. }
                    )
                );
                lost || error.code() == Some(FailureCode::ShuttingDown)
            }
            _ => false,
        }
    }

    /// True if bytes arrived damaged.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            FetchError::Differs { .. } => true,
            FetchError::Request(error) => {
                matches!(error, BlockError::Request(RequestError::Damaged { .. }))
            }
            _ => false,
        }
    }

    /// Whether the same step, tried again, may succeed.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            FetchError::Connect(error) => !matches!(error, ConnectError::Stopped),
            FetchError::Manifest(error) | FetchError::Request(error) => error.is_retryable(),
            FetchError::Differs { .. } => true,
            _ => false,
        }
    }
}

/// Why one file of a fetch failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The server refuses it.
    #[error(transparent)]
    Remote(BlockError),
    /// It cannot be written here.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// It was written to while it was fetched.
    #[error("it changed on the server meanwhile: run the fetch again")]
    Changed,
    /// The received bytes differ from the server's.
    #[error(
        "what arrived differs from what the server has (chunk {chunk}, {attempts} attempts): its \
         file is being written to, or memory or a disk on the way is damaged"
    )]
    Damaged {
        /// Index of the chunk.
        chunk: u32,
        /// Number of fetches of this chunk.
        attempts: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(errno: Errno) -> LocalError {
        LocalError::new("write", "/data/file", errno)
    }

    #[test]
    fn a_full_disk_ends_everything_and_says_what_to_do() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            let error = local(errno);
            assert!(error.is_fatal());
            let text = error.to_string();
            assert!(text.contains("cannot write /data/file"), "{text}");
            assert!(text.contains("make room and run it again"), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_one_file_does_not_end_the_others() {
        for (errno, says) in [
            (Errno::ACCESS, "check owner and mode"),
            (Errno::NAMETOOLONG, "no name or path so long"),
            (Errno::ISDIR, "a directory is in the way"),
            (Errno::LOOP, "none is written through"),
        ] {
            let error = local(errno);
            assert!(!error.is_fatal(), "{errno}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
