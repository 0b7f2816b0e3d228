//! A disk that does not answer delays the connections that read from it, and no others.

use std::fs;
use std::path::PathBuf;

use ringrail_codec::spark::shuffle::{
    GetLocalDirsForExecutors, Message, OpenBlocks, RegisterExecutor, StreamHandle,
};
use ringrail_transport::client::{ChunkOptions, RequestFuture};
use ringrail_transport::spark::Protocols;
use ringrail_transport::{
    Engine, ParkMode, RequestError, TransportClient, TransportConf, TransportContext,
    TransportServer,
};

use super::{ShuffleConf, ShuffleService};

const APP: &str = "app";
const EXEC: &str = "1";

/// A service of one shard, over a directory with one sub-directory, at which an executor has registered.
struct Ground {
    dir: tempfile::TempDir,
    service: ShuffleService,
    server: TransportServer,
    context: TransportContext,
}

impl Ground {
    fn new(set: impl FnOnce(&mut ShuffleConf)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("blocks/00")).unwrap();
        let mut conf = ShuffleConf::new(vec![dir.path().to_owned()]);
        set(&mut conf);
        let service = ShuffleService::start(conf).unwrap();
        let engine = Engine::builder(TransportConf::default()).shards(1);
        let engine = engine.unpinned().park(ParkMode::Bare).start().unwrap();
        let context = service.context(engine).with_protocols(Protocols::Spark);
        let server = context.create_server("127.0.0.1:0".parse().unwrap());
        let ground = Self {
            dir,
            service,
            server: server.unwrap(),
            context,
        };
        let local_dirs = [ground.dir.path().join("blocks").display().to_string()];
        let registered = ask(
            &ground.connect(),
            Message::RegisterExecutor(RegisterExecutor {
                app_id: APP,
                exec_id: EXEC,
                local_dirs: (&local_dirs[..]).into(),
                sub_dirs_per_local_dir: 1,
                shuffle_manager: "x",
            }),
        );
        registered.unwrap();
        ground
    }

    fn connect(&self) -> TransportClient {
        let clients = self.context.create_spark_client_factory(None, Vec::new());
        let address = self.server.local_addr().to_string();
        clients.create_unmanaged_client_blocking(&address).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("blocks/00").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Partitions of 10 bytes each, of the one map of a shuffle.
    fn write_map(&self, shuffle: u32, parts: u64) {
        let index: Vec<u8> = (0..=parts).flat_map(|at| (at * 10).to_be_bytes()).collect();
        let data: Vec<u8> = (0..parts * 10).map(|at| at as u8).collect();
        self.write(&format!("shuffle_{shuffle}_0_0.index"), &index);
        self.write(&format!("shuffle_{shuffle}_0_0.data"), &data);
    }

    fn stick(&self, text: Option<&'static str>) {
        self.service.shared.roots.slow_disk.stick(text);
    }

    fn until_somebody_waits(&self) {
        self.service.shared.roots.slow_disk.until_somebody_waits();
    }
}

fn ask(client: &TransportClient, message: Message<'_>) -> Result<Vec<u8>, RequestError> {
    let mut body = vec![0; message.encoded_len()];
    message.encode(&mut body).unwrap();
    client.send_rpc(body).wait().map(|reply| reply.to_vec())
}

fn open(client: &TransportClient, ids: &[&str]) -> u64 {
    let message = Message::OpenBlocks(OpenBlocks {
        app_id: APP,
        exec_id: EXEC,
        block_ids: ids.into(),
    });
    let handle = StreamHandle::decode(&ask(client, message).unwrap()).unwrap();
    handle.stream_id as u64
}

fn fetch(client: &TransportClient, stream: u64, index: u32) -> RequestFuture {
    client.fetch_chunk(stream, index, &ChunkOptions::default())
}

fn bytes(answer: RequestFuture) -> Vec<u8> {
    answer.wait().unwrap().to_vec()
}

