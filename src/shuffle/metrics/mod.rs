//! Counters of the service: one set per shard, one shared by helper threads, readable from any
//! thread.
//!
//! The names and meanings of [`ShuffleMetrics`] are those of Spark's `ExternalBlockHandler.ShuffleMetrics`,
//! with additional counters of the paths that blocks took. [`text`] formats them for Prometheus.

mod counters;
mod latency;
mod rates;
pub mod text;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringrail_codec::spark::shuffle::{MessageKind, PushOutcome};

pub(super) use counters::{Served, ShardCounters};
pub use latency::LatencySnapshot;
pub use rates::Rate;
use rates::Rates;
pub(super) use rates::TICK;

/// The counters of a service.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    shards: Mutex<Vec<Arc<ShardCounters>>>,
    /// Of the helper threads, which take turns.
    tasks: Mutex<ShardCounters>,
    rates: Mutex<Rates>,
    /// Chunks being sent, counted only if their number is limited.
    pub(super) in_flight: AtomicU64,
}

impl Metrics {
    /// Counters for another shard, which alone writes them.
    pub(super) fn add_shard(&self) -> Arc<ShardCounters> {
        let counters = Arc::new(ShardCounters::default());
        locked(&self.shards).push(Arc::clone(&counters));
        counters
    }

    /// The counters of the helper threads.
    pub(super) fn of_tasks(&self) -> MutexGuard<'_, ShardCounters> {
        locked(&self.tasks)
    }

    /// To be called every [`TICK`]: has the rates follow.
    pub(super) fn tick(&self) {
        let now = self.sum();
        locked(&self.rates).tick(&now);
    }

    /// Everything, as of now.
    pub(super) fn snapshot(&self, executors: usize) -> ShuffleMetrics {
        let mut sum = self.sum();
        sum.executors = executors as u64;
        locked(&self.rates).fill(&mut sum);
        sum
    }

    fn sum(&self) -> ShuffleMetrics {
        let mut sum = ShuffleMetrics::default();
        for shard in locked(&self.shards).iter() {
            shard.add_to(&mut sum);
        }
        self.of_tasks().add_to(&mut sum);
        sum
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counters of a service, summed over all shards.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShuffleMetrics {
    /// Messages received, by their kind, in the order of [`MessageKind::ALL`].
    pub requests: [u64; MessageKind::ALL.len()],
    /// Bodies that were no message.
    pub unreadable: u64,
    /// Requests that were answered by a failure.
    pub failed: u64,
    /// Requests for the metadata of merged blocks.
    pub merged_block_metas: u64,
    /// Chunks handed out to chunk fetches.
    pub chunks_by_chunk: u64,
    /// Their bytes.
    pub chunk_bytes_by_chunk: u64,
    /// Chunk fetches that failed.
    pub chunk_failures_by_chunk: u64,
    /// Chunks handed out to stream requests.
    pub chunks_by_stream: u64,
    /// Their bytes.
    pub chunk_bytes_by_stream: u64,
    /// Stream requests that failed.
    pub chunk_failures_by_stream: u64,
    /// Blocks in those chunks: a batch has several.
    pub blocks: u64,
    /// Requests that waited until a helper thread had read an index file, or opened a file, that was not in memory.
    pub lookups: u64,
    /// Connections open now.
    pub connections: u64,
    /// Connections closed because of `max_chunks_being_transferred`.
    pub connections_closed_for_load: u64,
    /// Executors that are registered.
    pub executors: u64,
    /// Blocks that were pushed to be merged, by their outcome, in the order of [`PushOutcome::ALL`].
    pub pushes: [u64; PushOutcome::ALL.len()],
    /// Bytes of blocks that were merged (Spark: `blockBytesWritten`).
    pub push_bytes_written: u64,
    /// Bytes of blocks that came too late, or twice (Spark: `ignoredBlockBytes`).
    pub push_bytes_ignored: u64,
    /// How long opening streams took (Spark: `openBlockRequestLatencyMillis`).
    pub open_blocks: LatencySnapshot,
    /// How long registering executors took (Spark: `registerExecutorRequestLatencyMillis`).
    pub register_executor: LatencySnapshot,
    /// How long answering for merged blocks took (Spark: `fetchMergedBlocksMetaLatencyMillis`).
    pub merged_blocks_meta: LatencySnapshot,
    /// How long ending merges took (Spark: `finalizeShuffleMergeLatencyMillis`).
    pub finalize_merge: LatencySnapshot,
    /// Blocks per second (Spark: `blockTransferRate`).
    pub block_rate: Rate,
    /// Chunks per second (Spark: `blockTransferMessageRate`).
    pub chunk_rate: Rate,
    /// Bytes of chunks per second (Spark: `blockTransferRateBytes`).
    pub byte_rate: Rate,
}

impl ShuffleMetrics {
    /// Messages of this kind that were received.
    pub fn requests_of(&self, kind: MessageKind) -> u64 {
        self.requests[kind as usize]
    }

    /// Chunks handed out, however they were asked for.
    pub fn chunks(&self) -> u64 {
        self.chunks_by_chunk + self.chunks_by_stream
    }

    /// Bytes of chunks handed out, however they were asked for.
    pub fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes_by_chunk + self.chunk_bytes_by_stream
    }
}
