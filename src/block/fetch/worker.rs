//! One connection of a fetch, on a thread of its own.
//!
//! ```text
//! queue ─ lot ─► open ─► ready pieces ─► window of chunks in flight ─► verify ─► write ─► publish
//! ```
//!
//! The thread waits for the oldest chunk while the transport receives the others, so what it holds
//! is bounded by its window. When something fails that may succeed later, everything unfinished goes
//! back to the start, in its order (Spark: `RetryingBlockTransferor`); answers of the failed attempt
//! are dropped with their futures, and a chunk that arrived stays arrived.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringrail_codec::native::FailureCode;
use ringrail_transport::client::{RequestFuture, TransportClientFactory};
use ringrail_transport::{Reply, RequestError};

use super::dest::Destination;
use super::event::{Canceller, FetchEvent};
use super::job::{Arrival, FileJob};
use super::lot::{ActiveLot, DigestError, Piece};
use super::queue::{Lot, Queue};
use super::tally::Tally;
use super::{FetchConf, FetchError, FileError, LocalError};
use crate::block::digest::Digest;
use crate::block::{Answer, BlockClient, BlockError, OpenReply, Refusal};

/// How often a waiting thread looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(50);

/// What all connections of a fetch work with.
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

/// A lot whose files are being opened.
struct Opening {
    lot: Lot,
    answer: Answer<OpenReply>,
}

/// One connection and what it is working on.
pub(super) struct Worker<'a> {
    shared: &'a Shared<'a>,
    client: Option<BlockClient>,
    /// Lots to begin with, before new ones are taken.
    backlog: VecDeque<Lot>,
    opening: Option<Opening>,
    active: VecDeque<ActiveLot>,
    lots: u64,
    ready: VecDeque<Piece>,
    window: VecDeque<(Piece, RequestFuture)>,
    window_len: u64,
    /// Attempts that failed since something last succeeded.
    failures: u32,
}

impl<'a> Worker<'a> {
    /// A connection that is open already, or is to be opened.
    pub(super) fn new(shared: &'a Shared<'a>, client: Option<BlockClient>) -> Self {
        Self {
            shared,
            client,
            backlog: VecDeque::new(),
            opening: None,
            active: VecDeque::new(),
            lots: 0,
            ready: VecDeque::new(),
            window: VecDeque::new(),
            window_len: 0,
            failures: 0,
        }
    }

