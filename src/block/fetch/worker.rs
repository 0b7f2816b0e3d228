//! One connection of a fetch, on a thread of its own.
//!
//! ```text
//! queue ─ lot ─► open ─► ready pieces ─► window of chunks in flight ─► verify ─► write ─► publish
//! ```
//!
//! The thread waits for the oldest chunk while the transport receives the others, so the memory it
//! holds is bounded by its window. After a failure that may be temporary, all unfinished work is
//! queued again in order (Spark: `RetryingBlockTransferor`); answers of the failed attempt are
//! dropped with their futures, and received chunks are kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringrail_transport::client::RequestFuture;

use super::event::FetchEvent;
use super::job::{Arrival, FileJob};
use super::lot::{ActiveLot, Piece};
use super::queue::Lot;
use super::shared::{Setback, Shared, nonsense};
use super::{FetchError, FileError};
use crate::block::digest::Digest;
use crate::block::{Answer, BlockClient, OpenReply};

/// How often a waiting thread looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(50);

/// A lot whose files are being opened.
struct Opening {
    lot: Lot,
    answer: Answer<OpenReply>,
}

/// One connection and its current work.
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

    /// One step; false if no connection has work left.
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

    /// Adds an opened lot to the active ones.
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
                Some(Err(refusal)) => Err(self.shared.refused(client, refusal)),
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
            let (stream, index, len) = (piece.stream, piece.index, Some(piece.len));
            let asked = match self.shared.conf.verify {
                true => client.fetch_chunk_to_verify(stream, index, len),
                false => client.fetch_chunk(stream, index, len),
            };
            self.window_len += u64::from(piece.len);
            self.window.push_back((piece, asked));
        }
        Ok(())
    }

    /// True if a chunk need not be fetched: another connection has it, or it was on disk before.
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
                let setback = self.shared.no_digest(self.client.as_ref(), error);
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

    /// Waits for the oldest chunk in flight and processes it.
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
                Err(error) => Err(self.shared.no_digest(self.client.as_ref(), error)),
            },
            Err(error) => Err(self.shared.not_fetched(&job, error)),
        };
        match verified {
            Ok(digest) => {
                self.failures = 0;
                self.arrived(&job, &piece, digest)?;
            }
            Err(setback) => {
                self.shared.suffer(&job, setback)?;
                // The file has had its outcome, and others are to have their attempts.
                self.failures = 0;
            }
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

    /// Restarts with all unfinished work after a delay. False if this connection stops and others
    /// continue.
    fn recover(&mut self, error: FetchError) -> Result<bool, FetchError> {
        self.failures += 1;
        self.gather();
        let conf = self.shared.conf;
        if self.failures > conf.max_retries {
            return self.give_up(error);
        }
        // A delay repairs no damage; it gives a server time to restart.
        let wait = if error.is_damage() {
            Duration::ZERO
        } else {
            conf.backoff(self.failures)
        };
        let attempt = self.failures;
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

    /// Returns all unfinished work to the state before it began, in order.
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

    /// Leaves the remaining work to the other connections; an error if this was the last one.
    fn give_up(&mut self, error: FetchError) -> Result<bool, FetchError> {
        let last = self.shared.queue.give_up(self.backlog.drain(..));
        tracing::debug!(target: "ringrail::block", %error, last, "a connection gives up");
        if last { Err(error) } else { Ok(false) }
    }
}
