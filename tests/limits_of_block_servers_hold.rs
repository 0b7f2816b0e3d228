//! Each bound of a block server, reached: what is past it is refused, by a name that can be looked
//! up, and everything else goes on.

mod support;

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use ringrail::block::{
    BlockClient, BlockError, BlockId, BlockServer, BlockServerConf, BlockStore, DirStore,
    OpenBlock, StoreError, Visit,
};
use ringrail::codec::native::FailureCode;
use ringrail::{Addr, Engine, TransportContext, TransportServer};
use support::{engine, memory, write};

fn serve_with(store: Arc<dyn BlockStore>, conf: &BlockServerConf) -> TransportServer {
    let blocks = BlockServer::new(store, conf).unwrap();
    blocks
        .context(engine())
        .create_server("127.0.0.1:0".parse::<Addr>().unwrap())
        .unwrap()
}

fn dir(root: &Path) -> DirStore {
    DirStore::open_root(root).unwrap()
}

fn connect(server: &TransportServer) -> (BlockClient, Engine) {
    let engine = engine();
    let clients = TransportContext::client_only(engine.clone()).create_client_factory(Vec::new());
    let address = server.local_addr().to_string();
    (
        BlockClient::new(clients.create_client_blocking(&address).unwrap()),
        engine,
    )
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, BlockError>, code: FailureCode, key: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Some(code), "{error}");
    assert!(error.to_string().contains(key), "{error}");
}

#[test]
fn entries_of_a_manifest() {
    let from = tempfile::tempdir().unwrap();
    for file in 0..9 {
        write(from.path(), &format!("d/{file}"), 1);
    }
    let conf = BlockServerConf {
        max_manifest_entries: 10,
        ..BlockServerConf::default()
    };
    let server = serve_with(Arc::new(dir(from.path())), &conf);
    let (client, _engine) = connect(&server);
    assert_eq!(
        client.entries(&"d".parse().unwrap(), false).unwrap().len(),
        10
    );
    let all = client.entries(&BlockId::ROOT, false);
    refused(
        all,
        FailureCode::TooLarge,
        "ringrail.block.maxManifestEntries",
    );
}

#[test]
fn memory_for_manifests_comes_back_when_they_have_been_read() {
    let from = tempfile::tempdir().unwrap();
    for file in 0..3000 {
        std::fs::write(from.path().join(format!("{file:0200}")), "").unwrap();
    }
    let conf = BlockServerConf {
        manifest_budget: 1 << 20,
        ..BlockServerConf::default()
    };
    let server = serve_with(Arc::new(dir(from.path())), &conf);
    let (client, _engine) = connect(&server);
    // An unread manifest holds its memory.
    let held = client.manifest(&BlockId::ROOT, false).wait().unwrap();
    let second = client.manifest(&BlockId::ROOT, false).wait();
    refused(second, FailureCode::Busy, "ringrail.block.manifestBudget");
    let ringrail::block::ManifestReply::Stream { stream, .. } = held else {
        panic!("it must be too long for one page");
    };
    client.close(vec![stream]);
    assert_eq!(client.entries(&BlockId::ROOT, false).unwrap().len(), 3001);
    assert_eq!(
        client.entries(&BlockId::ROOT, false).unwrap().len(),
        3001,
        "it has been given back"
    );
}

#[test]
fn files_open_at_a_time() {
    let from = tempfile::tempdir().unwrap();
    for file in 0..4 {
        write(from.path(), &file.to_string(), 1);
    }
    let store = dir(from.path()).with_max_open_files(3);
    let server = serve_with(Arc::new(store), &BlockServerConf::default());
    let (client, _engine) = connect(&server);
    let open = |name: u32| client.open_one(&name.to_string().parse().unwrap(), 1 << 20);
    let first = open(0).unwrap();
    open(1).unwrap();
    open(2).unwrap();
    open(2).expect("one that is open already takes none");
    refused(open(3), FailureCode::Busy, "ringrail.block.maxOpenFiles");
    client.close(vec![first.stream]);
    open(3).unwrap();
}

#[test]
fn streams_of_a_connection() {
    let conf = BlockServerConf {
        max_streams: 2,
        ..BlockServerConf::default()
    };
    let server = serve_with(Arc::new(memory(&[("a", 1)])), &conf);
    let (client, _engine) = connect(&server);
    let (other, _its_engine) = connect(&server);
    let open = |client: &BlockClient| client.open_one(&"a".parse().unwrap(), 1 << 20);
    open(&client).unwrap();
    open(&client).unwrap();
    refused(
        open(&client),
        FailureCode::Busy,
        "ringrail.block.maxStreams",
    );
    open(&other).expect("another connection has its own");
}

/// A store whose blocks open on the test's signal.
struct Slow {
    begun: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
}

impl BlockStore for Slow {
    fn open(&self, id: &BlockId) -> Result<OpenBlock, StoreError> {
        self.begun.lock().unwrap().send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        Err(StoreError::NotFound { id: id.clone() })
    }

    fn walk(&self, id: &BlockId, _: &mut Visit<'_>) -> Result<(), StoreError> {
        Err(StoreError::NotFound { id: id.clone() })
    }
}

#[test]
fn requests_that_wait_for_a_helper_thread() {
    let ((begun, running), (go, wait)) = (channel(), channel());
    let store = Slow {
        begun: Mutex::new(begun),
        go: Mutex::new(wait),
    };
    let conf = BlockServerConf {
        threads: 1,
        queue: 1,
        ..BlockServerConf::default()
    };
    let server = serve_with(Arc::new(store), &conf);
    let (client, _engine) = connect(&server);
    let id: BlockId = "a".parse().unwrap();
    let first = client.open([&id], 1 << 20);
    running.recv().unwrap();
    let second = client.open([&id], 1 << 20);
    let third = client.open([&id], 1 << 20).wait();
    refused(third, FailureCode::Busy, "ringrail.block.serverQueue");
    assert!(
        client.ping(Vec::new()).wait().is_ok(),
        "the shard itself is free"
    );
    go.send(()).unwrap();
    go.send(()).unwrap();
    for answer in [first, second] {
        let reply = answer.wait().unwrap();
        let code = reply.outcomes[0].as_ref().unwrap_err().code;
        assert_eq!(code, FailureCode::NotFound.to_wire());
    }
}
