//! The streams of one shard: what each connection has asked for and not fetched yet.
//!
//! As Spark's, a stream belongs to its connection and is forgotten when each of its chunks has been asked for.
//! Unlike Spark's, chunks may come in any order, and again as long as the stream is there: a reader that was
//! interrupted gets the chunk again. The content of a chunk is looked up when it is asked for.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use ringrail_transport::Connection;
use ringrail_transport::buf::ManagedBuffer;

use super::block::Block;
use super::error::ShuffleError;
use super::executors::Executor;
use super::files::{Files, Found, MapOutput};
use super::lookup::{Outcome, Owner, Wanted};
use super::service::Shared;

/// Chunks that the streams of one connection may have waiting; about 24 MiB of memory.
pub const MAX_CONNECTION_CHUNKS: usize = 1 << 20;

/// Streams that one connection may have open.
pub const MAX_CONNECTION_STREAMS: usize = 16 << 10;

/// A connection that has as many streams as it may loses those that nothing was asked of for so long, in ns.
const IDLE_NS: u64 = 600 * 1_000_000_000;

/// Time for which a result of a disk lookup is assumed to hold, in ns.
const FRESH_NS: u64 = 100 * 1_000_000;

/// A stream: its owner, and its blocks.
#[derive(Debug)]
struct Stream {
    owner: u64,
    app: Box<str>,
    exec: Box<str>,
    blocks: Box<[Block]>,
    /// A bit for each chunk that was not asked for yet.
    unasked: Box<[u64]>,
    left: usize,
    asked_ns: u64,
    /// The executor, as of a state of the table of executors.
    executor: Option<(u64, Arc<Executor>)>,
    /// Chunks on their way out.
    in_flight: usize,
    /// The map output of the last chunk, and the time of its use, while chunks are in flight. An idle stream keeps
    /// no file open, because the file may have been deleted.
    last: Option<(MapOutput, u64)>,
}

/// The data sent for one chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) data: ManagedBuffer,
    /// Number of blocks in it.
    pub(super) blocks: u32,
}

#[derive(Debug, Default)]
struct Held {
    streams: usize,
    chunks: usize,
}

/// The table of one shard.
#[derive(Debug)]
pub(super) struct Streams {
    table: HashMap<u64, Stream>,
    held: HashMap<u64, Held>,
    last: u64,
}

impl Streams {
    /// No streams yet. Ids begin at random, so that an id from before a restart is not reused.
    pub(super) fn new() -> Self {
        Self {
            table: HashMap::new(),
            held: HashMap::new(),
            last: RandomState::new().hash_one("streams") >> 2,
        }
    }

    /// Registers a stream of these blocks; its id.
    ///
    /// # Errors
    /// The connection has as many as it may have.
    pub(super) fn register(
        &mut self,
        owner: &Connection,
        (app, exec): (&str, &str),
        blocks: Vec<Block>,
    ) -> Result<u64, ShuffleError> {
        self.last += 1;
        if blocks.is_empty() {
            return Ok(self.last);
        }
        self.admit(owner, blocks.len())?;
        let held = self.held.entry(owner.id()).or_default();
        held.streams += 1;
        held.chunks += blocks.len();
        let stream = Stream {
            owner: owner.id(),
            app: app.into(),
            exec: exec.into(),
            unasked: vec![u64::MAX; blocks.len().div_ceil(64)].into(),
            left: blocks.len(),
            blocks: blocks.into(),
            asked_ns: owner.now_ns(),
            executor: None,
            in_flight: 0,
            last: None,
        };
        self.table.insert(self.last, stream);
        Ok(self.last)
    }

    /// Whether the connection may have another stream of so many chunks; where it has too many, those that it
    /// seems to have forgotten go first.
    fn admit(&mut self, owner: &Connection, chunks: usize) -> Result<(), ShuffleError> {
        if self.refusal(owner.id(), chunks).is_none() {
            return Ok(());
        }
        let (id, now) = (owner.id(), owner.now_ns());
        let idle = self.table.iter().filter(|(_, stream)| {
            stream.owner == id
                && stream.in_flight == 0
                && now.saturating_sub(stream.asked_ns) > IDLE_NS
        });
        let idle: Vec<u64> = idle.map(|(id, _)| *id).collect();
        idle.into_iter().for_each(|stream| self.forget(stream));
        self.refusal(id, chunks).map_or(Ok(()), Err)
    }

