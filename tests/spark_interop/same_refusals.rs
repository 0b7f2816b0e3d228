//! Refusals of Spark's own shuffle service and of ringrail's for the same bytes: the exception's class is the
//! same, because Spark's users and their tools search for it.

use ringrail::codec::spark::shuffle::{
    FetchShuffleBlocks, GetLocalDirsForExecutors, IntLists, Message, OpenBlocks, RegisterExecutor,
    StreamHandle, UploadBlock,
};
use ringrail::transport::client::ChunkOptions;
use ringrail::{RequestError, TransportClient, TransportContext};
use ringrail_spark_peers::{ServiceKind, Version};

use crate::support::echo::engine;
use crate::support::{Conf, Executor, MANAGER, SUB_DIRS, Scene, install, kind, pattern};

const APP: &str = "app-1";
const EXEC: &str = "1";

/// A client of ours at a service of either kind.
struct Asker {
    client: TransportClient,
    _scene: Scene,
    _executor: Executor,
    _context: TransportContext,
}

impl Asker {
    fn new(kind: ServiceKind) -> Self {
        let scene = Scene::with(kind, &Conf::new());
        let executor = Executor::new(EXEC, scene.path(), 1);
        executor.write_map(0, 1, &[pattern(0, 500), pattern(1, 500), pattern(2, 500)]);
        let context = TransportContext::client_only(engine());
        let clients = context.create_spark_client_factory(None, Vec::new());
        let address = format!("127.0.0.1:{}", scene.service.port());
        let client = clients.create_client_blocking(&address).expect("connected");
        let asker = Self {
            client,
            _scene: scene,
            _executor: executor,
            _context: context,
        };
        let dirs = asker._executor.dirs_joined();
        let dirs: Vec<&str> = dirs.split(',').collect();
        let registered = asker.ask(Message::RegisterExecutor(RegisterExecutor {
            app_id: APP,
            exec_id: EXEC,
            local_dirs: (&dirs[..]).into(),
            sub_dirs_per_local_dir: SUB_DIRS as i32,
            shuffle_manager: MANAGER,
        }));
        registered.expect("registered");
        asker
    }

    fn ask(&self, message: Message<'_>) -> Result<Vec<u8>, String> {
        let mut body = vec![0; message.encoded_len()];
        message.encode(&mut body).expect("room");
        self.ask_bytes(body)
    }

    fn ask_bytes(&self, body: Vec<u8>) -> Result<Vec<u8>, String> {
        let reply = self.client.send_rpc(body).wait();
        reply.map(|reply| reply.to_vec()).map_err(words)
    }

    /// Opens blocks and fetches the first: the refusal of either.
    fn first_chunk(&self, message: Message<'_>) -> Result<Vec<u8>, String> {
        let handle = self.ask(message)?;
        let handle = StreamHandle::decode(&handle).expect("a handle");
        let options = ChunkOptions::default();
        let chunk = self
            .client
            .fetch_chunk(handle.stream_id as u64, 0, &options);
        chunk.wait().map(|chunk| chunk.to_vec()).map_err(words)
    }
}

/// The text of a refusal; anything else ends the test.
fn words(error: RequestError) -> String {
    match error {
        RequestError::Remote { failure, .. } => failure.message().to_owned(),
        other => panic!("the connection did not stay: {other}"),
    }
}

fn blocks<'a>(
    map_ids: &'a [i64],
    reduces: &'a [&'a [i32]],
    batch_fetch_enabled: bool,
) -> Message<'a> {
    Message::FetchShuffleBlocks(FetchShuffleBlocks {
        app_id: APP,
        exec_id: EXEC,
        shuffle_id: 0,
        map_ids: map_ids.into(),
        reduce_ids: IntLists::from(reduces),
        batch_fetch_enabled,
    })
}

/// The request, and the text of its refusal.
type Refused = (&'static str, String);

/// Every refusal, by its request.
fn refusals(asker: &Asker) -> Vec<Refused> {
    let open = |exec_id, ids: &[&str]| {
        asker.first_chunk(Message::OpenBlocks(OpenBlocks {
            app_id: APP,
            exec_id,
            block_ids: ids.into(),
        }))
    };
    let fetch = |reduces: &[i32], batch| asker.first_chunk(blocks(&[1], &[reduces], batch));
    let local_dirs = Message::GetLocalDirsForExecutors(GetLocalDirsForExecutors {
        app_id: APP,
        exec_ids: (&["9"][..]).into(),
    });
    let upload = Message::UploadBlock(UploadBlock {
        app_id: APP,
        exec_id: EXEC,
        block_id: "rdd_1_1",
        metadata: &[],
        block_data: &[1],
    });
    let never_opened = asker
        .client
        .fetch_chunk(0x7777, 0, &ChunkOptions::default())
        .wait()
        .map(|chunk| chunk.to_vec())
        .map_err(words);
    let all = [
        ("a reduce that is too big", fetch(&[3], false)),
        ("a negative reduce", fetch(&[-1], false)),
        ("the lowest reduce", fetch(&[i32::MIN], false)),
        ("a batch that goes backward", fetch(&[2, 1], true)),
        ("a batch beyond the end", fetch(&[1, 4], true)),
        ("a negative batch", fetch(&[-2, 1], true)),
        ("a batch of one number", fetch(&[1], true)),
        ("a stranger", open("9", &["shuffle_0_1_0"])),
        ("the directories of a stranger", asker.ask(local_dirs)),
        ("a missing file", open(EXEC, &["shuffle_0_77_0"])),
        ("a name that is none", open(EXEC, &["broadcast_0"])),
        ("a stream that is none", never_opened),
        ("an upload", asker.ask(upload)),
        ("an unknown message", asker.ask_bytes(vec![99, 1])),
    ];
    let refused = all.map(|(what, outcome)| match outcome {
        Ok(bytes) => panic!("{what} was served: {} bytes", bytes.len()),
        Err(text) => (what, text),
    });
    refused.into()
}

/// The class that a text begins with. Refusals by Netty during Spark's sending have no class in the text; it is
/// inferred from the rest.
fn class(text: &str) -> &str {
    match text.split_once(':') {
        Some(("count ", _)) => "java.lang.IllegalArgumentException",
        Some((class, _)) => class,
        None => text,
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn refusals_begin_with_sparks_exceptions() {
    for version in [Version::V3_5, Version::V4_1] {
        let sparks = ServiceKind::Spark {
            install: install(version),
            merge: false,
        };
        let sparks = refusals(&Asker::new(sparks));
        let ours = refusals(&Asker::new(kind(version, false)));
        // Spark itself has another class for these in 3.5 and in 4.1; ours is that of 4.1.
        let changed = |what| version == Version::V3_5 && what == "a stream that is none";
        let pairs = sparks.into_iter().zip(ours);
        let pairs = pairs.filter(|((what, _), _)| !changed(*what));
        let differ = |((what, theirs), (_, ours)): (Refused, Refused)| {
            (class(&theirs) != class(&ours)).then(|| format!("{what}:\n  {theirs}\n  {ours}"))
        };
        let differ: Vec<String> = pairs.filter_map(differ).collect();
        assert!(differ.is_empty(), "{version:?}\n{}", differ.join("\n"));
    }
}
