//! The serving side: answers block requests from a store.
//!
//! ```text
//! shard:   request ─┬─ ping, chunk, close: answered at once
//!                   └─ manifest, open, digests ─► queue ─► helper thread ─► store
//! shard:   table of streams ◄─ opened blocks ◄───────────────────┘ └─► deferred reply
//! ```
//!
//! A chunk's bytes go from the file to the socket by the transport; nothing here touches them.

mod budget;
mod jobs;
mod streams;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringrail_codec::native::FailureCode;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::StreamManager;
use ringrail_transport::{
    Connection, Engine, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportContext,
};

use budget::Budget;
pub use jobs::MAX_MANIFEST_ENTRIES;
use jobs::{Place, Task, Wanted, Work};
pub use streams::{MAX_STREAMS, STREAM_IDLE};
use streams::{Owner, Streams};

use super::message::{
    ArchivedBlockRequest, ArchivedChunkRange, BlockRequest, MAX_DIGEST_BATCH, MAX_OPEN_BATCH,
};
use super::store::BlockStore;
use crate::workers::Workers;

type ArchivedName = rkyv::vec::ArchivedVec<u8>;

/// Most helper threads by default.
const WORKERS_MAX: usize = 4;

/// Settings of a [`BlockServer`].
#[derive(Clone, Debug)]
pub struct BlockServerConf {
    /// Threads that open, list and hash; 0 for one per processor, up to four.
    /// `ringrail.block.serverThreads`, 0.
    pub threads: usize,
    /// Requests that may wait for such a thread; further ones are refused as busy.
    /// `ringrail.block.serverQueue`, 1024.
    pub queue: usize,
    /// Bytes of memory for manifests that are being fetched.
    /// `ringrail.block.manifestBudget`, 1 GiB.
    pub manifest_budget: u64,
    /// Entries that one manifest may have. `ringrail.block.maxManifestEntries`,
    /// [`MAX_MANIFEST_ENTRIES`].
    pub max_manifest_entries: u64,
    /// Streams that one connection may have open. `ringrail.block.maxStreams`, [`MAX_STREAMS`].
    pub max_streams: u32,
    /// An idle stream is closed after this time, when others are opened.
    /// `ringrail.block.streamIdle`, [`STREAM_IDLE`].
    pub stream_idle: Duration,
}

impl Default for BlockServerConf {
    fn default() -> Self {
        Self {
            threads: 0,
            queue: 1024,
            manifest_budget: 1 << 30,
            max_manifest_entries: MAX_MANIFEST_ENTRIES,
            max_streams: MAX_STREAMS,
            stream_idle: STREAM_IDLE,
        }
    }
}

/// State that all shards share.
pub(super) struct Shared {
    store: Arc<dyn BlockStore>,
    conf: BlockServerConf,
    workers: Workers<Task>,
    manifests: Arc<Budget>,
    streams: AtomicU64,
}

impl Shared {
    fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }
}

/// Serves the blocks of a store (Spark: `ExternalBlockHandler`, `NettyBlockTransferService`).
///
/// Makes the handler of each shard; cheap to clone.
///
/// ```no_run
/// use std::sync::Arc;
/// use ringrail::block::{BlockServer, BlockServerConf, DirStore};
/// use ringrail::{Engine, ParkMode, TransportConf};
///
/// let store = DirStore::open_root("/srv/data".as_ref())?;
/// let engine = Engine::builder(TransportConf::default()).park(ParkMode::Bare).start()?;
/// let blocks = BlockServer::new(Arc::new(store), &BlockServerConf::default())?;
/// let server = blocks.context(engine).create_server("127.0.0.1:7337".parse()?)?;
/// println!("listening on {}", server.local_addr());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BlockServer {
    shared: Arc<Shared>,
}

impl BlockServer {
    /// A server of the blocks of `store`.
    ///
    /// # Errors
    /// A helper thread cannot be started.
    pub fn new(store: Arc<dyn BlockStore>, conf: &BlockServerConf) -> io::Result<Self> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if conf.threads == 0 {
            cpus.min(WORKERS_MAX)
        } else {
            conf.threads
        };
        let workers = Workers::start("ringrail-block", threads, conf.queue, Task::run)?;
        let manifests = Budget::new(conf.manifest_budget);
        // Ids are not secret (a stream answers its own connection alone), but never zero.
        let streams = AtomicU64::new(1);
        let conf = conf.clone();
        let shared = Shared {
            store,
            conf,
            workers,
            manifests,
            streams,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A context whose connections are served by this.
    pub fn context(&self, engine: Engine) -> TransportContext {
        let blocks = self.clone();
        TransportContext::new(engine, move || Rc::new(blocks.handler()))
    }

    /// The handler of one shard, made there: to be wrapped by one of your own.
    pub fn handler(&self) -> BlockHandler {
        BlockHandler {
            shared: Arc::clone(&self.shared),
            streams: RefCell::new(Streams::new(self.shared.conf.stream_idle)),
            owners: RefCell::default(),
        }
    }
}

impl fmt::Debug for BlockServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockServer")
    }
}

