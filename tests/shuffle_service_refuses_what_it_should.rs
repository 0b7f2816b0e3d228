//! Invalid requests to the shuffle service, and damaged files, cause a failure that names the reason; the
//! connection stays open.

#[path = "support/spark_shuffle.rs"]
mod spark_shuffle;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::rc::Rc;
use std::sync::Arc;

use ringrail::codec::spark::shuffle::{
    DiagnoseCorruption, FetchShuffleBlockChunks, FetchShuffleBlocks, FinalizeShuffleMerge,
    IntLists, Message, OpenBlocks, RegisterExecutor, RemoveBlocks, StreamHandle, UploadBlock,
};
use ringrail::shuffle::{MAX_CONNECTION_CHUNKS, MAX_CONNECTION_STREAMS, MAX_LOCAL_DIRS, MergeConf};
use ringrail::transport::server::ServerBootstrap;
use ringrail::transport::spark::Protocols;
use ringrail::{Connection, RpcHandler, TransportContext};
use spark_shuffle::{APP, Disk, EXEC, Peer, bytes, chunk, connect, engine};

fn refusal<T: std::fmt::Debug>(outcome: Result<T, String>, text: &str) {
    let error = outcome.unwrap_err();
    assert!(error.contains(text), "{error}");
}

#[test]
fn an_unknown_executor_shows_when_the_chunk_is_asked_for() {
    let disk = Disk::new();
    let peer = Peer::new(disk.conf());
    let handle = peer.open(&["shuffle_0_1_0", "rdd_1_1"]).unwrap();
    let text = "java.lang.RuntimeException: Executor is not registered (appId=app-1, execId=2)";
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
        "java.lang.RuntimeException: Failed to open file",
        "java.lang.RuntimeException: Failed to open file",
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
        let text = "java.lang.IllegalArgumentException: Unexpected block id format";
        refusal(peer.open(&[id]), text);
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
    let unsupported = "java.lang.UnsupportedOperationException: ";
    let merge = format!("{unsupported}Cannot handle shuffle block merge");
    refusal(peer.ask(finalize), &merge);
    let upload = Message::UploadBlock(UploadBlock {
        app_id: APP,
        exec_id: EXEC,
        block_id: "rdd_1_1",
        metadata: &[],
        block_data: &[1],
    });
    refusal(
        peer.ask(upload),
        &format!("{unsupported}Unexpected message"),
    );
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
    let context: TransportContext = peer
        .service
        .context(engine())
        .with_protocols(Protocols::Spark);
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
                "java.lang.SecurityException: Client for app-2 not authorized for application app-1.",
            );
            let dirs = disk.dir_names();
            refusal(peer.register(APP, "5", &dirs), "not authorized");
        }
    }
}

