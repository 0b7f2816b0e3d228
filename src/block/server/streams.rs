//! The streams of one shard: which connection may read which block, and until when.
//!
//! Helper threads open blocks and put them into a bounded queue; the shard takes them from there
//! into its table before it answers for a stream. So the table needs no lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use ringrail_codec::native::FailureCode;
use ringrail_transport::RpcFailure;
use ringrail_transport::buf::ManagedBuffer;

use super::budget::Held;
use crate::block::digest::Chunking;

/// Default limit of the open streams of a connection.
pub const MAX_STREAMS: u32 = 1024;

/// Blocks that helper threads have opened and the shard has not looked at yet.
const OPENED_QUEUE: usize = 8192;

/// Time after which an idle stream is closed, unless configured otherwise.
pub const STREAM_IDLE: Duration = Duration::from_secs(120);

/// The part of a connection's state that helper threads need.
#[derive(Debug, Default)]
pub(super) struct Owner {
    id: u64,
    over: AtomicBool,
    max_streams: u32,
    streams: AtomicU32,
    jobs: AtomicU32,
}

/// Jobs that one connection may have waiting or running.
const MAX_JOBS: u32 = 64;

impl Owner {
    pub(super) fn new(id: u64, max_streams: u32) -> Arc<Self> {
        Arc::new(Self {
            id,
            max_streams,
            ..Self::default()
        })
    }

    /// True once the connection has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Reserves a slot for a job; false if the connection has used all.
    pub(super) fn begin_job(&self) -> bool {
        let taken = self.jobs.fetch_add(1, Ordering::Relaxed) < MAX_JOBS;
        if !taken {
            self.end_job();
        }
        taken
    }

    pub(super) fn end_job(&self) {
        self.jobs.fetch_sub(1, Ordering::Relaxed);
    }

    fn begin_stream(&self) -> bool {
        let taken = self.streams.fetch_add(1, Ordering::Relaxed) < self.max_streams;
        if !taken {
            self.streams.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }
}

/// The source of a stream's chunks.
#[derive(Debug)]
pub(super) enum Source {
    /// A block.
    Block {
        /// Its bytes.
        data: ManagedBuffer,
        /// How they are cut.
        cut: Chunking,
    },
    /// The pages of a manifest, whose memory is accounted for by `held`.
    Pages {
        /// One per chunk.
        pages: Vec<Bytes>,
        /// Kept for its drop.
        #[expect(dead_code, reason = "gives the memory back to the budget when it goes")]
        held: Held,
    },
}

impl Source {
    fn chunk(&self, index: u32) -> Option<ManagedBuffer> {
        match self {
            Source::Block { data, cut } => {
                let (offset, len) = cut.range(index)?;
                Some(data.slice(offset, u64::from(len)))
            }
            Source::Pages { pages, .. } => Some(pages.get(index as usize)?.clone().into()),
        }
    }
}

#[derive(Debug)]
struct Stream {
    source: Source,
    owner: Arc<Owner>,
    used: Instant,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.owner.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Queue of the streams that helper threads open for one shard.
#[derive(Debug)]
pub(super) struct Opening {
    queue: ArrayQueue<(u64, Stream)>,
}

impl Opening {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: ArrayQueue::new(OPENED_QUEUE),
        })
    }

    /// Registers a stream under `id`.
    ///
    /// # Errors
    /// The connection has as many as it may, or the shard has not looked for long.
    pub(super) fn register(
        &self,
        id: u64,
        source: Source,
        owner: &Arc<Owner>,
    ) -> Result<(), RpcFailure> {
        if !owner.begin_stream() {
            let text = format!(
                "this connection has {} streams open: close some \
                 (ringrail.block.maxStreams)",
                owner.max_streams
            );
            return Err(RpcFailure::new(FailureCode::Busy, text));
        }
        let stream = Stream {
            source,
            owner: Arc::clone(owner),
            used: Instant::now(),
        };
        self.queue.push((id, stream)).map_err(|_| {
            let text = format!("{OPENED_QUEUE} streams wait to be registered: try again");
            RpcFailure::new(FailureCode::Busy, text)
        })
    }
}

/// The table of one shard.
#[derive(Debug)]
pub(super) struct Streams {
    opening: Arc<Opening>,
    table: HashMap<u64, Stream>,
    swept: Instant,
    idle: Duration,
}

impl Streams {
    /// No streams yet; streams idle for `idle` will be closed.
    pub(super) fn new(idle: Duration) -> Self {
        Self {
            opening: Opening::new(),
            table: HashMap::new(),
            swept: Instant::now(),
            idle,
        }
    }

    pub(super) fn opening(&self) -> &Arc<Opening> {
        &self.opening
    }

    /// Adds streams that have been opened, and closes idle ones.
    pub(super) fn settle(&mut self) {
        let before = self.table.len();
        while let Some((id, stream)) = self.opening.queue.pop() {
            if !stream.owner.is_over() {
                self.table.insert(id, stream);
            }
        }
        if self.table.len() > before && self.swept.elapsed() > self.idle / 4 {
            self.swept = Instant::now();
            let idle = self.idle;
            self.table.retain(|_, stream| stream.used.elapsed() < idle);
        }
    }