/// Answers block requests on one shard; made by [`BlockServer::handler`].
pub struct BlockHandler {
    shared: Arc<Shared>,
    streams: RefCell<Streams>,
    owners: RefCell<HashMap<u64, Arc<Owner>>>,
}

impl BlockHandler {
    fn owner(&self, id: u64) -> Arc<Owner> {
        Arc::clone(
            self.owners
                .borrow_mut()
                .entry(id)
                .or_insert_with(|| Owner::new(id, self.shared.conf.max_streams)),
        )
    }

    /// Passes a request on to a helper thread. Without room for it, it fails as busy.
    fn delegate(&self, from: &Connection, reply: Responder<'_>, work: Work) {
        let owner = self.owner(from.id());
        if !owner.begin_job() {
            return reply.fail(&busy("requests of this connection are being worked on"));
        }
        let opening = Arc::clone(self.streams.borrow().opening());
        let place = Place {
            shared: Arc::clone(&self.shared),
            owner,
            opening,
        };
        let task = Task {
            place,
            work,
            reply: reply.defer(),
        };
        if let Err(task) = self.shared.workers.submit(task) {
            let failure = busy("requests are being worked on (ringrail.block.serverQueue)");
            task.reply.fail(failure);
        }
    }

    fn open(&self, from: &Connection, ids: &[ArchivedName], chunk_len: u32, reply: Responder<'_>) {
        if ids.len() > MAX_OPEN_BATCH {
            return reply.fail(&too_many("blocks to open", MAX_OPEN_BATCH));
        }
        let ids = ids.iter().map(|id| id.as_slice().to_vec()).collect();
        self.delegate(from, reply, Work::Open { ids, chunk_len });
    }

    fn digests(&self, from: &Connection, of: &[ArchivedChunkRange], reply: Responder<'_>) {
        let chunks = of.iter().map(|range| u64::from(range.count.to_native()));
        let chunks = chunks.fold(0, u64::saturating_add);
        if chunks > MAX_DIGEST_BATCH as u64 || of.len() > MAX_DIGEST_BATCH {
            return reply.fail(&too_many("chunks to hash", MAX_DIGEST_BATCH));
        }
        let mut streams = self.streams.borrow_mut();
        let wanted = of.iter().map(|range| {
            let (first, count) = (range.first.to_native(), range.count.to_native());
            let (data, cut) = streams.block(from.id(), range.stream.to_native())?;
            Ok(Wanted {
                data,
                cut,
                first,
                count,
            })
        });
        let wanted = wanted.collect();
        drop(streams);
        self.delegate(from, reply, Work::Digests { wanted });
    }

    fn forget(&self, connection: &Connection) {
        if let Some(owner) = self.owners.borrow_mut().remove(&connection.id()) {
            self.streams.borrow_mut().close_all(&owner);
        }
    }
}

impl RpcHandler for BlockHandler {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let request = match body.access::<BlockRequest>() {
            Ok(request) => request,
            Err(error) => {
                let text = format!("this is a block server, and this is no block request: {error}");
                return reply.fail(&RpcFailure::new(FailureCode::BadArchive, text));
            }
        };
        match request {
            ArchivedBlockRequest::Ping { payload } => reply.reply(payload),
            ArchivedBlockRequest::Open { ids, chunk_len } => {
                self.open(from, ids, chunk_len.to_native(), reply);
            }
            ArchivedBlockRequest::Digests { of } => self.digests(from, of, reply),
            ArchivedBlockRequest::Manifest { id, digests } => {
                let work = Work::Manifest {
                    id: id.as_slice().to_vec(),
                    digests: *digests,
                };
                self.delegate(from, reply, work);
            }
            ArchivedBlockRequest::Close { .. } => {
                self.receive_one_way(from, body);
                reply.reply(&[]);
            }
        }
    }

    fn receive_one_way(&self, from: &Connection, body: ReceivedBytes<'_>) {
        match body.access::<BlockRequest>() {
            Ok(ArchivedBlockRequest::Close { streams }) => {
                let mut table = self.streams.borrow_mut();
                for stream in streams.iter() {
                    table.close(from.id(), stream.to_native());
                }
            }
            _ => tracing::warn!(
                target: "ringrail::block", peer = %from.peer(), "a one-way message was no `Close`"
            ),
        }
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }

    fn channel_inactive(&self, connection: &Connection) {
        self.forget(connection);
    }
}

impl StreamManager for BlockHandler {
    fn get_chunk(
        &self,
        from: &Connection,
        stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        self.streams.borrow_mut().chunk(from.id(), stream_id, index)
    }

    fn connection_terminated(&self, connection: &Connection) {
        self.forget(connection);
    }
}

impl fmt::Debug for BlockHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockHandler")
    }
}

fn busy(what: &str) -> RpcFailure {
    RpcFailure::new(FailureCode::Busy, format!("too many {what}: try again"))
}

fn too_many(what: &str, limit: usize) -> RpcFailure {
    RpcFailure::new(
        FailureCode::TooLarge,
        format!("more than {limit} {what} in one request"),
    )
}
