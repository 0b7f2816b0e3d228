//! The service, and the handler of each shard: reads messages, checks who asks, answers or delegates.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use ringrail_codec::spark::shuffle::{Message, MessageKind, StreamHandle};
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::{StreamManager, UploadSink, UploadStart};
use ringrail_transport::{
    Connection, Engine, Received, Responder, RpcFailure, RpcHandler, TransportContext,
};

use super::block::Block;
use super::error::ShuffleError;
use super::executors::Executors;
use super::files::Files;
use super::requests::{blocks_by_name, blocks_by_number, local_dirs, merged_blocks};
use super::roots::LocalRoots;
use super::store::Store;
use super::streams::Streams;
use super::tasks::Task;
use crate::workers::Workers;

/// The longest message that a helper thread takes, in bytes.
const MAX_TASK_LEN: usize = 4 << 20;

/// Settings of a [`ShuffleService`].
#[derive(Clone, Debug)]
pub struct ShuffleConf {
    /// The service's local directories: executors' must lie below them. Spark: `spark.local.dir`.
    pub local_dirs: Vec<PathBuf>,
    /// Where registered executors are kept for the next start; `None` to forget them. Spark:
    /// `spark.shuffle.service.db.enabled`, where it lies in the first local directory.
    pub store: Option<PathBuf>,
    /// Memory for index files, in bytes, of each shard. Spark: `spark.shuffle.service.index.cache.size`.
    pub index_cache_len: usize,
    /// Files that each shard may have open.
    pub max_open_files: usize,
    /// Executors that may be registered.
    pub max_executors: usize,
    /// Threads that register executors, delete blocks and look for corruption.
    pub threads: usize,
    /// Requests that may wait for such a thread; further ones are refused as busy.
    pub queue: usize,
}

impl ShuffleConf {
    /// The defaults for these directories: nothing stored, 4 MiB of index files, 4,096 open files,
    /// 100,000 executors, 2 threads, 64 requests that wait.
    pub fn new(local_dirs: Vec<PathBuf>) -> Self {
        Self {
            local_dirs,
            store: None,
            index_cache_len: 4 << 20,
            max_open_files: 4096,
            max_executors: 100_000,
            threads: 2,
            queue: 64,
        }
    }
}

/// Why a service cannot start or change what it has stored.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct ShuffleServiceError {
    what: &'static str,
    reason: String,
}

impl ShuffleServiceError {
    fn new(what: &'static str, reason: impl fmt::Display) -> Self {
        let reason = reason.to_string();
        Self { what, reason }
    }
}

/// What all shards share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) roots: LocalRoots,
    pub(super) executors: Executors,
    conf: ShuffleConf,
}

/// Serves what executors have written (Spark: `ExternalShuffleService`, `ExternalBlockHandler`).
///
/// Makes the handler of each shard; cheap to clone.
///
/// ```no_run
/// use ringrail::shuffle::{ShuffleConf, ShuffleService};
/// use ringrail::{Engine, ParkMode, TransportConf};
///
/// let mut conf = ShuffleConf::new(vec!["/srv/spark".into()]);
/// conf.store = Some("/srv/spark/executors.redb".into());
/// let service = ShuffleService::start(conf)?;
/// let engine = Engine::builder(TransportConf::default()).park(ParkMode::Bare).start()?;
/// let server = service.context(engine).create_server("127.0.0.1:7337".parse()?)?;
/// println!("listening on {}", server.local_addr());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ShuffleService {
    shared: Arc<Shared>,
    workers: Arc<Workers<Task>>,
}

impl ShuffleService {
    /// Opens the local directories, loads what executors are stored, starts the helper threads.
    ///
    /// # Errors
    /// A directory or the store cannot be opened, or a thread cannot be started.
    pub fn start(conf: ShuffleConf) -> Result<Self, ShuffleServiceError> {
        let roots = LocalRoots::open(&conf.local_dirs).map_err(|reason| {
            ShuffleServiceError::new("the shuffle service's directories", reason)
        })?;
        let store = conf.store.as_deref().map(Store::open).transpose();
        let executors = store
            .and_then(|store| Executors::load(store, &roots, conf.max_executors))
            .map_err(|reason| {
                ShuffleServiceError::new("the shuffle service's executors", reason)
            })?;
        let workers = Workers::start("ringrail-shuffle", conf.threads, conf.queue, Task::run)
            .map_err(|reason| ShuffleServiceError::new("the shuffle service's threads", reason))?;
        let shared = Shared {
            roots,
            executors,
            conf,
        };
        Ok(Self {
            shared: Arc::new(shared),
            workers: Arc::new(workers),
        })
    }

    /// A context whose connections are served by this.
    pub fn context(&self, engine: Engine) -> TransportContext {
        let service = self.clone();
        TransportContext::new(engine, move || Rc::new(service.handler()))
    }

    /// The handler of one shard, made there: to be wrapped by one of your own.
    pub fn handler(&self) -> ShuffleHandler {
        let conf = &self.shared.conf;
        let files = Files::new(conf.index_cache_len, conf.max_open_files);
        ShuffleHandler {
            service: self.clone(),
            streams: RefCell::new(Streams::new(0)),
            files: RefCell::new(files),
        }
    }

