//! A block that is pushed: received on the shard, written by a merger thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ringrail_codec::spark::shuffle::{BlockPushReturnCode, Message, PushBlockStream, PushOutcome};
use ringrail_transport::buf::Lease;
use ringrail_transport::server::{DeferredResponder, UploadSink};
use ringrail_transport::{RequestError, Responder, RpcFailure};

use super::super::error::ShuffleError;
use super::super::service::Shared;
use super::super::tasks::encoded;
use super::app::{MergeApp, MergeId, locked};
use super::partition::{Appended, Closed};
use super::{Merges, merge_id};
use crate::workers::Workers;

/// The identity of a block.
#[derive(Clone, Copy, Debug)]
struct Block {
    id: MergeId,
    map: u32,
    reduce: u32,
}

/// As Spark names it.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MergeId { shuffle, merge } = self.id;
        let (map, reduce) = (self.map, self.reduce);
        write!(f, "shufflePush_{shuffle}_{merge}_{map}_{reduce}")
    }
}

/// The reason that a block is received and dropped: its sender gets the answer at the end, and the
/// connection stays.
#[derive(Debug)]
enum Refusal {
    Code(PushOutcome),
    Failure(ShuffleError),
}

/// Takes the data of a block that is pushed.
///
/// # Errors
/// The message has numbers that are none.
pub(in crate::shuffle) fn receive(
    shared: &Arc<Shared>,
    merges: &Arc<Merges>,
    mergers: &Arc<Workers<PushJob>>,
    (asked, len): (&PushBlockStream<'_>, u64),
) -> Result<Box<dyn UploadSink>, ShuffleError> {
    let id = merge_id(asked.shuffle_id, asked.shuffle_merge_id)?;
    let numbers = [asked.map_index, asked.reduce_id].map(u32::try_from);
    let [Ok(map), Ok(reduce)] = numbers else {
        return Err(ShuffleError::BadMergeNumbers {
            shuffle: asked.shuffle_id,
            merge: asked.shuffle_merge_id,
        });
    };
    let block = Block { id, map, reduce };
    let refusal = match merges.find(asked.app_id) {
        Ok(app) => match merges.refusal(&app, asked.app_attempt_id, block, len) {
            Some(code) => Refusal::Code(code),
            None => {
                let kept = Kept::new(merges);
                return Ok(Box::new(Sink {
                    shared: Arc::clone(shared),
                    mergers: Arc::clone(mergers),
                    app,
                    block,
                    kept,
                    refusal: None,
                }));
            }
        },
        Err(error) => Refusal::Failure(error),
    };
    Ok(Box::new(Drain {
        shared: Arc::clone(shared),
        block,
        refusal: Some(refusal),
        len: 0,
    }))
}

impl Merges {
    /// Checks that need only the block's header.
    fn refusal(&self, app: &MergeApp, attempt: i32, block: Block, len: u64) -> Option<PushOutcome> {
        if attempt != app.registration.attempt {
            return Some(PushOutcome::TooOldAttemptPush);
        }
        let too_long = len != u64::MAX && len > self.max_block_len() as u64;
        let refused = app.refusal(block.id);
        refused.or(too_long.then_some(PushOutcome::BlockAppendCollisionDetected))
    }

    fn max_block_len(&self) -> usize {
        self.conf.memory / 4
    }
}

/// Memory of one block, counted as long as it is kept.
#[derive(Debug)]
struct Kept {
    merges: Arc<Merges>,
    parts: Vec<Lease>,
    len: usize,
}

impl Kept {
    fn new(merges: &Arc<Merges>) -> Self {
        Self {
            merges: Arc::clone(merges),
            parts: Vec::new(),
            len: 0,
        }
    }

    /// Stores another part; false if there is no memory for it.
    fn keep(&mut self, part: Lease) -> bool {
        let all = self.merges.held.fetch_add(part.len(), Ordering::Relaxed) + part.len();
        self.len += part.len();
        if all > self.merges.conf.memory || self.len > self.merges.max_block_len() {
            return false;
        }
        self.parts.push(part);
        true
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.merges.held.fetch_sub(self.len, Ordering::Relaxed);
        self.len = 0;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A block that is on its way.
struct Sink {
    shared: Arc<Shared>,
    mergers: Arc<Workers<PushJob>>,
    app: Arc<MergeApp>,
    block: Block,
    kept: Kept,
    refusal: Option<PushOutcome>,
}

impl UploadSink for Sink {
    fn on_data(&mut self, data: Lease) -> Result<(), RpcFailure> {
        if self.refusal.is_none() && !self.kept.keep(data) {
            self.kept.clear();
            self.refusal = Some(PushOutcome::BlockAppendCollisionDetected);
        }
        Ok(())
    }

    fn on_complete(self: Box<Self>, reply: Responder<'_>) {
        let this = *self;
        if let Some(code) = this.refusal {
            count(&this.shared, code, 0);
            return reply.reply_body(answer(code, this.block));
        }
        let job = PushJob {
            shared: this.shared,
            app: this.app,
            block: this.block,
            kept: this.kept,
            reply: reply.defer(),
        };
        if let Err(job) = this.mergers.submit(job) {
            let code = PushOutcome::BlockAppendCollisionDetected;
            count(&job.shared, code, 0);
            job.reply.reply(answer(code, job.block));
        }
    }

    fn on_failure(&mut self, error: &RequestError) {
        tracing::debug!(target: "ringrail::shuffle", block = %self.block, %error, "a pushed block did not come");
    }
}

/// A block that is received and dropped.
struct Drain {
    shared: Arc<Shared>,
    block: Block,
    refusal: Option<Refusal>,
    len: u64,
}

impl UploadSink for Drain {
    fn on_data(&mut self, data: Lease) -> Result<(), RpcFailure> {
        self.len += data.len() as u64;
        Ok(())
    }

    fn on_complete(mut self: Box<Self>, reply: Responder<'_>) {
        match self.refusal.take() {
            Some(Refusal::Code(code)) => {
                count(&self.shared, code, self.len);
                reply.reply_body(answer(code, self.block));
            }
            Some(Refusal::Failure(error)) => {
                self.shared.metrics.of_tasks().failed.increment();
                reply.fail(&error.into());
            }
            None => {}
        }
    }

    fn on_failure(&mut self, _error: &RequestError) {}
}

/// A completely received block.
pub(in crate::shuffle) struct PushJob {
    shared: Arc<Shared>,
    app: Arc<MergeApp>,
    block: Block,
    kept: Kept,
    reply: DeferredResponder,
}

impl PushJob {
    /// Appends the block and answers for it.
    pub(in crate::shuffle) fn run(self) {
        let outcome = self.append();
        let len = self.kept.len as u64;
        match outcome {
            Ok((code, written)) => {
                {
                    let counters = self.shared.metrics.of_tasks();
                    counters.pushes[code as usize].increment();
                    let bytes = match written {
                        true => &counters.push_bytes_written,
                        false => &counters.push_bytes_ignored,
                    };
                    bytes.add(len);
                }
                self.reply.reply(answer(code, self.block));
            }
            Err(error) => {
                tracing::warn!(target: "ringrail::shuffle", app = self.app.id, %error, "a block was not merged");
                self.shared.metrics.of_tasks().failed.increment();
                self.reply.fail(error.into());
            }
        }
    }

    /// The answer, and whether the block was written.
    fn append(&self) -> Result<(PushOutcome, bool), ShuffleError> {
        let (id, reduce) = (self.block.id, self.block.reduce);
        let roots = &self.shared.roots;
        let partition = match self.app.partition(id, reduce) {
            Err(code) => return Ok((code, false)),
            Ok((partition, outdated)) => {
                if let Some(outdated) = outdated {
                    self.app.discard(roots, outdated, Closed::Superseded);
                }
                partition
            }
        };
        let open = |part, make| self.app.open(roots, (id, reduce), part, make);
        let rules = self.kept.merges.rules();
        let appended = locked(&partition).append(self.block.map, &self.kept.parts, rules, &open);
        let block = || self.block.to_string();
        Ok(match appended {
            Appended::Merged => (PushOutcome::Success, true),
            Appended::Duplicate => (PushOutcome::Success, false),
            Appended::Closed(Closed::Finalized) => (PushOutcome::TooLateBlockPush, false),
            Appended::Closed(Closed::Superseded) => (PushOutcome::StaleBlockPush, false),
            Appended::Closed(Closed::OldAttempt) => (PushOutcome::TooOldAttemptPush, false),
            Appended::Aborted => return Err(ShuffleError::MergeAborted { block: block() }),
            Appended::Failed(source) => {
                let block = block();
                return Err(ShuffleError::MergeIo { block, source });
            }
        })
    }
}

fn answer(code: PushOutcome, block: Block) -> Bytes {
    let name = match code {
        PushOutcome::Success => String::new(),
        _ => block.to_string(),
    };
    encoded(Message::BlockPushReturnCode(BlockPushReturnCode {
        return_code: code,
        failure_block_id: &name,
    }))
}

fn count(shared: &Shared, code: PushOutcome, ignored: u64) {
    let counters = shared.metrics.of_tasks();
    counters.pushes[code as usize].increment();
    counters.push_bytes_ignored.add(ignored);
}
