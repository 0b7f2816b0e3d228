//! Blocks that executors have written come out of the shuffle service as they are, by either protocol.

#[path = "support/spark_shuffle.rs"]
mod spark_shuffle;

use std::fs;

use ringrail::codec::spark::shuffle::{
    BlocksRemoved, Cause, CorruptionCause, DiagnoseCorruption, GetLocalDirsForExecutors,
    LocalDirsForExecutors, Message, MessageKind, RemoveBlocks,
};
use spark_shuffle::{APP, Disk, EXEC, Peer, bytes};

const BIG_MAP: i64 = 5_000_000_000;

#[test]
fn shuffle_blocks_by_number_come_map_by_map_and_reduce_by_reduce() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let one = disk.write_map(0, 1, &[10, 0, 3_000_000, 7]);
    let two = disk.write_map(0, BIG_MAP, &[100, 200, 0, 70_000]);
    let handle = peer
        .fetch(0, &[1, BIG_MAP], &[&[3, 1, 2], &[0, 3]], false)
        .unwrap();
    assert_eq!(handle.num_chunks, 5);
    let chunks: Vec<_> = peer
        .chunks(handle)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        chunks,
        [&one[3], &one[1], &one[2], &two[0], &two[3]].map(Vec::clone)
    );
}

#[test]
fn a_batch_is_one_chunk_for_each_map() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let one = disk.write_map(3, 1, &[10, 0, 30, 7]);
    let two = disk.write_map(3, 2, &[1, 2, 3, 4]);
    let handle = peer.fetch(3, &[1, 2], &[&[0, 3], &[2, 4]], true).unwrap();
    assert_eq!(handle.num_chunks, 2);
    assert_eq!(peer.chunk(handle.stream_id, 0).unwrap(), one[..3].concat());
    assert_eq!(peer.chunk(handle.stream_id, 1).unwrap(), two[2..].concat());
}

#[test]
fn blocks_by_name_and_chunks_by_name_are_the_same_blocks() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let map = disk.write_map(7, 12, &[100, 2_000_000]);
    disk.write("rdd_3_4", &bytes(34, 50_000));
    let ids = ["shuffle_7_12_1", "rdd_3_4", "shuffle_7_12_0"];
    let expected = [map[1].clone(), bytes(34, 50_000), map[0].clone()];
    let handle = peer.open(&ids).unwrap();
    let chunks: Vec<_> = peer
        .chunks(handle)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(chunks, expected);
    let handle = peer.open(&ids).unwrap();
    for (index, expected) in expected.iter().enumerate() {
        let name = format!("{}_{index}", handle.stream_id);
        assert_eq!(&peer.stream(&name).unwrap(), expected);
    }
}

#[test]
fn a_map_without_any_data_has_no_data_file_and_empty_blocks() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    disk.write_map(0, 9, &[0, 0, 0]);
    assert!(!disk.path("shuffle_0_9_0.data").exists());
    let handle = peer.fetch(0, &[9], &[&[0, 2]], false).unwrap();
    assert_eq!(peer.chunks(handle), [Ok(vec![]), Ok(vec![])]);
    let handle = peer.fetch(0, &[9], &[&[0, 3]], true).unwrap();
    assert_eq!(peer.chunks(handle), [Ok(vec![])]);
}

#[test]
fn registered_executors_survive_a_restart() {
    let disk = Disk::new();
    let map = disk.write_map(0, 1, &[10, 20]);
    let mut conf = disk.conf();
    conf.store = Some(disk.root.path().join("executors.redb"));
    let peer = Peer::new(conf.clone());
    peer.register(APP, EXEC, &disk.dir_names()).unwrap();
    peer.register("app-2", EXEC, &disk.dir_names()).unwrap();
    assert_eq!(peer.service.remove_application("app-2").unwrap(), 1);
    drop(peer);
    let peer = Peer::of(start_again(conf));
    assert_eq!(peer.service.executors(), 1);
    let handle = peer.fetch(0, &[1], &[&[0, 1]], false).unwrap();
    assert_eq!(
        peer.chunks(handle),
        [Ok(map[0].clone()), Ok(map[1].clone())]
    );
}

/// The shards of the service before let go of the store when they have stopped.
fn start_again(conf: ringrail::shuffle::ShuffleConf) -> ringrail::shuffle::ShuffleService {
    for _ in 0..200 {
        match ringrail::shuffle::ShuffleService::start(conf.clone()) {
            Ok(service) => return service,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(25)),
        }
    }
    ringrail::shuffle::ShuffleService::start(conf).unwrap()
}

#[test]
fn removed_blocks_are_counted_and_gone() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    disk.write_map(0, 1, &[10]);
    disk.write("rdd_1_1", b"one");
    disk.write("rdd_1_2", b"two");
    let outside = disk.root.path().join("precious");
    fs::write(&outside, b"stays").unwrap();
    let remove = |ids: &[&str]| {
        let answer = peer.ask(Message::RemoveBlocks(RemoveBlocks {
            app_id: APP,
            exec_id: EXEC,
            block_ids: ids.into(),
        }));
        let removed = BlocksRemoved::decode(&answer.unwrap()).unwrap();
        removed.num_removed_blocks
    };
    let ids = [
        "rdd_1_1",
        "rdd_1_9",
        "shuffle_0_1_0.data",
        "shuffle_0_1_0.index",
    ];
    assert_eq!(remove(&ids), 3);
    assert_eq!(remove(&ids), 0);
    assert_eq!(
        remove(&["rdd_1_../../../precious", "../../precious", "", "precious"]),
        0
    );
    assert!(outside.exists() && disk.path("rdd_1_2").exists());
    assert!(!disk.path("rdd_1_1").exists() && !disk.path("shuffle_0_1_0.index").exists());
}

