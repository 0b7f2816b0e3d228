//! Tasks that wait for a disk longer than a shard should: helper threads run and answer them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ringrail_codec::spark::shuffle::{
    BlocksRemoved, CorruptionCause, Message, RegisterExecutor, RemoveBlocks,
};
use ringrail_transport::server::DeferredResponder;
use rustix::io::Errno;

use super::block::FileName;
use super::diagnose::diagnose;
use super::error::ShuffleError;
use super::lookup::Lookup;
use super::resolve::locate;
use super::roots::Place;
use super::service::Shared;

/// Something for a helper thread.
#[derive(Debug)]
pub(super) enum Job {
    /// A request.
    Task(Task),
    /// Something that a shard looks for.
    Lookup(Lookup),
}

impl Job {
    pub(super) fn run(self) {
        match self {
            Job::Task(task) => task.run(),
            Job::Lookup(lookup) => lookup.run(),
        }
    }
}

/// A request on its way through the helper threads: the message as it came.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) body: Vec<u8>,
    /// `None` if no answer is expected.
    pub(super) reply: Option<DeferredResponder>,
    /// When it arrived.
    pub(super) since: Instant,
}

impl Task {
    pub(super) fn run(self) {
        let answer = self.answer();
        if answer.is_err() {
            self.shared.metrics.of_tasks().failed.increment();
        }
        match (answer, self.reply) {
            (Ok(answer), Some(reply)) => reply.reply(answer),
            (Err(error), Some(reply)) => reply.fail(error.into()),
            (Ok(_), None) => {}
            (Err(error), None) => {
                tracing::warn!(target: "ringrail::shuffle", %error, "a message was not followed");
            }
        }
    }

    fn answer(&self) -> Result<Bytes, ShuffleError> {
        match Message::decode(&self.body)? {
            Message::RegisterExecutor(message) => {
                let answer = register(&self.shared, &message)?;
                let counters = self.shared.metrics.of_tasks();
                counters.register_executor.record(self.since.elapsed());
                Ok(answer)
            }
            Message::RemoveBlocks(message) => {
                let num_removed_blocks = remove(&self.shared, &message)?;
                Ok(encoded(Message::BlocksRemoved(BlocksRemoved {
                    num_removed_blocks,
                })))
            }
            Message::DiagnoseCorruption(message) => {
                let cause = diagnose(&self.shared, &message);
                Ok(encoded(Message::CorruptionCause(CorruptionCause { cause })))
            }
            Message::FinalizeShuffleMerge(message) => {
                let merges = self.shared.merges.as_ref().ok_or(ShuffleError::Merge)?;
                let answer = merges.finalize(&message, &self.shared.roots)?;
                let counters = self.shared.metrics.of_tasks();
                counters.finalize_merge.record(self.since.elapsed());
                Ok(answer)
            }
            Message::RemoveShuffleMerge(message) => {
                let merges = self.shared.merges.as_ref();
                let merges = merges.ok_or(ShuffleError::MergeRemoval)?;
                merges.remove(&message, &self.shared.roots)?;
                Ok(Bytes::new())
            }
            other => Err(ShuffleError::Unexpected(other.kind())),
        }
    }
}

/// The bytes of an answer. Answers are far from the 2 GiB that would not fit.
pub(super) fn encoded(message: Message<'_>) -> Bytes {
    let mut bytes = vec![0; message.encoded_len()];
    let len = message.encode(&mut bytes).unwrap_or(0);
    bytes.truncate(len);
    bytes.into()
}

fn register(shared: &Shared, message: &RegisterExecutor<'_>) -> Result<Bytes, ShuffleError> {
    shared.executors.register(message, &shared.roots)?;
    if let Some(merges) = &shared.merges {
        merges.register(message, &shared.roots)?;
    }
    tracing::info!(
        target: "ringrail::shuffle", app = message.app_id, executor = message.exec_id,
        manager = message.shuffle_manager, "executor registered"
    );
    Ok(Bytes::new())
}

/// Deletes files; how many went. A name that no file of Spark's has counts as not there.
fn remove(shared: &Shared, message: &RemoveBlocks<'_>) -> Result<i32, ShuffleError> {
    let executor = shared.executors.find(message.app_id, message.exec_id)?;
    let mut place = Place::default();
    let mut removed = 0;
    for id in message.block_ids {
        let Some(file) = FileName::parse(id) else {
            tracing::warn!(
                target: "ringrail::shuffle", app = message.app_id, id, "no file of this name is deleted"
            );
            continue;
        };
        locate(executor.layout(), &file, &mut place);
        match shared.roots.remove(&place) {
            Ok(()) => removed += 1,
            Err(Errno::NOENT) => {}
            Err(error) => tracing::warn!(
                target: "ringrail::shuffle", path = place.path(), %error, "a block was not deleted"
            ),
        }
    }
    Ok(removed)
}
