//! Whatever a peer asks of the shuffle service, and whatever the files are like: a failure that says why, and
//! the connection stays.

#[path = "support/spark_shuffle.rs"]
mod spark_shuffle;

use std::fs;
use std::os::unix::fs::symlink;
use std::rc::Rc;
use std::sync::Arc;

use ringrail::codec::spark::shuffle::{FinalizeShuffleMerge, Message, UploadBlock};
use ringrail::transport::server::ServerBootstrap;
use ringrail::{Connection, RpcHandler, TransportContext};
use spark_shuffle::{APP, Disk, EXEC, Peer, chunk, connect, engine};

fn refusal<T: std::fmt::Debug>(outcome: Result<T, String>, text: &str) {
    let error = outcome.unwrap_err();
    assert!(error.contains(text), "{error}");
}

#[test]
fn an_unknown_executor_shows_when_the_chunk_is_asked_for() {
    let disk = Disk::new();
    let peer = Peer::new(disk.conf());
    let handle = peer.open(&["shuffle_0_1_0", "rdd_1_1"]).unwrap();
    let text = "Executor is not registered (appId=app-1, execId=2)";
    for chunk in peer.chunks(handle) {
        refusal(chunk, text);
    }
}

#[test]
fn missing_and_damaged_files_fail_their_chunk_only() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let good = disk.write_map(0, 1, &[50]);
    for map in 2..6 {
        disk.write_map(0, map, &[50, 50]);
    }
    fs::remove_file(disk.path("shuffle_0_2_0.index")).unwrap();
    fs::remove_file(disk.path("shuffle_0_3_0.data")).unwrap();
    disk.write("shuffle_0_4_0.data", &[1; 99]);
    disk.write("shuffle_0_5_0.index", &[0; 20]);
    let ids = [
        "shuffle_0_2_0",
        "shuffle_0_3_0",
        "shuffle_0_4_1",
        "shuffle_0_5_0",
        "rdd_1_1",
        "shuffle_0_1_1",
        "shuffle_0_1_2147483647",
        "shuffle_0_1_0",
    ];
    let texts = [
        "Failed to open file",
        "Failed to open file",
        "it was shortened",
        "damaged",
        "Failed to open file",
        "of a map that has 1",
        "of a map that has 1",
    ];
    let handle = peer.open(&ids).unwrap();
    let mut chunks = peer.chunks(handle);
    assert_eq!(chunks.pop().unwrap().unwrap(), good[0]);
    for (chunk, text) in chunks.into_iter().zip(texts) {
        refusal(chunk, text);
    }
}

#[test]
fn numbers_and_names_that_are_no_blocks_are_refused() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let none = "there are no such blocks";
    refusal(peer.fetch(-1, &[1], &[&[0]], false), none);
    refusal(peer.fetch(0, &[i64::MIN], &[&[0]], false), none);
    refusal(peer.fetch(0, &[1], &[&[i32::MIN]], false), none);
    refusal(peer.fetch(0, &[1], &[&[i32::MAX]], false), none);
    refusal(peer.fetch(0, &[1], &[&[3, 2]], true), none);
    refusal(peer.fetch(0, &[1], &[&[3]], true), "a batch of map 1");
    for id in [
        "../../etc/passwd",
        "shuffle_0_1_0/../x",
        "rdd_1_-2",
        "broadcast_0",
    ] {
        refusal(peer.open(&[id]), "Unexpected block id format");
    }
}

#[test]
fn what_the_service_does_not_do_and_what_is_no_message_fails_alone() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let finalize = Message::FinalizeShuffleMerge(FinalizeShuffleMerge {
        app_id: APP,
        app_attempt_id: 1,
        shuffle_id: 0,
        shuffle_merge_id: 0,
    });
    refusal(peer.ask(finalize), "Cannot handle shuffle block merge");
    let upload = Message::UploadBlock(UploadBlock {
        app_id: APP,
        exec_id: EXEC,
        block_id: "rdd_1_1",
        metadata: &[],
        block_data: &[1],
    });
    refusal(peer.ask(upload), "Unexpected message");
    refusal(peer.ask_bytes(vec![]), "without a type");
    refusal(peer.ask_bytes(vec![99, 1]), "Unknown message type: 99");
    refusal(
        peer.ask_bytes(vec![0, 0xff, 0xff, 0xff, 0xff]),
        "malformed OpenBlocks",
    );
    let handle = peer.open(&["shuffleChunk_0_1_2_3"]).unwrap();
    refusal(
        peer.chunk(handle.stream_id, 0),
        "Cannot handle shuffle block merge",
    );
}

