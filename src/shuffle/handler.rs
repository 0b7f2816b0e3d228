//! The handler of each shard: reads messages, checks who asks, answers or delegates.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ringrail_codec::spark::shuffle::{Message, MessageKind, StreamHandle};
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::{
    MergedBlocks, MergedBlocksRequest, StreamManager, UploadSink, UploadStart,
};
use ringrail_transport::{Connection, ReceivedBytes, Responder, RpcFailure, RpcHandler};

use super::block::Block;
use super::error::ShuffleError;
use super::files::Files;
use super::lookup::{Lookups, Outcome, Owner, Wanted};
use super::merge;
use super::metrics::{Served, ShardCounters};
use super::requests::{blocks_by_name, blocks_by_number, local_dirs, merged_blocks};
use super::roots::Wait;
use super::service::ShuffleService;
use super::streams::{Chunk, Streams};
use super::tasks::{Job, Task};

/// Limit of a message for a helper thread, in bytes.
const MAX_TASK_LEN: usize = 4 << 20;

/// Answers shuffle messages on one shard; made by [`ShuffleService::handler`].
pub struct ShuffleHandler {
    service: ShuffleService,
    streams: RefCell<Streams>,
    files: RefCell<Files>,
    lookups: RefCell<Lookups>,
    counters: Arc<ShardCounters>,
}

impl ShuffleHandler {
    pub(super) fn new(service: ShuffleService) -> Self {
        let conf = &service.shared.conf;
        Self {
            streams: RefCell::new(Streams::new()),
            files: RefCell::new(Files::new(
                conf.index_cache_len,
                conf.max_open_files,
                Wait::Never,
            )),
            lookups: RefCell::default(),
            counters: service.shared.metrics.add_shard(),
            service,
        }
    }

    /// Bytes of the index files that this shard holds.
    pub fn index_cache_len(&self) -> usize {
        self.files.borrow().index_len()
    }

