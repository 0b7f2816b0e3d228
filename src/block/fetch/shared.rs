//! State that all connections of a fetch share, and the decision after a failure: fail one file, or
//! the whole fetch.

use std::sync::Arc;

use ringrail_codec::native::FailureCode;
use ringrail_transport::client::TransportClientFactory;
use ringrail_transport::{Reply, RequestError};

use super::dest::{Destination, Part};
use super::event::Canceller;
use super::job::FileJob;
use super::lot::{DigestError, Piece};
use super::queue::Queue;
use super::tally::Tally;
use super::{FetchConf, FetchError, FileError, LocalError};
use crate::block::digest::Digest;
use crate::block::{BlockClient, BlockError, Refusal};

/// State that all connections of a fetch use.
pub(super) struct Shared<'a> {
    pub(super) conf: &'a FetchConf,
    pub(super) clients: &'a TransportClientFactory,
    pub(super) address: &'a str,
    pub(super) canceller: &'a Canceller,
    pub(super) to: &'a Destination,
    pub(super) queue: Queue,
    pub(super) tally: Tally<'a>,
    /// Bytes that one connection may have in flight.
    pub(super) share: u64,
}

/// The consequence of a failure, for one file or for the whole fetch.
pub(super) enum Setback {
    /// One file has failed.
    File(FileError),
    /// The whole fetch has failed, or the connection retries.
    All(FetchError),
}

impl From<LocalError> for Setback {
    fn from(error: LocalError) -> Self {
        if error.is_fatal() {
            Setback::All(error.into())
        } else {
            Setback::File(error.into())
        }
    }
}

pub(super) fn nonsense(client: &BlockClient, detail: &str) -> BlockError {
    let peer = client.transport().peer().clone();
    BlockError::Nonsense {
        peer,
        detail: format!("it {detail}"),
    }
}

/// Failures of one file's data at the server: its disk is not mended by asking again at once, and
/// other files need not wait for it.
fn is_of_file(code: FailureCode) -> bool {
    matches!(code, FailureCode::SourceIo | FailureCode::SourceTruncated)
}

impl Shared<'_> {
    /// Acts on a setback: an error is for everything.
    pub(super) fn suffer(&self, job: &FileJob, setback: Setback) -> Result<(), FetchError> {
        match setback {
            Setback::All(error) => Err(error),
            Setback::File(error) => {
                if job.fail() {
                    self.tally.file_failed(job, error);
                }
                Ok(())
            }
        }
    }

    /// Handles damaged data of a file: a retry, if it has attempts left.
    fn again(&self, job: &FileJob, error: FetchError, last: FileError) -> Setback {
        if job.count_attempt() > self.conf.max_retries {
            return Setback::File(last);
        }
        Setback::All(error)
    }

    pub(super) fn refused(&self, client: &BlockClient, refusal: Refusal) -> Setback {
        let of_file = is_of_file(FailureCode::from_wire(refusal.code));
        let retryable = refusal.retryable;
        let peer = client.transport().peer().clone();
        let error = BlockError::Refused { peer, refusal };
        if retryable && !of_file {
            Setback::All(FetchError::Request(error))
        } else {
            Setback::File(FileError::Remote(error))
        }
    }

    pub(super) fn no_digest(&self, client: Option<&BlockClient>, error: DigestError) -> Setback {
        match (error, client) {
            (DigestError::Request(error), _) => Setback::All(FetchError::Request(error)),
            (DigestError::Refused(refusal), Some(client)) => self.refused(client, refusal),
            (DigestError::Missing, Some(client)) => {
                Setback::File(FileError::Remote(nonsense(client, "left a digest out")))
            }
            (_, None) => Setback::All(FetchError::Request(RequestError::Cancelled.into())),
        }
    }

    /// A chunk was not received: the failure of its file, or of the connection.
    pub(super) fn not_fetched(&self, job: &FileJob, error: RequestError) -> Setback {
        let again = || FetchError::Request(error.clone().into());
        match &error {
            RequestError::Damaged { .. } => {
                self.again(job, again(), FileError::Remote(error.into()))
            }
            RequestError::Remote { failure, .. }
                if is_of_file(failure.code()) || !failure.retryable() =>
            {
                Setback::File(FileError::Remote(error.into()))
            }
            RequestError::TooLarge { .. } => Setback::File(FileError::Remote(error.into())),
            // That is the connection's or the server's fault, not the file's.
            _ => Setback::All(again()),
        }
    }

    /// The part of a file of several chunks, which is open while it is fetched.
    pub(super) fn take_part(&self, job: &FileJob) -> Result<Option<Arc<Part>>, Setback> {
        if job.cut.count() > 1 {
            Ok(job.part(self.to)?)
        } else {
            Ok(None)
        }
    }

    /// Verifies a chunk and writes it; its digest.
    pub(super) fn take_in(
        &self,
        job: &FileJob,
        piece: &Piece,
        data: &Reply,
        expected: Option<Digest>,
    ) -> Result<Option<Digest>, Setback> {
        let found = expected.map(|_| job.cut.digest(piece.index, data));
        if found != expected || data.len() != piece.len as usize {
            let chunk = piece.index;
            let attempts = self.conf.max_retries + 1;
            let error = FetchError::Differs {
                path: job.path.clone(),
                chunk,
            };
            return Err(self.again(job, error, FileError::Damaged { chunk, attempts }));
        }
        let Some(part) = job.part(self.to)? else {
            return Ok(found);
        };
        let (offset, _) = job.cut.range(piece.index).unwrap_or_default();
        part.write(data, offset).map_err(|source| {
            let path = self.to.shown(&job.path);
            Setback::from(LocalError {
                doing: "write",
                path,
                source,
            })
        })?;
        self.tally.progress(u64::from(piece.len), false);
        Ok(found)
    }
}