    /// Works until nothing is left.
    pub(super) fn run(mut self) {
        let shared = self.shared;
        let outcome = loop {
            if shared.canceller.is_cancelled() {
                break Err(FetchError::Cancelled);
            }
            if shared.queue.is_stopped() {
                break Ok(());
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) if error.is_retryable() => match self.recover(error) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error),
                },
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = outcome {
            shared.tally.fatal(error);
            shared.queue.stop();
        }
        self.window.clear();
        if let Some(client) = self.client {
            client.transport().close();
        }
    }

    /// One step; false where nothing is left to do, by anybody.
    fn turn(&mut self) -> Result<bool, FetchError> {
        let client = self.connected()?;
        self.open_ahead(&client);
        if self.ready.is_empty() {
            self.settle_opening(&client)?;
        }
        self.fill_window(&client)?;
        if !self.window.is_empty() {
            self.finish_oldest()?;
            return Ok(true);
        }
        if self.opening.is_some() || !self.ready.is_empty() || !self.backlog.is_empty() {
            return Ok(true);
        }
        let lot = self.shared.queue.next();
        let found = lot.is_some();
        self.backlog.extend(lot);
        Ok(found)
    }

    fn connected(&mut self) -> Result<BlockClient, FetchError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let (clients, address) = (self.shared.clients, self.shared.address);
        let client = BlockClient::new(clients.create_unmanaged_client_blocking(address)?);
        self.client = Some(client.clone());
        Ok(client)
    }

    /// Has the next lot opened while this one is being fetched.
    fn open_ahead(&mut self, client: &BlockClient) {
        if self.opening.is_some() || self.ready.len() >= self.shared.conf.in_flight {
            return;
        }
        let next = self
            .backlog
            .pop_front()
            .or_else(|| self.shared.queue.try_next());
        if let Some(lot) = next {
            let ids = lot.files.iter().map(|(job, _)| &job.id);
            let answer = client.open(ids, self.shared.conf.chunk_len);
            self.opening = Some(Opening { lot, answer });
        }
    }

    /// Takes in a lot that has been opened.
    fn settle_opening(&mut self, client: &BlockClient) -> Result<(), FetchError> {
        let Some(Opening { lot, answer }) = self.opening.take() else {
            return Ok(());
        };
        let reply = match answer.wait() {
            Ok(reply) => reply,
            Err(error) => {
                self.backlog.push_front(lot);
                return Err(FetchError::Request(error));
            }
        };
        self.lots += 1;
        self.active.push_back(ActiveLot::new(self.lots, lot));
        let Some(active) = self.active.back_mut() else {
            return Ok(());
        };
        let mut outcomes = reply.outcomes.into_iter();
        for file in 0..active.lot.files.len() {
            let job = Arc::clone(active.job(file));
            let taken = match outcomes.next() {
                Some(Ok(opened)) => {
                    active.set_stream(file, opened.stream);
                    job.check(&opened.stamp)
                        .map_err(Setback::File)
                        .and_then(|()| {
                            self.shared.take_part(&job)?.map_or(Ok(()), |part| {
                                active.set_part(file, part);
                                Ok(())
                            })
                        })
                }
                Some(Err(refusal)) => Err(self.shared.refused(&job, client, refusal)),
                None => Err(Setback::File(FileError::Remote(nonsense(
                    client,
                    "left a file out",
                )))),
            };
            if let Err(setback) = taken {
                self.shared.suffer(&job, setback)?;
            }
        }
        if self.shared.conf.verify || active.is_resumed() {
            active.ask_digests(client);
        }
        active.pieces(&mut self.ready);
        let number = active.number;
        self.close_if_done(number);
        Ok(())
    }

    /// Asks for chunks as long as the window and its bytes have room.
    fn fill_window(&mut self, client: &BlockClient) -> Result<(), FetchError> {
        while let Some(piece) = self.ready.front().copied() {
            let room =
                self.window_len == 0 || self.window_len + u64::from(piece.len) <= self.shared.share;
            if !room || self.window.len() >= self.shared.conf.in_flight {
                return Ok(());
            }
            self.ready.pop_front();
            if self.is_there(&piece)? {
                self.piece_over(&piece);
                if self.shared.queue.is_stopped() {
                    return Ok(());
                }
                continue;
            }
            let asked = client.fetch_chunk(piece.stream, piece.index, Some(piece.len));
            self.window_len += u64::from(piece.len);
            self.window.push_back((piece, asked));
        }
        Ok(())
    }

    /// True where a chunk need not be fetched: somebody else has, or it was here before.
    fn is_there(&mut self, piece: &Piece) -> Result<bool, FetchError> {
        let Some(active) = self.active.iter_mut().find(|lot| lot.number == piece.lot) else {
            return Ok(true);
        };
        let job = Arc::clone(active.job(piece.file));
        if job.has(piece.index) {
            return Ok(true);
        }
        let Some(part) = active.resumed(piece.file).cloned() else {
            return Ok(false);
        };
        let Some((offset, len)) = job.cut.range(piece.index) else {
            return Ok(true);
        };
        let expected = match active.expected(piece) {
            Ok(expected) => expected,
            Err(error) => {
                let setback = self.shared.no_digest(&job, self.client.as_ref(), error);
                self.shared.suffer(&job, setback)?;
                return Ok(true);
            }
        };
        let mut data = vec![0; len as usize];
        if part.read(&mut data, offset).is_err() {
            return Ok(false);
        }
        let found = job.cut.digest(piece.index, &data);
        if expected != Some(found) {
            return Ok(false);
        }
        self.shared.tally.progress(u64::from(len), true);
        self.failures = 0;
        self.arrived(&job, piece, Some(found))?;
        Ok(true)
    }

    /// Waits for the oldest chunk in flight and puts it where it belongs.
    fn finish_oldest(&mut self) -> Result<(), FetchError> {
        let Some((piece, answer)) = self.window.pop_front() else {
            return Ok(());
        };
        self.window_len -= u64::from(piece.len);
        let outcome = answer.wait();
        let Some(active) = self.active.iter_mut().find(|lot| lot.number == piece.lot) else {
            return Ok(());
        };
        let job = Arc::clone(active.job(piece.file));
        let verified = match outcome {
            Ok(data) => match active.expected(&piece) {
                Ok(expected) => self.shared.take_in(&job, &piece, &data, expected),
                Err(error) => Err(self.shared.no_digest(&job, self.client.as_ref(), error)),
            },
            Err(error) => Err(self.shared.not_fetched(&job, error)),
        };
        match verified {
            Ok(digest) => {
                self.failures = 0;
                self.arrived(&job, &piece, digest)?;
            }
            Err(setback) => self.shared.suffer(&job, setback)?,
        }
        self.piece_over(&piece);
        Ok(())
    }

    /// A chunk is in its place; the last one completes its file.
    fn arrived(
        &self,
        job: &FileJob,
        piece: &Piece,
        digest: Option<Digest>,
    ) -> Result<(), FetchError> {
        let digest = digest.filter(|_| self.shared.conf.verify);
        if let Arrival::Last { part, digest } = job.arrived(piece.index, digest) {
            match self.shared.to.publish(&part, &job.path, &job.stamp) {
                Ok(()) => self.shared.tally.file_done(job, digest),
                Err(error) if error.is_fatal() => return Err(error.into()),
                Err(error) => self.shared.tally.file_failed(job, error.into()),
            }
        }
        Ok(())
    }

    fn piece_over(&mut self, piece: &Piece) {
        if let Some(active) = self.active.iter_mut().find(|lot| lot.number == piece.lot) {
            active.left -= 1;
        }
        self.close_if_done(piece.lot);
    }

    fn close_if_done(&mut self, number: u64) {
        let at = self
            .active
            .iter()
            .position(|lot| lot.number == number && lot.left == 0);
        if let Some(active) = at.and_then(|at| self.active.remove(at)) {
            if let Some(client) = &self.client {
                active.close(client);
            }
            self.shared.queue.done();
        }
    }

    /// Goes back to the start with everything unfinished, after a wait. False where it gives up and
    /// others go on.
    fn recover(&mut self, error: FetchError) -> Result<bool, FetchError> {
        self.failures += 1;
        self.gather();
        let conf = self.shared.conf;
        if self.failures > conf.max_retries {
            return self.give_up(error);
        }
        let (attempt, wait) = (self.failures, conf.backoff(self.failures));
        tracing::debug!(target: "ringrail::block", %error, attempt, ?wait, "trying again");
        self.shared.tally.retrying(&FetchEvent::Retrying {
            error: &error,
            attempt,
            wait,
        });
        let until = Instant::now() + wait;
        while !self.shared.canceller.is_cancelled() && !self.shared.queue.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(GLANCE));
        }
        if self
            .client
            .as_ref()
            .is_some_and(|client| !client.transport().is_active())
        {
            self.client = None;
        }
        Ok(true)
    }

    /// Puts everything that is not finished back to where it began, in its order.
    fn gather(&mut self) {
        self.window.clear();
        self.window_len = 0;
        self.ready.clear();
        let mut lots = VecDeque::new();
        for active in self.active.drain(..) {
            if let Some(client) = &self.client {
                active.close(client);
            }
            lots.push_back(active.lot);
        }
        lots.extend(self.opening.take().map(|opening| opening.lot));
        lots.append(&mut self.backlog);
        self.backlog = lots;
    }

    /// Leaves what is left to the other connections; an error where this was the last one.
    fn give_up(&mut self, error: FetchError) -> Result<bool, FetchError> {
        let last = self.shared.queue.give_up(self.backlog.drain(..));
        tracing::debug!(target: "ringrail::block", %error, last, "a connection gives up");
        if last { Err(error) } else { Ok(false) }
    }
}

