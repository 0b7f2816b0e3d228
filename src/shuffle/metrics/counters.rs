//! The counters of one shard.

use ringrail_codec::spark::shuffle::{MessageKind, PushOutcome};
use ringrail_transport::metrics::{Counter, Gauge};

use super::ShuffleMetrics;
use super::latency::Latency;

/// How a chunk was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shuffle) enum Served {
    /// By `ChunkFetchRequest`.
    ByChunk = 0,
    /// By `StreamRequest`.
    ByStream = 1,
}

/// Written by one shard, or under one lock; read by any thread.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(in crate::shuffle) struct ShardCounters {
    requests: [Counter; MessageKind::ALL.len()],
    pub(in crate::shuffle) unreadable: Counter,
    pub(in crate::shuffle) failed: Counter,
    pub(in crate::shuffle) merged_block_metas: Counter,
    chunks: [Counter; 2],
    chunk_bytes: [Counter; 2],
    pub(in crate::shuffle) chunk_failures: [Counter; 2],
    blocks: Counter,
    pub(in crate::shuffle) lookups: Counter,
    pub(in crate::shuffle) connections: Gauge,
    pub(in crate::shuffle) connections_closed_for_load: Counter,
    /// By outcome.
    pub(in crate::shuffle) pushes: [Counter; PushOutcome::ALL.len()],
    pub(in crate::shuffle) push_bytes_written: Counter,
    pub(in crate::shuffle) push_bytes_ignored: Counter,
    pub(in crate::shuffle) open_blocks: Latency,
    pub(in crate::shuffle) register_executor: Latency,
    pub(in crate::shuffle) merged_blocks_meta: Latency,
    pub(in crate::shuffle) finalize_merge: Latency,
}

impl ShardCounters {
    /// The counter of messages of this kind.
    pub(in crate::shuffle) fn request(&self, kind: MessageKind) -> &Counter {
        &self.requests[kind as usize]
    }

    /// Counts a chunk that is handed out.
    #[inline]
    pub(in crate::shuffle) fn chunk(&self, by: Served, len: u64, blocks: u32) {
        self.chunks[by as usize].increment();
        self.chunk_bytes[by as usize].add(len);
        self.blocks.add(u64::from(blocks));
    }

    pub(super) fn add_to(&self, sum: &mut ShuffleMetrics) {
        for (sum, counter) in sum.requests.iter_mut().zip(&self.requests) {
            *sum += counter.get();
        }
        sum.unreadable += self.unreadable.get();
        sum.failed += self.failed.get();
        sum.merged_block_metas += self.merged_block_metas.get();
        let [by_chunk, by_stream] = &self.chunks;
        sum.chunks_by_chunk += by_chunk.get();
        sum.chunks_by_stream += by_stream.get();
        let [by_chunk, by_stream] = &self.chunk_bytes;
        sum.chunk_bytes_by_chunk += by_chunk.get();
        sum.chunk_bytes_by_stream += by_stream.get();
        let [by_chunk, by_stream] = &self.chunk_failures;
        sum.chunk_failures_by_chunk += by_chunk.get();
        sum.chunk_failures_by_stream += by_stream.get();
        sum.blocks += self.blocks.get();
        sum.lookups += self.lookups.get();
        sum.connections += self.connections.get();
        sum.connections_closed_for_load += self.connections_closed_for_load.get();
        for (sum, counter) in sum.pushes.iter_mut().zip(&self.pushes) {
            *sum += counter.get();
        }
        sum.push_bytes_written += self.push_bytes_written.get();
        sum.push_bytes_ignored += self.push_bytes_ignored.get();
        self.open_blocks.add_to(&mut sum.open_blocks);
        self.register_executor.add_to(&mut sum.register_executor);
        self.merged_blocks_meta.add_to(&mut sum.merged_blocks_meta);
        self.finalize_merge.add_to(&mut sum.finalize_merge);
    }
}
