//! The streams of one shard: what each connection has asked for and not fetched yet.
//!
//! As Spark's, a stream belongs to its connection, serves its chunks once and in order, and is forgotten after
//! the last. What a chunk is made of is looked up when it is asked for.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use ringrail_transport::Connection;
use ringrail_transport::buf::ManagedBuffer;

use super::block::Block;
use super::error::ShuffleError;
use super::files::Files;
use super::service::Shared;

/// Chunks that the streams of one connection may have waiting; about 24 MiB of memory.
pub const MAX_CONNECTION_CHUNKS: usize = 1 << 20;

/// Streams that one connection may have open.
pub const MAX_CONNECTION_STREAMS: usize = 16 << 10;

/// A stream: whose it is, and what is in it.
#[derive(Debug)]
pub(super) struct Stream {
    owner: u64,
    app: Box<str>,
    exec: Box<str>,
    blocks: Box<[Block]>,
    next: u32,
    /// The file of the last chunk: the next one often lies in it too.
    file: Option<Arc<File>>,
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
    /// No streams yet; ids go on from `last`.
    pub(super) fn new(last: u64) -> Self {
        Self {
            table: HashMap::new(),
            held: HashMap::new(),
            last,
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
        let owner = owner.id();
        self.last += 1;
        if blocks.is_empty() {
            return Ok(self.last);
        }
        let held = self.held.entry(owner).or_default();
        if held.streams >= MAX_CONNECTION_STREAMS {
            return Err(ShuffleError::Limit {
                what: "as many streams are open on this connection as may be",
                limit: MAX_CONNECTION_STREAMS as u64,
                advice: "fetch their chunks first",
            });
        }
        if held.chunks + blocks.len() > MAX_CONNECTION_CHUNKS {
            return Err(too_many_chunks());
        }
        held.streams += 1;
        held.chunks += blocks.len();
        let stream = Stream {
            owner,
            app: app.into(),
            exec: exec.into(),
            blocks: blocks.into(),
            next: 0,
            file: None,
        };
        self.table.insert(self.last, stream);
        Ok(self.last)
    }

    /// Whether this peer may read this stream, if there is one.
    ///
    /// # Errors
    /// It has proved to be another application.
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

    /// The next chunk of a stream of this connection. One that fails is used up too.
    ///
    /// # Errors
    /// There is no such stream or it is another chunk's turn, or the block cannot be found.
    pub(super) fn chunk(
        &mut self,
        from: &Connection,
        (id, index): (u64, u32),
        files: &mut Files,
        shared: &Shared,
    ) -> Result<ManagedBuffer, ShuffleError> {
        self.make_room(files)?;
        let mine = |stream: &&mut Stream| stream.owner == from.id();
        let stream = self.table.get_mut(&id).filter(mine);
        let stream = stream.ok_or(ShuffleError::UnknownStream { id })?;
        if index != stream.next {
            let expected = stream.next;
            return Err(ShuffleError::OutOfOrder { index, expected });
        }
        let found = stream.find(files, shared);
        stream.next += 1;
        if stream.next as usize == stream.blocks.len() {
            self.forget(id);
        }
        found
    }

    /// Where the table of open files is full, streams let go what they only keep for later.
    fn make_room(&mut self, files: &mut Files) -> Result<(), ShuffleError> {
        if files.has_room() || files.purge().is_ok() {
            return Ok(());
        }
        for stream in self.table.values_mut() {
            stream.file = None;
        }
        files.purge().map_err(|_| ShuffleError::Limit {
            what: "as many files are being sent as may be",
            limit: files.max_open() as u64,
            advice: "try again later, or raise ShuffleConf::max_open_files",
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
    fn find(&mut self, files: &mut Files, shared: &Shared) -> Result<ManagedBuffer, ShuffleError> {
        let executor = shared.executors.find(&self.app, &self.exec)?;
        let block = self.blocks[self.next as usize];
        let found = files.find(&shared.roots, &executor, block)?;
        self.file = found.file;
        Ok(found.data)
    }
}