/// What is to become of a file, or of everything, after something failed.
enum Setback {
    /// The file has failed.
    File(FileError),
    /// Everything has, or the connection is to try again.
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

fn nonsense(client: &BlockClient, detail: &str) -> BlockError {
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
    fn suffer(&self, job: &FileJob, setback: Setback) -> Result<(), FetchError> {
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

    /// A file's attempt failed in a way that may pass: again, if it has attempts left.
    fn again(&self, job: &FileJob, error: FetchError, last: FileError) -> Setback {
        if job.count_attempt() > self.conf.max_retries {
            return Setback::File(last);
        }
        Setback::All(error)
    }

    fn refused(&self, job: &FileJob, client: &BlockClient, refusal: Refusal) -> Setback {
        let retryable = refusal.retryable && !is_of_file(FailureCode::from_wire(refusal.code));
        let peer = client.transport().peer().clone();
        let error = BlockError::Refused { peer, refusal };
        if retryable {
            return self.again(
                job,
                FetchError::Request(error.clone()),
                FileError::Remote(error),
            );
        }
        Setback::File(FileError::Remote(error))
    }

    fn no_digest(
        &self,
        job: &FileJob,
        client: Option<&BlockClient>,
        error: DigestError,
    ) -> Setback {
        match (error, client) {
            (DigestError::Request(error), _) => Setback::All(FetchError::Request(error)),
            (DigestError::Refused(refusal), Some(client)) => self.refused(job, client, refusal),
            (DigestError::Missing, Some(client)) => {
                Setback::File(FileError::Remote(nonsense(client, "left a digest out")))
            }
            (_, None) => Setback::All(FetchError::Request(RequestError::Cancelled.into())),
        }
    }

    /// A chunk did not come.
    fn not_fetched(&self, job: &FileJob, error: RequestError) -> Setback {
        let lost = matches!(
            error,
            RequestError::Closed { .. } | RequestError::NotConnected
        );
        match &error {
            RequestError::ShardStopped | RequestError::Cancelled => {
                Setback::All(FetchError::Request(error.into()))
            }
            // That is the connection's fault, not the file's.
            _ if lost => Setback::All(FetchError::Request(error.into())),
            RequestError::Remote { failure, .. } if is_of_file(failure.code()) => {
                Setback::File(FileError::Remote(error.into()))
            }
            _ if error.is_retryable() => {
                let again = FetchError::Request(error.clone().into());
                self.again(job, again, FileError::Remote(error.into()))
            }
            _ => Setback::File(FileError::Remote(error.into())),
        }
    }

    /// The part of a file of several chunks, which is open while it is fetched.
    fn take_part(&self, job: &FileJob) -> Result<Option<Arc<super::dest::Part>>, Setback> {
        if job.cut.count() > 1 {
            Ok(job.part(self.to)?)
        } else {
            Ok(None)
        }
    }

    /// Verifies a chunk and writes it; its digest.
    fn take_in(
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
