//! Helpers shared by the tests of the shuffle service: files as Spark's executors leave them, a service
//! over them, and a peer that speaks its messages.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses another part of it"
)]

use std::fs;
use std::path::PathBuf;

use ringrail::codec::spark::shuffle::{FetchShuffleBlocks, IntLists, Message, OpenBlocks};
use ringrail::codec::spark::shuffle::{RegisterExecutor, StreamHandle};
use ringrail::shuffle::{ShuffleConf, ShuffleService};
use ringrail::transport::client::ChunkOptions;
use ringrail::transport::metrics::MetricsSnapshot;
use ringrail::transport::spark::Protocols;
use ringrail::{
    Engine, ParkMode, RequestError, TransportClient, TransportConf, TransportContext,
    TransportServer,
};

pub const APP: &str = "app-1";
pub const EXEC: &str = "2";

pub fn engine() -> Engine {
    Engine::builder(TransportConf::default())
        .shards(1)
        .unpinned()
        .park(ParkMode::Bare)
        .start()
        .unwrap()
}

/// Bytes that differ from block to block and place to place.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(step).collect()
}

/// Directories of one executor, with files placed by the formula, computed with plain integers.
pub struct Disk {
    pub root: tempfile::TempDir,
    pub dirs: Vec<PathBuf>,
}

pub const SUB_DIRS: i32 = 64;

impl Disk {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dirs =
            ["a/blockmgr-1", "b/blockmgr-2", "c/blockmgr-3"].map(|dir| root.path().join(dir));
        dirs.iter().for_each(|dir| fs::create_dir_all(dir).unwrap());
        Self {
            root,
            dirs: dirs.to_vec(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        let mut hash: i64 = 0;
        for byte in name.bytes() {
            hash = (hash * 31 + i64::from(byte)) % (1 << 32);
        }
        if hash >= 1 << 31 {
            hash -= 1 << 32;
        }
        let hash = if hash == -(1 << 31) { 0 } else { hash.abs() };
        let count = self.dirs.len() as i64;
        let dir = &self.dirs[(hash % count) as usize];
        let sub = (hash / count) % i64::from(SUB_DIRS);
        dir.join(format!("{sub:02x}")).join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Writes a map's output; its partitions.
    pub fn write_map(&self, shuffle: i32, map: i64, lens: &[usize]) -> Vec<Vec<u8>> {
        let seed = |reduce: usize| (map as u64) << 20 | reduce as u64;
        let parts = lens.iter().enumerate();
        let parts: Vec<_> = parts.map(|(at, len)| bytes(seed(at), *len)).collect();
        let mut index = vec![0; 8];
        let mut offset = 0i64;
        for part in &parts {
            offset += part.len() as i64;
            index.extend_from_slice(&offset.to_be_bytes());
        }
        self.write(&format!("shuffle_{shuffle}_{map}_0.index"), &index);
        if offset > 0 {
            self.write(&format!("shuffle_{shuffle}_{map}_0.data"), &parts.concat());
        }
        parts
    }

    pub fn dir_names(&self) -> Vec<String> {
        let name = |dir: &PathBuf| dir.to_str().unwrap().to_owned();
        self.dirs.iter().map(name).collect()
    }

    pub fn conf(&self) -> ShuffleConf {
        ShuffleConf::new(vec![self.root.path().to_owned()])
    }
}

/// A connection to a service, of this process or another, in Spark's protocol.
pub struct Client {
    pub client: TransportClient,
    _engine: Engine,
}

impl Client {
    pub fn connect(address: &str) -> Self {
        let engine = engine();
        let clients = TransportContext::client_only(engine.clone())
            .create_spark_client_factory(None, Vec::new());
        Self {
            client: clients.create_client_blocking(address).unwrap(),
            _engine: engine,
        }
    }

    pub fn ask(&self, message: Message<'_>) -> Result<Vec<u8>, String> {
        let mut body = vec![0; message.encoded_len()];
        message.encode(&mut body).unwrap();
        let reply = self.client.send_rpc(body).wait().map_err(text)?;
        Ok(reply.to_vec())
    }

    pub fn chunk(&self, stream: i64, index: u32) -> Result<Vec<u8>, String> {
        chunk(&self.client, stream, index)
    }
}

/// The registration of an executor of the one application.
pub struct Registration {
    exec: String,
    dirs: Vec<String>,
}

pub fn register_message(exec: &str, dirs: &[String]) -> Registration {
    Registration {
        exec: exec.to_owned(),
        dirs: dirs.to_vec(),
    }
}

impl Registration {
    pub fn message(&self) -> Message<'_> {
        Message::RegisterExecutor(RegisterExecutor {
            app_id: APP,
            exec_id: &self.exec,
            local_dirs: (&self.dirs[..]).into(),
            sub_dirs_per_local_dir: SUB_DIRS,
            shuffle_manager: "org.apache.spark.shuffle.sort.SortShuffleManager",
        })
    }
}

/// A service that listens, and a connection to it.
pub struct Peer {
    pub service: ShuffleService,
    pub server: TransportServer,
    pub client: TransportClient,
    serving: Engine,
    _engine: Engine,
}

impl Peer {
    pub fn new(conf: ShuffleConf) -> Self {
        Self::of(ShuffleService::start(conf).unwrap())
    }