#[test]
fn local_directories_are_those_that_were_registered() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    peer.register(APP, "7", &disk.dir_names()[..1]).unwrap();
    let ask = |exec_ids: &[&str]| {
        peer.ask(Message::GetLocalDirsForExecutors(
            GetLocalDirsForExecutors {
                app_id: APP,
                exec_ids: exec_ids.into(),
            },
        ))
    };
    let answer = ask(&["7", EXEC]).unwrap();
    let message = LocalDirsForExecutors::decode(&answer).unwrap();
    let mut found: Vec<(&str, Vec<&str>)> = message
        .by_executor()
        .map(|(exec, dirs)| (exec, dirs.collect()))
        .collect();
    found.sort();
    let names = disk.dir_names();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(found, [(EXEC, all.clone()), ("7", all[..1].to_vec())]);
    let refused = ask(&[EXEC, "8"]).unwrap_err();
    assert_eq!(
        refused,
        "java.lang.RuntimeException: Executor is not registered (appId=app-1, execId=8)"
    );
}

#[test]
fn the_cause_of_corruption_is_found() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    // The check value of CRC-32 is that of these nine bytes.
    disk.write("shuffle_0_1_0.data", b"xx123456789");
    let index: Vec<u8> = [0i64, 2, 11]
        .iter()
        .flat_map(|at| at.to_be_bytes())
        .collect();
    disk.write("shuffle_0_1_0.index", &index);
    let good = 0xcbf4_3926i64;
    let sums: Vec<u8> = [0i64, good]
        .iter()
        .flat_map(|at| at.to_be_bytes())
        .collect();
    disk.write("shuffle_0_1_0.checksum.CRC32", &sums);
    let ask = |map_id, reduce_id, checksum, algorithm: &str| {
        let answer = peer.ask(Message::DiagnoseCorruption(DiagnoseCorruption {
            app_id: APP,
            exec_id: EXEC,
            shuffle_id: 0,
            map_id,
            reduce_id,
            checksum,
            algorithm,
        }));
        CorruptionCause::decode(&answer.unwrap()).unwrap().cause
    };
    assert_eq!(ask(1, 1, good, "CRC32"), Cause::ChecksumVerifyPass);
    assert_eq!(ask(1, 1, 5, "CRC32"), Cause::NetworkIssue);
    assert_eq!(ask(1, 0, good, "CRC32"), Cause::DiskIssue);
    assert_eq!(ask(1, 2, good, "CRC32"), Cause::UnknownIssue);
    assert_eq!(ask(-1, i32::MAX, good, "CRC32"), Cause::UnknownIssue);
    assert_eq!(ask(2, 1, good, "CRC32"), Cause::UnknownIssue);
    assert_eq!(ask(1, 1, good, "ADLER32"), Cause::UnknownIssue);
    assert_eq!(
        ask(1, 1, good, "../../x"),
        Cause::UnsupportedChecksumAlgorithm
    );
}

#[test]
fn what_was_served_is_counted() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    disk.write_map(0, 1, &[10, 20, 30]);
    let batch = peer.fetch(0, &[1], &[&[0, 3]], true).unwrap();
    assert_eq!(peer.chunk(batch.stream_id, 0).unwrap().len(), 60);
    let named = peer.open(&["shuffle_0_1_1", "shuffle_0_9_0"]).unwrap();
    let name = format!("{}_0", named.stream_id);
    assert_eq!(peer.stream(&name).unwrap().len(), 20);
    assert!(peer.chunk(named.stream_id, 1).is_err());
    assert!(peer.ask_bytes(vec![77]).is_err());
    let metrics = peer.service.metrics();
    for kind in [
        MessageKind::RegisterExecutor,
        MessageKind::FetchShuffleBlocks,
        MessageKind::OpenBlocks,
    ] {
        assert_eq!(metrics.requests_of(kind), 1, "{kind}");
    }
    let chunks = (metrics.chunks_by_chunk, metrics.chunk_bytes_by_chunk);
    assert_eq!(chunks, (1, 60));
    let streams = (metrics.chunks_by_stream, metrics.chunk_bytes_by_stream);
    assert_eq!(streams, (1, 20));
    assert_eq!(metrics.blocks, 4, "a batch of three, and one");
    assert_eq!(metrics.chunk_failures_by_chunk, 1);
    assert_eq!((metrics.unreadable, metrics.failed), (1, 1));
    assert_eq!((metrics.executors, metrics.connections), (1, 1));
    assert_eq!(metrics.open_blocks.count(), 2);
    assert_eq!(metrics.register_executor.count(), 1);
}