    fn of(&mut self, owner: u64, id: u64) -> Result<&mut Stream, RpcFailure> {
        if !self.table.contains_key(&id) {
            self.settle();
        }
        match self
            .table
            .get_mut(&id)
            .filter(|stream| stream.owner.id == owner)
        {
            Some(stream) => Ok(stream),
            None => {
                let text =
                    format!("stream {id} is not open on this connection: open the block again");
                Err(RpcFailure::new(FailureCode::StreamClosed, text).with_retryable(true))
            }
        }
    }

    /// Chunk `index` of a stream of this connection.
    pub(super) fn chunk(
        &mut self,
        owner: u64,
        id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        let stream = self.of(owner, id)?;
        stream.used = Instant::now();
        stream.source.chunk(index).ok_or_else(|| {
            let text = format!("stream {id} has no chunk {index}");
            RpcFailure::new(FailureCode::InvalidArgument, text)
        })
    }

    /// The block behind a stream of this connection, and how it is cut.
    pub(super) fn block(
        &mut self,
        owner: u64,
        id: u64,
    ) -> Result<(ManagedBuffer, Chunking), RpcFailure> {
        let stream = self.of(owner, id)?;
        stream.used = Instant::now();
        match &stream.source {
            Source::Block { data, cut } => Ok((data.clone(), *cut)),
            Source::Pages { .. } => {
                let text = format!("stream {id} is a manifest; its chunks have no digests");
                Err(RpcFailure::new(FailureCode::InvalidArgument, text))
            }
        }
    }

    /// Closes a stream of this connection.
    pub(super) fn close(&mut self, owner: u64, id: u64) {
        if self.of(owner, id).is_ok() {
            self.table.remove(&id);
        }
    }

    /// Closes all streams of a connection that has ended.
    pub(super) fn close_all(&mut self, owner: &Owner) {
        owner.over.store(true, Ordering::Release);
        self.settle();
        self.table.retain(|_, stream| stream.owner.id != owner.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: usize) -> Source {
        let data = ManagedBuffer::from(Bytes::from(vec![7; len]));
        Source::Block {
            data,
            cut: Chunking::new(len as u64, Chunking::MIN_CHUNK_LEN).unwrap(),
        }
    }

    #[test]
    fn a_stream_belongs_to_its_connection_and_ends_with_it() {
        let mut streams = Streams::new(STREAM_IDLE);
        let (mine, other) = (Owner::new(1, MAX_STREAMS), Owner::new(2, MAX_STREAMS));
        streams
            .opening()
            .register(10, block(20_000), &mine)
            .unwrap();
        streams.opening().register(11, block(1), &other).unwrap();
        assert_eq!(streams.chunk(1, 10, 0).unwrap().len(), 16 << 10);
        assert_eq!(streams.chunk(1, 10, 1).unwrap().len(), 20_000 - (16 << 10));
        assert_eq!(
            streams.chunk(1, 10, 2).unwrap_err().code(),
            FailureCode::InvalidArgument
        );
        assert_eq!(
            streams.chunk(2, 10, 0).unwrap_err().code(),
            FailureCode::StreamClosed
        );
        assert_eq!(
            streams.block(1, 11).unwrap_err().code(),
            FailureCode::StreamClosed
        );
        streams.close_all(&mine);
        assert_eq!(
            streams.chunk(1, 10, 0).unwrap_err().code(),
            FailureCode::StreamClosed
        );
        assert!(streams.chunk(2, 11, 0).is_ok());
    }

    #[test]
    fn what_opens_after_its_connection_ended_is_closed() {
        let mut streams = Streams::new(STREAM_IDLE);
        let owner = Owner::new(1, MAX_STREAMS);
        streams.close_all(&owner);
        streams.opening().register(10, block(1), &owner).unwrap();
        streams.settle();
        assert!(streams.table.is_empty());
        assert_eq!(owner.streams.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_connection_has_so_many_streams_and_no_more() {
        let mut streams = Streams::new(STREAM_IDLE);
        let owner = Owner::new(1, MAX_STREAMS);
        for id in 0..u64::from(MAX_STREAMS) {
            streams.opening().register(id, block(1), &owner).unwrap();
        }
        let refused = streams
            .opening()
            .register(9999, block(1), &owner)
            .unwrap_err();
        assert_eq!(refused.code(), FailureCode::Busy);
        streams.close(1, 3);
        streams.opening().register(9999, block(1), &owner).unwrap();
    }

    #[test]
    fn jobs_of_one_connection_are_bounded() {
        let owner = Owner::new(1, MAX_STREAMS);
        assert!((0..MAX_JOBS).all(|_| owner.begin_job()));
        assert!(!owner.begin_job());
        owner.end_job();
        assert!(owner.begin_job());
    }

    #[test]
    fn a_stream_that_nobody_reads_makes_room_for_others() {
        let idle = Duration::from_millis(40);
        let mut streams = Streams::new(idle);
        let owner = Owner::new(1, MAX_STREAMS);
        for id in [10, 11] {
            streams.opening().register(id, block(1), &owner).unwrap();
        }
        streams.settle();
        std::thread::sleep(idle * 2);
        streams.chunk(1, 11, 0).unwrap();
        streams.opening().register(12, block(1), &owner).unwrap();
        streams.settle();
        assert_eq!(
            streams.chunk(1, 10, 0).unwrap_err().code(),
            FailureCode::StreamClosed
        );
        assert!(streams.chunk(1, 11, 0).is_ok(), "it was read just now");
        assert!(streams.chunk(1, 12, 0).is_ok());
        assert_eq!(owner.streams.load(Ordering::Relaxed), 2);
    }
}