/// Valid messages with bytes changed, removed or inserted: each is answered, in every case.
#[test]
fn whatever_is_no_message_any_more_is_answered() {
    let disk = Disk::new();
    let mut conf = disk.conf();
    conf.merge = Some(MergeConf::default());
    let peer = Peer::new(conf);
    peer.register(APP, EXEC, &disk.dir_names()).unwrap();
    disk.write_map(0, 1, &[5, 6]);
    let names = disk.dir_names();
    let reduces = [&[0, 1][..], &[1][..]];
    let chunks = [&[0, 1][..]];
    let messages = [
        Message::OpenBlocks(OpenBlocks {
            app_id: APP,
            exec_id: EXEC,
            block_ids: (&["shuffle_0_1_1", "rdd_1_2"][..]).into(),
        }),
        Message::FetchShuffleBlocks(FetchShuffleBlocks {
            app_id: APP,
            exec_id: EXEC,
            shuffle_id: 0,
            map_ids: (&[1i64, 2][..]).into(),
            reduce_ids: IntLists::from(&reduces[..]),
            batch_fetch_enabled: false,
        }),
        Message::FetchShuffleBlockChunks(FetchShuffleBlockChunks {
            app_id: APP,
            exec_id: EXEC,
            shuffle_id: 0,
            shuffle_merge_id: 0,
            reduce_ids: (&[1][..]).into(),
            chunk_ids: IntLists::from(&chunks[..]),
        }),
        Message::RegisterExecutor(RegisterExecutor {
            app_id: APP,
            exec_id: "9",
            local_dirs: (&names[..]).into(),
            sub_dirs_per_local_dir: 64,
            shuffle_manager: "x:{\"mergeDir\": \"m\", \"attemptId\": \"1\"}",
        }),
        Message::DiagnoseCorruption(DiagnoseCorruption {
            app_id: APP,
            exec_id: EXEC,
            shuffle_id: 0,
            map_id: 1,
            reduce_id: 1,
            checksum: 5,
            algorithm: "CRC32",
        }),
    ];
    let mut random = bytes(7, 40_000).into_iter();
    let mut next = |below: usize| {
        let number = [random.next().unwrap(), random.next().unwrap()];
        usize::from(u16::from_le_bytes(number)) % below
    };
    let (mut streams, mut refused) = (0, 0);
    for round in 0..3000 {
        let message = &messages[round % messages.len()];
        let mut body = vec![0; message.encoded_len()];
        message.encode(&mut body).unwrap();
        let at = next(body.len());
        match next(4) {
            0 => body.truncate(at),
            1 => body[at] ^= 1 << next(8),
            2 => body[at] = next(256) as u8,
            _ => body.insert(at, next(256) as u8),
        }
        match peer.ask_bytes(body) {
            Ok(answer) => {
                if let Ok(handle) = StreamHandle::decode(&answer) {
                    streams += 1;
                    let count = handle.num_chunks.min(3) as u32;
                    for index in 0..count {
                        // A block or a failure, either is an answer.
                        let _ = peer.chunk(handle.stream_id, index);
                    }
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(streams > 100 && refused > 100, "{streams} {refused}");
    assert!(peer.client.is_active());
    assert_eq!(peer.panics(), 0);
}

#[test]
fn what_passes_a_bound_is_refused_and_told_so() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let many: Vec<i32> = vec![0; MAX_CONNECTION_CHUNKS];
    let handle = peer.fetch(0, &[1], &[&many[1..]], false).unwrap();
    assert_eq!(handle.num_chunks as usize, MAX_CONNECTION_CHUNKS - 1);
    peer.fetch(0, &[1], &[&[0]], false).unwrap();
    let full = "as many chunks wait on this connection as may";
    refusal(peer.fetch(0, &[1], &[&[0]], false), full);
    refusal(peer.fetch(0, &[1], &[&many, &[0]], false), "malformed");
    refusal(peer.fetch(0, &[1, 2], &[&many, &[0]], false), full);
    let other = Peer::registered(&disk);
    for _ in 0..MAX_CONNECTION_STREAMS {
        other.fetch(0, &[1], &[&[0]], false).unwrap();
    }
    let full = "as many streams are open on this connection as may be";
    refusal(other.fetch(0, &[1], &[&[0]], false), full);
    let long = vec!["rdd_1_2".repeat(100); 6000];
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let remove = Message::RemoveBlocks(RemoveBlocks {
        app_id: APP,
        exec_id: EXEC,
        block_ids: (&long[..]).into(),
    });
    refusal(peer.ask(remove), "this message is too long");
    let dirs = vec![disk.dir_names()[0].clone(); MAX_LOCAL_DIRS + 1];
    refusal(peer.register(APP, "7", &dirs), "between 1 and 1024");
}

#[test]
fn a_connection_that_needs_more_files_than_may_be_open_is_closed() {
    let disk = Disk::new();
    let mut conf = disk.conf();
    conf.max_open_files = 0;
    let peer = Peer::new(conf);
    peer.register(APP, EXEC, &disk.dir_names()).unwrap();
    disk.write_map(0, 1, &[5]);
    let id = peer.fetch(0, &[1], &[&[0]], false).unwrap().stream_id;
    let refused = peer
        .client
        .fetch_chunk(id as u64, 0, &Default::default())
        .wait();
    assert!(refused.is_err());
    while peer.client.is_active() {
        std::thread::yield_now();
    }
}

/// Sends a frame of Spark's, byte by byte.
fn send_frame(stream: &mut TcpStream, kind: u8, parts: &[&[u8]]) {
    let mut frame = vec![kind];
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    let len = (frame.len() as i64 + 8).to_be_bytes();
    stream.write_all(&[&len[..], &frame].concat()).unwrap();
}

#[test]
fn a_reader_that_asks_and_never_reads_holds_up_itself_alone() {
    const CHUNKS: i32 = 3000;
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let parts = disk.write_map(0, 1, &[1_000_000, 5]);
    let mut greedy = TcpStream::connect(peer.server.local_addr().to_string()).unwrap();
    let reduces = vec![0; CHUNKS as usize];
    let reduces = [&reduces[..]];
    let ask = Message::FetchShuffleBlocks(FetchShuffleBlocks {
        app_id: APP,
        exec_id: EXEC,
        shuffle_id: 0,
        map_ids: (&[1i64][..]).into(),
        reduce_ids: IntLists::from(&reduces[..]),
        batch_fetch_enabled: false,
    });
    let mut body = vec![0; ask.encoded_len()];
    ask.encode(&mut body).unwrap();
    let (id, len) = (7i64.to_be_bytes(), (body.len() as i32).to_be_bytes());
    send_frame(&mut greedy, 3, &[&id, &len, &body]);
    // Length, type, id, length of the body, and the handle.
    let mut answer = [0; 8 + 1 + 8 + 4 + 13];
    greedy.read_exact(&mut answer).unwrap();
    let handle = StreamHandle::decode(&answer[21..]).unwrap();
    assert_eq!(handle.num_chunks, CHUNKS);
    for index in 0..CHUNKS {
        let stream = handle.stream_id.to_be_bytes();
        send_frame(&mut greedy, 0, &[&stream, &index.to_be_bytes()]);
    }
    for _ in 0..50 {
        let handle = peer.fetch(0, &[1], &[&[1]], false).unwrap();
        assert_eq!(peer.chunks(handle), [Ok(parts[1].clone())]);
    }
    let sent = peer.engine_metrics();
    let all = CHUNKS as u64 * 1_000_000;
    assert!(sent.bytes_out < all / 4, "{} of {all} left", sent.bytes_out);
    assert!(
        sent.pool_bytes_high_water < 64 << 20,
        "{}",
        sent.pool_bytes_high_water
    );
    assert_eq!(peer.service.metrics().connections, 2);
    drop(greedy);
    while peer.service.metrics().connections > 1 {
        std::thread::yield_now();
    }
    assert!(peer.client.is_active());
}