    /// Executors that have registered (Spark: the gauge `registeredExecutorsSize`).
    pub fn executors(&self) -> usize {
        self.shared.executors.len()
    }

    /// Forgets an application that has ended; how many executors it had (Spark: `applicationRemoved`). Its files
    /// stay. Waits for the disk: not for the inside of a shard.
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed then.
    pub fn remove_application(&self, app: &str) -> Result<usize, ShuffleServiceError> {
        let removed = self.shared.executors.remove_app(app);
        removed.map_err(|reason| ShuffleServiceError::new("removing an application", reason))
    }
}

impl fmt::Debug for ShuffleService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShuffleService({} executors)", self.executors())
    }
}

/// Answers shuffle messages on one shard; made by [`ShuffleService::handler`].
pub struct ShuffleHandler {
    service: ShuffleService,
    streams: RefCell<Streams>,
    files: RefCell<Files>,
}

impl ShuffleHandler {
    /// Bytes of the index files that this shard holds.
    pub fn index_cache_len(&self) -> usize {
        self.files.borrow().index_len()
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
            Message::FinalizeShuffleMerge(_) => return Err(ShuffleError::Merge),
            Message::RemoveShuffleMerge(_) => return Err(ShuffleError::MergeRemoval),
            other => return Err(ShuffleError::Unexpected(other.kind())),
        };
        self.open(from, executor, blocks)
    }

    /// Registers a stream; the message that tells of it.
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
    fn delegate(&self, body: &[u8], reply: Responder<'_>) {
        if body.len() > MAX_TASK_LEN {
            let error = ShuffleError::Limit {
                what: "this message is too long",
                limit: MAX_TASK_LEN as u64,
                advice: "send it in parts",
            };
            return reply.fail(&error.into());
        }
        let task = Task {
            shared: Arc::clone(&self.service.shared),
            body: body.to_vec(),
            reply: reply.defer(),
        };
        if let Err(task) = self.service.workers.submit(task) {
            let limit = self.service.shared.conf.queue as u64;
            let failure = RpcFailure::from(ShuffleError::Limit {
                what: "as many requests wait for the disk as may",
                limit,
                advice: "try again, or raise ShuffleConf::queue",
            });
            task.reply.fail(failure);
        }
    }
}

/// A peer that has proved to be an application speaks for that one only.
fn check_app(from: &Connection, message: &Message<'_>) -> Result<(), ShuffleError> {
    let (Some(client), Some(app)) = (from.client_id(), message.app_id()) else {
        return Ok(());
    };
    if *client == *app {
        return Ok(());
    }
    Err(ShuffleError::NotThisApp {
        client: client.as_ref().to_owned(),
        app: app.to_owned(),
    })
}

impl RpcHandler for ShuffleHandler {
    fn receive(&self, from: &Connection, body: Received<'_>, reply: Responder<'_>) {
        let decoded = Message::decode(body.bytes()).map_err(ShuffleError::from);
        let message = match decoded.and_then(|message| {
            check_app(from, &message)?;
            Ok(message)
        }) {
            Ok(message) => message,
            Err(error) => return reply.fail(&error.into()),
        };
        match message {
            Message::RegisterExecutor(_)
            | Message::RemoveBlocks(_)
            | Message::DiagnoseCorruption(_) => self.delegate(body.bytes(), reply),
            Message::GetLocalDirsForExecutors(asked) => {
                match local_dirs(&self.service.shared.executors, &asked) {
                    Ok(answer) => reply.reply_body(answer),
                    Err(error) => reply.fail(&error.into()),
                }
            }
            other => match self.stream_of(from, &other) {
                Ok(handle) => reply.reply(&handle),
                Err(error) => reply.fail(&error.into()),
            },
        }
    }

    fn receive_stream(
        &self,
        _from: &Connection,
        _upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, RpcFailure> {
        Err(ShuffleError::Merge.into())
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }

    fn channel_inactive(&self, connection: &Connection) {
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
        let mut files = self.files.borrow_mut();
        let mut streams = self.streams.borrow_mut();
        streams.authorize(from, stream_id)?;
        let chunk = (stream_id, index);
        Ok(streams.chunk(from, chunk, &mut files, &self.service.shared)?)
    }

    /// A chunk by name, `<stream>_<index>`: how Spark asks for large ones.
    fn open_stream(
        &self,
        from: &Connection,
        name: &str,
    ) -> Result<Option<ManagedBuffer>, RpcFailure> {
        let parts = name.split_once('_');
        let parsed = parts.and_then(|(id, index)| Some((id.parse().ok()?, index.parse().ok()?)));
        let Some((stream_id, index)) = parsed else {
            return Ok(None);
        };
        self.get_chunk(from, stream_id, index).map(Some)
    }

    fn check_authorization(&self, from: &Connection, stream_id: u64) -> Result<(), RpcFailure> {
        Ok(self.streams.borrow().authorize(from, stream_id)?)
    }

    fn connection_terminated(&self, connection: &Connection) {
        self.streams.borrow_mut().close_all(connection);
    }
}

impl fmt::Debug for ShuffleHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShuffleHandler")
    }
}