    /// Reads a message and counts it.
    fn read<'a>(&self, from: &Connection, body: &'a [u8]) -> Result<Message<'a>, ShuffleError> {
        let message =
            Message::decode(body).inspect_err(|_| self.counters.unreadable.increment())?;
        self.counters.request(message.kind()).increment();
        check_app(from, &message)?;
        Ok(message)
    }

    /// The stream that a message asks for.
    fn stream_of(
        &self,
        from: &Connection,
        message: &Message<'_>,
    ) -> Result<[u8; 13], ShuffleError> {
        let (executor, blocks) = match message {
            Message::OpenBlocks(asked) => ((asked.app_id, asked.exec_id), blocks_by_name(asked)?),
            Message::FetchShuffleBlocks(asked) => {
                ((asked.app_id, asked.exec_id), blocks_by_number(asked)?)
            }
            Message::FetchShuffleBlockChunks(asked) => {
                ((asked.app_id, asked.exec_id), merged_blocks(asked)?)
            }
            other => return Err(ShuffleError::Unexpected(other.kind())),
        };
        self.open(from, executor, blocks)
    }

    /// Registers a stream; returns the message that announces it.
    fn open(
        &self,
        from: &Connection,
        executor: (&str, &str),
        blocks: Vec<Block>,
    ) -> Result<[u8; 13], ShuffleError> {
        let num_chunks = blocks.len() as i32;
        let stream = self.streams.borrow_mut().register(from, executor, blocks)?;
        let handle = StreamHandle {
            stream_id: stream as i64,
            num_chunks,
        };
        let mut body = [0; 13];
        let written = handle.encode(&mut body);
        written.map_err(|_| ShuffleError::Unexpected(MessageKind::StreamHandle))?;
        Ok(body)
    }

    /// Passes a message on to a helper thread.
    fn delegate(&self, body: &[u8], reply: Option<Responder<'_>>) {
        if body.len() > MAX_TASK_LEN {
            let error = ShuffleError::Limit {
                what: "this message is too long",
                limit: MAX_TASK_LEN as u64,
                advice: "send it in parts",
            };
            if let Some(reply) = reply {
                self.fail(reply, error);
            }
            return;
        }
        let task = Task {
            shared: Arc::clone(&self.service.shared),
            body: body.to_vec(),
            reply: reply.map(Responder::defer),
            since: Instant::now(),
        };
        if let Err(Job::Task(task)) = self.service.workers.submit(Job::Task(task)) {
            self.counters.failed.increment();
            if let Some(reply) = task.reply {
                reply.fail(self.too_many_wait().into());
            }
        }
    }

    #[cold]
    fn too_many_wait(&self) -> ShuffleError {
        ShuffleError::Limit {
            what: "as many requests wait for the disk as may",
            limit: self.service.shared.conf.queue as u64,
            advice: "try again, or raise ringrail.shuffle.queue",
        }
    }

    /// Hands a lookup to a helper thread; the connection is paused.
    #[cold]
    fn look_up(&self, from: &Connection, place: (Owner, &str), wanted: Wanted) -> ShuffleError {
        let shared = &self.service.shared;
        let mut lookups = self.lookups.borrow_mut();
        let lookup = lookups.begin(from, shared, place, wanted);
        drop(lookups);
        if self.service.workers.submit(Job::Lookup(lookup)).is_ok() {
            self.counters.lookups.increment();
            return ShuffleError::NotInMemory;
        }
        let error = self.too_many_wait();
        close(from, &error);
        error
    }

    /// Looks up the metadata of a merged partition.
    fn find_merged(
        &self,
        from: &Connection,
        asked: &MergedBlocksRequest<'_>,
    ) -> Result<MergedBlocks, ShuffleError> {
        let shared = &self.service.shared;
        let merges = shared.merges.as_ref().ok_or(ShuffleError::Merge)?;
        let (shuffle, merge) = (asked.shuffle_id, asked.shuffle_merge_id);
        let numbers = [shuffle, merge, asked.reduce_id].map(u32::try_from);
        let [Ok(shuffle), Ok(merge), Ok(reduce)] = numbers else {
            return Err(ShuffleError::BadMergeNumbers { shuffle, merge });
        };
        let partition = (shuffle, merge, reduce);
        let owner = Owner::Merges(merges.for_fetch(asked.app_id, partition)?);
        let wanted = Wanted::MergedMeta(partition);
        let mut files = self.files.borrow_mut();
        let mut lookups = self.lookups.borrow_mut();
        let answer = lookups.answer(from, || Some(wanted), &mut files);
        drop(lookups);
        let found =
            answer.unwrap_or_else(|| files.look_for(shared, (&owner, asked.app_id), wanted));
        match found {
            Ok(Outcome::MergedMeta(num_chunks, bitmaps)) => Ok(MergedBlocks {
                num_chunks,
                bitmaps,
            }),
            Ok(Outcome::Block(_)) => Err(ShuffleError::LookupLost),
            Err(ShuffleError::NotInMemory) => {
                Err(self.look_up(from, (owner, asked.app_id), wanted))
            }
            Err(error) => Err(error),
        }
    }

    /// A block begins that is pushed to be merged.
    fn push(
        &self,
        from: &Connection,
        upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, ShuffleError> {
        let asked = match self.read(from, upload.meta)? {
            Message::PushBlockStream(asked) => asked,
            other => return Err(ShuffleError::Unexpected(other.kind())),
        };
        let service = &self.service;
        let (Some(merges), Some(mergers)) = (&service.shared.merges, &service.mergers) else {
            return Err(ShuffleError::Merge);
        };
        let block = (&asked, upload.total_len);
        merge::receive(&service.shared, merges, mergers, block)
    }

    #[cold]
    fn fail(&self, reply: Responder<'_>, error: ShuffleError) {
        self.counters.failed.increment();
        reply.fail(&error.into());
    }

    /// A chunk, by whichever kind of request.
    fn serve(
        &self,
        from: &Connection,
        chunk: (u64, u32),
        by: Served,
    ) -> Result<ManagedBuffer, RpcFailure> {
        self.check_load(from)?;
        let mut served = self.find(from, chunk);
        if matches!(served, Err(ShuffleError::NotInMemory)) {
            match self.look_up_chunk(from, chunk) {
                ShuffleError::NotInMemory => return Err(ShuffleError::NotInMemory.into()),
                error => served = Err(error),
            }
        }
        if by == Served::ByStream {
            self.streams.borrow_mut().settle(chunk.0);
        }
        match served {
            Ok(chunk) => {
                self.counters.chunk(by, chunk.data.len(), chunk.blocks);
                Ok(chunk.data)
            }
            Err(error) => {
                self.counters.chunk_failures[by as usize].increment();
                if matches!(error, ShuffleError::Limit { .. }) {
                    close(from, &error);
                }
                Err(error.into())
            }
        }
    }

    fn find(&self, from: &Connection, chunk: (u64, u32)) -> Result<Chunk, ShuffleError> {
        let mut files = self.files.borrow_mut();
        let mut streams = self.streams.borrow_mut();
        streams.authorize(from, chunk.0)?;
        let wanted = || streams.wanted(chunk);
        let answer = self.lookups.borrow_mut().answer(from, wanted, &mut files);
        streams.chunk(from, chunk, (&mut files, answer), &self.service.shared)
    }

    #[cold]
    fn look_up_chunk(&self, from: &Connection, chunk: (u64, u32)) -> ShuffleError {
        let mut streams = self.streams.borrow_mut();
        let Some(wanted) = streams.wanted(chunk) else {
            return ShuffleError::UnknownStream { id: chunk.0 };
        };
        match streams.owner(chunk, &self.service.shared) {
            Ok((owner, app)) => self.look_up(from, (owner, &app), wanted),
            Err(error) => error,
        }
    }

    /// Spark closes a connection that asks for more chunks than may be on their way.
    fn check_load(&self, from: &Connection) -> Result<(), RpcFailure> {
        let shared = &self.service.shared;
        let limit = shared.conf.max_chunks_being_transferred;
        if limit == u64::MAX || shared.metrics.in_flight.load(Ordering::Relaxed) < limit {
            return Ok(());
        }
        let error = ShuffleError::Limit {
            what: "as many chunks are being transferred as may be",
            limit,
            advice: "try again later, or raise spark.shuffle.maxChunksBeingTransferred",
        };
        self.counters.connections_closed_for_load.increment();
        close(from, &error);
        Err(error.into())
    }

    /// Counts chunks being sent, if their number is limited.
    fn count_in_flight(&self, change: u64) {
        let shared = &self.service.shared;
        if shared.conf.max_chunks_being_transferred != u64::MAX {
            shared
                .metrics
                .in_flight
                .fetch_add(change, Ordering::Relaxed);
        }
    }
}