    pub fn of(service: ShuffleService) -> Self {
        let serving = engine();
        let context = service
            .context(serving.clone())
            .with_protocols(Protocols::Spark);
        let server = context
            .create_server("127.0.0.1:0".parse().unwrap())
            .unwrap();
        let (client, engine) = connect(&server);
        Self {
            service,
            server,
            client,
            serving,
            _engine: engine,
        }
    }

    /// Handlers of the service that panicked.
    pub fn panics(&self) -> u64 {
        self.engine_metrics().handler_panics
    }

    /// The counters of the engine that serves.
    pub fn engine_metrics(&self) -> MetricsSnapshot {
        self.serving.metrics()
    }

    /// A service over `disk` at which its executor has registered.
    pub fn registered(disk: &Disk) -> Self {
        let peer = Self::new(disk.conf());
        peer.register(APP, EXEC, &disk.dir_names()).unwrap();
        peer
    }

    pub fn register(&self, app_id: &str, exec_id: &str, dirs: &[String]) -> Result<(), String> {
        let answer = self.ask(Message::RegisterExecutor(RegisterExecutor {
            app_id,
            exec_id,
            local_dirs: dirs.into(),
            sub_dirs_per_local_dir: SUB_DIRS,
            shuffle_manager: "org.apache.spark.shuffle.sort.SortShuffleManager",
        }))?;
        assert!(answer.is_empty(), "an empty body answers a registration");
        Ok(())
    }

    pub fn ask(&self, message: Message<'_>) -> Result<Vec<u8>, String> {
        let mut body = vec![0; message.encoded_len()];
        message.encode(&mut body).unwrap();
        self.ask_bytes(body)
    }

    pub fn ask_bytes(&self, body: Vec<u8>) -> Result<Vec<u8>, String> {
        let reply = self.client.send_rpc(body).wait().map_err(text)?;
        Ok(reply.to_vec())
    }

    pub fn handle(&self, message: Message<'_>) -> Result<StreamHandle, String> {
        Ok(StreamHandle::decode(&self.ask(message)?).unwrap())
    }

    pub fn open(&self, ids: &[&str]) -> Result<StreamHandle, String> {
        self.handle(Message::OpenBlocks(OpenBlocks {
            app_id: APP,
            exec_id: EXEC,
            block_ids: ids.into(),
        }))
    }

    pub fn fetch(
        &self,
        shuffle_id: i32,
        maps: &[i64],
        reduces: &[&[i32]],
        batch: bool,
    ) -> Result<StreamHandle, String> {
        self.handle(Message::FetchShuffleBlocks(FetchShuffleBlocks {
            app_id: APP,
            exec_id: EXEC,
            shuffle_id,
            map_ids: maps.into(),
            reduce_ids: IntLists::from(reduces),
            batch_fetch_enabled: batch,
        }))
    }

    pub fn chunk(&self, stream: i64, index: u32) -> Result<Vec<u8>, String> {
        chunk(&self.client, stream, index)
    }

    /// All chunks of a stream, in order.
    pub fn chunks(&self, handle: StreamHandle) -> Vec<Result<Vec<u8>, String>> {
        let count = handle.num_chunks as u32;
        (0..count)
            .map(|index| self.chunk(handle.stream_id, index))
            .collect()
    }

    /// A chunk by name.
    pub fn stream(&self, name: &str) -> Result<Vec<u8>, String> {
        let mut reader = self.client.stream_blocking(name, 0).map_err(text)?;
        let mut all = Vec::new();
        while let Some(part) = reader.blocking_next() {
            all.extend_from_slice(&part.map_err(text)?);
        }
        Ok(all)
    }
}

pub fn connect(server: &TransportServer) -> (TransportClient, Engine) {
    let Client { client, _engine } = Client::connect(&server.local_addr().to_string());
    (client, _engine)
}

pub fn chunk(client: &TransportClient, stream: i64, index: u32) -> Result<Vec<u8>, String> {
    let options = ChunkOptions::default();
    let chunk = client.fetch_chunk(stream as u64, index, &options).wait();
    Ok(chunk.map_err(text)?.to_vec())
}

pub fn text(error: RequestError) -> String {
    match error {
        RequestError::Remote { failure, .. } => failure.message().to_owned(),
        other => panic!("the connection did not stay: {other}"),
    }
}