#[test]
fn a_disk_that_does_not_answer_holds_up_only_who_waits_for_it() {
    let ground = Ground::new(|_| ());
    ground.write("rdd_7_0", b"slow");
    ground.write("rdd_1_0", b"fast");
    ground.stick(Some("rdd_7"));
    let (one, other) = (ground.connect(), ground.connect());
    let stream = open(&one, &["rdd_7_0", "rdd_1_0"]);
    let (slow, behind) = (fetch(&one, stream, 0), fetch(&one, stream, 1));
    ground.until_somebody_waits();

    // Calls and chunks of another connection of the shard, which is the only one.
    let stream = open(&other, &["rdd_1_0"]);
    assert_eq!(bytes(fetch(&other, stream, 0)), b"fast");
    let dirs = Message::GetLocalDirsForExecutors(GetLocalDirsForExecutors {
        app_id: APP,
        exec_ids: (&[EXEC][..]).into(),
    });
    ask(&other, dirs).unwrap();
    assert_eq!(ground.service.metrics().lookups, 1);

    ground.stick(None);
    assert_eq!(bytes(slow), b"slow");
    assert_eq!(bytes(behind), b"fast");
    assert_eq!(ground.service.metrics().chunks(), 3);
}

#[test]
fn an_index_that_was_looked_up_serves_its_chunk_whatever_the_cache_keeps() {
    for budget in [0, 4 << 20] {
        let ground = Ground::new(|conf| conf.index_cache_len = budget);
        ground.write_map(3, 20);
        ground.stick(Some("shuffle_3"));
        let client = ground.connect();
        let stream = open(&client, &["shuffle_3_0_2", "shuffle_3_0_19"]);
        let chunk = fetch(&client, stream, 0);
        ground.until_somebody_waits();
        ground.stick(None);
        assert_eq!(bytes(chunk), (20..30).collect::<Vec<u8>>(), "{budget}");
        assert_eq!(
            bytes(fetch(&client, stream, 1)),
            (190..200).collect::<Vec<u8>>()
        );
    }
}

#[test]
fn by_name_and_a_file_that_is_not_there() {
    let ground = Ground::new(|_| ());
    ground.write("rdd_7_0", b"slow");
    ground.stick(Some("rdd_7"));
    let client = ground.connect();
    let stream = open(&client, &["rdd_7_0", "rdd_7_1"]);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let name = format!("{stream}_0");
            let mut reader = client.stream_blocking(&name, 0).unwrap();
            reader.blocking_next().unwrap().unwrap().to_vec()
        });
        ground.until_somebody_waits();
        ground.stick(None);
        assert_eq!(reading.join().unwrap(), b"slow");
    });
    ground.stick(Some("rdd_7"));
    let missing = fetch(&client, stream, 1);
    ground.until_somebody_waits();
    ground.stick(None);
    let Err(RequestError::Remote { failure, .. }) = missing.wait() else {
        panic!("a failure of the service");
    };
    assert!(
        failure.message().contains("Failed to open file"),
        "{failure}"
    );
    let metrics = ground.service.metrics();
    assert_eq!(metrics.chunk_failures_by_chunk, 1);
    assert_eq!(metrics.chunks_by_stream, 1);
}

#[test]
fn who_ends_while_it_waits_is_forgotten_and_too_many_are_closed() {
    let ground = Ground::new(|conf| (conf.threads, conf.queue) = (1, 1));
    ground.write("rdd_7_0", b"slow");
    ground.write("rdd_1_0", b"fast");
    let clients = [0; 3].map(|_| ground.connect());
    let streams = clients.each_ref().map(|client| open(client, &["rdd_7_0"]));
    ground.stick(Some("rdd_7"));
    let first = fetch(&clients[0], streams[0], 0);
    ground.until_somebody_waits();
    let second = fetch(&clients[1], streams[1], 0);
    while ground.service.metrics().lookups < 2 {
        std::thread::yield_now();
    }
    // One thread, and one place in its queue.
    let third = fetch(&clients[2], streams[2], 0).wait();
    assert!(
        !matches!(third, Ok(_) | Err(RequestError::Remote { .. })),
        "the connection ends: {third:?}"
    );
    clients[0].close();
    assert!(first.wait().is_err());
    ground.stick(None);
    assert_eq!(bytes(second), b"slow");
    let fresh = ground.connect();
    let stream = open(&fresh, &["rdd_1_0"]);
    assert_eq!(bytes(fetch(&fresh, stream, 0)), b"fast");
}