/// Ends a connection that asks for more than there is: a failed chunk would fail the whole stage of a Spark job, a
/// connection that ends makes its reader try again after a while.
#[cold]
fn close(from: &Connection, error: &ShuffleError) {
    tracing::warn!(target: "ringrail::shuffle", peer = %from.peer(), %error, "connection closed");
    from.close();
}

/// A peer authenticated as an application may act for that one only.
fn check_app(from: &Connection, message: &Message<'_>) -> Result<(), ShuffleError> {
    match message.app_id() {
        Some(app) => check_client(from, app),
        None => Ok(()),
    }
}

fn check_client(from: &Connection, app: &str) -> Result<(), ShuffleError> {
    match from.client_id() {
        Some(client) if *client != *app => Err(ShuffleError::NotThisApp {
            client: client.as_ref().to_owned(),
            app: app.to_owned(),
        }),
        _ => Ok(()),
    }
}

impl RpcHandler for ShuffleHandler {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let since = Instant::now();
        let message = match self.read(from, body.bytes()) {
            Ok(message) => message,
            Err(error) => return self.fail(reply, error),
        };
        match message {
            Message::RegisterExecutor(_)
            | Message::RemoveBlocks(_)
            | Message::FinalizeShuffleMerge(_)
            | Message::RemoveShuffleMerge(_)
            | Message::DiagnoseCorruption(_) => self.delegate(body.bytes(), Some(reply)),
            Message::GetLocalDirsForExecutors(asked) => {
                let shared = &self.service.shared;
                match local_dirs(&shared.executors, shared.merges.as_deref(), &asked) {
                    Ok(answer) => reply.reply_body(answer),
                    Err(error) => self.fail(reply, error),
                }
            }
            other => match self.stream_of(from, &other) {
                Ok(handle) => {
                    reply.reply(&handle);
                    self.counters.open_blocks.record(since.elapsed());
                }
                Err(error) => self.fail(reply, error),
            },
        }
    }

    /// Spark has merged files deleted by a message that wants no answer.
    fn receive_one_way(&self, from: &Connection, body: ReceivedBytes<'_>) {
        match self.read(from, body.bytes()) {
            Ok(Message::RemoveShuffleMerge(_)) => self.delegate(body.bytes(), None),
            Ok(other) => tracing::warn!(
                target: "ringrail::shuffle", peer = %from.peer(), message = %other.kind(),
                "a message that wants an answer came without the wish for one"
            ),
            Err(error) => tracing::warn!(
                target: "ringrail::shuffle", peer = %from.peer(), %error, "a message was refused"
            ),
        }
    }

    fn receive_stream(
        &self,
        from: &Connection,
        upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, RpcFailure> {
        self.push(from, upload).map_err(|error| {
            self.counters.failed.increment();
            error.into()
        })
    }

    fn merged_blocks(
        &self,
        from: &Connection,
        asked: MergedBlocksRequest<'_>,
    ) -> Result<MergedBlocks, RpcFailure> {
        let since = Instant::now();
        let found = check_client(from, asked.app_id).and_then(|()| self.find_merged(from, &asked));
        if matches!(found, Err(ShuffleError::NotInMemory)) {
            return Err(ShuffleError::NotInMemory.into());
        }
        self.counters.merged_blocks_meta.record(since.elapsed());
        self.counters.merged_block_metas.increment();
        found.map_err(|error| {
            self.counters.failed.increment();
            error.into()
        })
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }

    fn channel_active(&self, _connection: &Connection) {
        self.counters.connections.add(1);
    }

    fn channel_inactive(&self, connection: &Connection) {
        self.counters.connections.sub(1);
        self.lookups.borrow_mut().forget(connection);
        self.streams.borrow_mut().close_all(connection);
    }
}