    fn refusal(&self, owner: u64, chunks: usize) -> Option<ShuffleError> {
        let held = self.held.get(&owner)?;
        if held.streams >= MAX_CONNECTION_STREAMS {
            return Some(ShuffleError::Limit {
                what: "as many streams are open on this connection as may be",
                limit: MAX_CONNECTION_STREAMS as u64,
                advice: "fetch their chunks first",
            });
        }
        (held.chunks + chunks > MAX_CONNECTION_CHUNKS).then(too_many_chunks)
    }

    /// Whether this peer may read this stream, if it exists.
    ///
    /// # Errors
    /// The peer is authenticated as another application.
    pub(super) fn authorize(&self, from: &Connection, id: u64) -> Result<(), ShuffleError> {
        let (Some(client), Some(stream)) = (from.client_id(), self.table.get(&id)) else {
            return Ok(());
        };
        if *stream.app == *client {
            return Ok(());
        }
        Err(ShuffleError::NotThisStream {
            client: client.as_ref().to_owned(),
            stream: id,
            app: stream.app.as_ref().to_owned(),
        })
    }

    /// A chunk of a stream of this connection. One that fails counts as asked for too. `answer` is what a lookup
    /// has found, if there was one.
    ///
    /// # Errors
    /// There is no such stream or chunk, or the block cannot be found; or it is not in memory: the chunk does not
    /// count as asked for then.
    pub(super) fn chunk(
        &mut self,
        from: &Connection,
        (id, index): (u64, u32),
        (files, answer): (&mut Files, Option<Result<Outcome, ShuffleError>>),
        shared: &Shared,
    ) -> Result<Chunk, ShuffleError> {
        self.make_room(files)?;
        let mine = |stream: &&mut Stream| stream.owner == from.id();
        let stream = self.table.get_mut(&id).filter(mine);
        let stream = stream.ok_or(ShuffleError::UnknownStream { id })?;
        let count = stream.blocks.len();
        if index as usize >= count {
            return Err(ShuffleError::NoSuchChunk { index, count });
        }
        stream.asked_ns = from.now_ns();
        let found = stream.find(index as usize, (files, answer), shared);
        if matches!(found, Err(ShuffleError::NotInMemory)) {
            return found;
        }
        stream.note_asked(index as usize);
        if stream.left == 0 {
            self.forget(id);
        }
        found
    }

    /// The lookup key of a chunk.
    pub(super) fn wanted(&self, (id, index): (u64, u32)) -> Option<Wanted> {
        let block = self.table.get(&id)?.blocks.get(index as usize)?;
        Some(Wanted::Block(*block))
    }

    /// The owner of a chunk's files, and its application.
    ///
    /// # Errors
    /// If no owner is known.
    pub(super) fn owner(
        &mut self,
        (id, index): (u64, u32),
        shared: &Shared,
    ) -> Result<(Owner, Box<str>), ShuffleError> {
        let stream = self.table.get_mut(&id);
        let stream = stream.ok_or(ShuffleError::UnknownStream { id })?;
        let block = stream.blocks[index as usize];
        Ok((stream.owner_of(block, shared)?, stream.app.clone()))
    }