#[test]
fn chunks_are_served_to_their_connection_until_each_was_asked_for() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    disk.write_map(0, 1, &[5, 6, 7]);
    let id = peer.fetch(0, &[1], &[&[0, 1, 2]], false).unwrap().stream_id;
    let (other, _engine) = connect(&peer.server);
    refusal(chunk(&other, id, 0), "Unknown stream ID");
    refusal(peer.chunk(id, 3), "chunk 3 of a stream that has 3");
    refusal(peer.chunk(id, u32::MAX), "of a stream that has 3");
    for (index, len) in [(1, 6), (1, 6), (0, 5), (0, 5), (2, 7)] {
        assert_eq!(peer.chunk(id, index).unwrap().len(), len);
    }
    refusal(peer.chunk(id, 2), "Unknown stream ID");
    refusal(peer.chunk(id ^ 1, 0), "Unknown stream ID");
}

#[test]
fn names_of_streams_that_are_none_are_not_found() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    disk.write_map(0, 1, &[5]);
    let id = peer.fetch(0, &[1], &[&[0]], false).unwrap().stream_id;
    for name in [
        "",
        "_",
        "1_",
        "x_1",
        "/jars/a.jar",
        "1_-1",
        "99999999999999999999_0",
    ] {
        let error = peer.stream(name).unwrap_err();
        assert!(error.contains("was not found"), "{name:?}: {error}");
    }
    refusal(
        peer.stream(&format!("{id}_1")),
        "chunk 1 of a stream that has 1",
    );
    assert_eq!(peer.stream(&format!("{id}_0")).unwrap().len(), 5);
}

#[test]
fn a_connection_that_asks_for_too_much_at_once_is_closed_and_others_stay() {
    let disk = Disk::new();
    let mut conf = disk.conf();
    conf.max_chunks_being_transferred = 0;
    let peer = Peer::new(conf);
    peer.register(APP, EXEC, &disk.dir_names()).unwrap();
    disk.write_map(0, 1, &[5]);
    let (other, _engine) = connect(&peer.server);
    let id = peer.fetch(0, &[1], &[&[0]], false).unwrap().stream_id;
    let refused = peer
        .client
        .fetch_chunk(id as u64, 0, &Default::default())
        .wait();
    assert!(refused.is_err());
    while peer.client.is_active() {
        std::thread::yield_now();
    }
    assert_eq!(peer.service.metrics().connections_closed_for_load, 1);
    assert!(other.is_active());
}

#[test]
fn directories_outside_and_links_out_are_refused() {
    let disk = Disk::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = disk.root.path().join("link");
    symlink(elsewhere.path(), &link).unwrap();
    let peer = Peer::registered(&disk);
    let root = disk.root.path().to_str().unwrap();
    let text = "localDirs entry is not under any of the service's local directories";
    for dir in [
        "/",
        "relative",
        &format!("{root}/.."),
        &format!("{root}x"),
        &format!("{root}/none/../.."),
    ] {
        refusal(peer.register(APP, "9", &[dir.to_owned()]), text);
    }
    refusal(peer.register(APP, "9", &[format!("{root}/link/sub")]), text);
    refusal(
        peer.register(APP, "9", &[]),
        "between 1 and 1024 directories",
    );
    assert_eq!(peer.service.executors(), 1);
    // A link that is put in a file's place afterwards.
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, b"secret").unwrap();
    disk.write("rdd_1_1", b"");
    fs::remove_file(disk.path("rdd_1_1")).unwrap();
    symlink(&secret, disk.path("rdd_1_1")).unwrap();
    let handle = peer.open(&["rdd_1_1"]).unwrap();
    refusal(peer.chunk(handle.stream_id, 0), "Failed to open file");
}

/// Gives every connection an identity, as authentication will.
struct Is(&'static str);

impl ServerBootstrap for Is {
    fn bootstrap(&self, from: &Connection, handler: Rc<dyn RpcHandler>) -> Rc<dyn RpcHandler> {
        assert!(from.set_client_id(self.0));
        handler
    }
}

#[test]
fn another_applications_blocks_are_refused() {
    let disk = Disk::new();
    disk.write_map(0, 1, &[5]);
    let mut peer = Peer::registered(&disk);
    let context: TransportContext = peer.service.context(engine());
    for (who, allowed) in [("app-2", false), (APP, true)] {
        let address = "127.0.0.1:0".parse().unwrap();
        let server = context
            .create_server_with(address, vec![Arc::new(Is(who))])
            .unwrap();
        let (client, _engine) = connect(&server);
        peer.client = client;
        let opened = peer.fetch(0, &[1], &[&[0]], false);
        if allowed {
            assert_eq!(peer.chunk(opened.unwrap().stream_id, 0).unwrap().len(), 5);
        } else {
            refusal(
                opened,
                "Client for app-2 not authorized for application app-1.",
            );
            let dirs = disk.dir_names();
            refusal(peer.register(APP, "5", &dirs), "not authorized");
        }
    }
}