impl StreamManager for ShuffleHandler {
    fn get_chunk(
        &self,
        from: &Connection,
        stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        self.serve(from, (stream_id, index), Served::ByChunk)
    }

    /// A chunk by name, `<stream>_<index>`: how Spark asks for large ones.
    fn open_stream(
        &self,
        from: &Connection,
        name: &str,
    ) -> Result<Option<ManagedBuffer>, RpcFailure> {
        let parts = name.split_once('_');
        let parsed = parts.and_then(|(id, index)| Some((id.parse().ok()?, index.parse().ok()?)));
        match parsed {
            None => Ok(None),
            Some(chunk) => self.serve(from, chunk, Served::ByStream).map(Some),
        }
    }

    fn check_authorization(&self, from: &Connection, stream_id: u64) -> Result<(), RpcFailure> {
        Ok(self.streams.borrow().authorize(from, stream_id)?)
    }

    fn chunk_being_sent(&self, stream_id: u64) {
        self.count_in_flight(1);
        self.streams.borrow_mut().being_sent(stream_id);
    }

    fn chunk_sent(&self, stream_id: u64) {
        self.count_in_flight(u64::MAX);
        self.streams.borrow_mut().sent(stream_id);
    }

    fn connection_terminated(&self, connection: &Connection) {
        self.streams.borrow_mut().close_all(connection);
    }
}

impl Drop for ShuffleHandler {
    fn drop(&mut self) {
        self.counters.connections.set(0);
    }
}

impl fmt::Debug for ShuffleHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShuffleHandler")
    }
}