    /// A chunk of the stream is on its way out.
    pub(super) fn being_sent(&mut self, id: u64) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.in_flight += 1;
        }
    }

    /// A chunk of the stream has left.
    pub(super) fn sent(&mut self, id: u64) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.in_flight = stream.in_flight.saturating_sub(1);
        }
        self.settle(id);
    }

    /// Closes the stream's file if nothing of it is on its way.
    pub(super) fn settle(&mut self, id: u64) {
        if let Some(stream) = self.table.get_mut(&id).filter(|it| it.in_flight == 0) {
            stream.last = None;
        }
    }

    /// When the table of open files is full, closes files that streams keep only for later chunks.
    fn make_room(&mut self, files: &mut Files) -> Result<(), ShuffleError> {
        if files.has_room() || files.purge().is_ok() {
            return Ok(());
        }
        for stream in self.table.values_mut() {
            stream.last = None;
        }
        files.purge().map_err(|_| ShuffleError::Limit {
            what: "as many files are being sent as may be",
            limit: files.max_open() as u64,
            advice: "try again later, or raise ringrail.shuffle.maxOpenFiles",
        })
    }

    fn forget(&mut self, id: u64) {
        if let Some(stream) = self.table.remove(&id)
            && let Some(held) = self.held.get_mut(&stream.owner)
        {
            held.streams -= 1;
            held.chunks -= stream.blocks.len();
        }
    }

    /// Forgets all streams of a connection that has ended.
    pub(super) fn close_all(&mut self, connection: &Connection) {
        if self.held.remove(&connection.id()).is_some() {
            self.table
                .retain(|_, stream| stream.owner != connection.id());
        }
    }
}

/// More chunks than a connection may have waiting.
pub(super) fn too_many_chunks() -> ShuffleError {
    ShuffleError::Limit {
        what: "as many chunks wait on this connection as may",
        limit: MAX_CONNECTION_CHUNKS as u64,
        advice: "ask for fewer blocks at once",
    }
}

impl Stream {
    fn find(
        &mut self,
        index: usize,
        (files, answer): (&mut Files, Option<Result<Outcome, ShuffleError>>),
        shared: &Shared,
    ) -> Result<Chunk, ShuffleError> {
        let block = self.blocks[index];
        let blocks = block.count();
        let found = match answer {
            Some(answer) => answer?,
            None => {
                if let Some(data) = self.find_again(block, shared) {
                    return Ok(Chunk { data, blocks });
                }
                let owner = self.owner_of(block, shared)?;
                files.look_for(shared, (&owner, &self.app), Wanted::Block(block))?
            }
        };
        let Outcome::Block(Found { data, output }) = found else {
            return Err(ShuffleError::LookupLost);
        };
        self.last = output.map(|output| (output, self.asked_ns));
        Ok(Chunk { data, blocks })
    }

    /// The owner of the directories that contain a block.
    fn owner_of(&mut self, block: Block, shared: &Shared) -> Result<Owner, ShuffleError> {
        if let Block::Merged {
            shuffle,
            merge,
            reduce,
            ..
        } = block
        {
            let merges = shared.merges.as_ref().ok_or(ShuffleError::Merge)?;
            let app = merges.for_fetch(&self.app, (shuffle, merge, reduce))?;
            return Ok(Owner::Merges(app));
        }
        let owner = (&*self.app, &*self.exec);
        look_up(&mut self.executor, owner, shared).map(Owner::Executor)
    }

    /// A block of the same map output as the last one, if that was looked up recently.
    fn find_again(&self, block: Block, shared: &Shared) -> Option<ManagedBuffer> {
        let (output, looked_ns) = self.last.as_ref()?;
        let (seen, _) = self.executor.as_ref()?;
        let fresh = self.asked_ns.saturating_sub(*looked_ns) < FRESH_NS;
        if !fresh || *seen != shared.executors.generation() {
            return None;
        }
        output.part(block)
    }

    fn note_asked(&mut self, index: usize) {
        let (word, bit) = (&mut self.unasked[index / 64], 1 << (index % 64));
        self.left -= usize::from(*word & bit != 0);
        *word &= !bit;
    }
}

/// An executor; looked up again only after some executor has changed.
fn look_up(
    known: &mut Option<(u64, Arc<Executor>)>,
    (app, exec): (&str, &str),
    shared: &Shared,
) -> Result<Arc<Executor>, ShuffleError> {
    let now = shared.executors.generation();
    let found = match known.take().filter(|(seen, _)| *seen == now) {
        Some((_, executor)) => executor,
        None => shared.executors.find(app, exec)?,
    };
    Ok(Arc::clone(&known.insert((now, found)).1))
}
