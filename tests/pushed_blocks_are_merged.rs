//! Push-based shuffle: blocks that are pushed come out of the merged files, each once and whole, and the refusals are
//! Spark's.

#[path = "support/spark_shuffle.rs"]
mod spark_shuffle;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use bytes::Bytes;
use ringrail::codec::spark::shuffle::{
    BlockPushReturnCode, FetchShuffleBlockChunks, FinalizeShuffleMerge, GetLocalDirsForExecutors,
    IntLists, LocalDirsForExecutors, MergeStatuses, Message, PushBlockStream, PushOutcome,
    RegisterExecutor, RemoveShuffleMerge,
};
use ringrail::shuffle::{MergeConf, ShuffleConf, ShuffleService};
use roaring::RoaringBitmap;
use spark_shuffle::{APP, Client, Disk, EXEC, Peer, SUB_DIRS, bytes, text};

const MERGE_DIR: &str = "merge_manager_1";

/// Directories of an executor, with those of merged files beside them, as executors make them.
struct Host {
    disk: Disk,
    merged: Disk,
}

impl Host {
    fn new() -> Self {
        let disk = Disk::new();
        let dirs: Vec<PathBuf> = disk
            .dirs
            .iter()
            .map(|dir| dir.parent().unwrap().join(MERGE_DIR))
            .collect();
        for dir in &dirs {
            for sub in 0..SUB_DIRS {
                fs::create_dir_all(dir.join(format!("{sub:02x}"))).unwrap();
            }
        }
        let root = tempfile::tempdir().unwrap();
        Self {
            disk,
            merged: Disk { root, dirs },
        }
    }

    fn conf(&self) -> ShuffleConf {
        let mut conf = self.disk.conf();
        conf.store = Some(self.disk.root.path().join("executors.redb"));
        conf.merge = Some(MergeConf {
            min_chunk_len: 1000,
            ..MergeConf::default()
        });
        conf
    }

    fn peer(&self) -> Peer {
        let peer = Peer::new(self.conf());
        self.register(&peer, APP, 1).unwrap();
        peer
    }

    fn register(&self, peer: &Peer, app_id: &str, attempt: i32) -> Result<Vec<u8>, String> {
        let manager = format!(
            "org.apache.spark.shuffle.sort.SortShuffleManager:\
             {{\"mergeDir\": \"{MERGE_DIR}\", \"attemptId\": \"{attempt}\"}}"
        );
        peer.ask(Message::RegisterExecutor(RegisterExecutor {
            app_id,
            exec_id: EXEC,
            local_dirs: (&self.disk.dir_names()[..]).into(),
            sub_dirs_per_local_dir: SUB_DIRS,
            shuffle_manager: &manager,
        }))
    }

    fn file(&self, merge: i32, reduce: i32, kind: &str) -> PathBuf {
        let name = format!("shuffleMerged_{APP}_0_{merge}_{reduce}.{kind}");
        self.merged.path(&name)
    }
}

#[derive(Clone, Copy)]
struct Push {
    app: &'static str,
    attempt: i32,
    merge: i32,
    map: i32,
    reduce: i32,
}

fn push_of(map: i32, reduce: i32) -> Push {
    Push {
        app: APP,
        attempt: 1,
        merge: 0,
        map,
        reduce,
    }
}

fn block(push: Push, len: usize) -> Vec<u8> {
    bytes(push.map as u64 * 1_000_003 + push.reduce as u64, len)
}

fn push(
    client: &ringrail::TransportClient,
    push: Push,
    data: Vec<u8>,
) -> Result<(PushOutcome, String), String> {
    let message = PushBlockStream {
        app_id: push.app,
        app_attempt_id: push.attempt,
        shuffle_id: 0,
        shuffle_merge_id: push.merge,
        map_index: push.map,
        reduce_id: push.reduce,
        index: 0,
    };
    let mut meta = vec![0; message.encoded_len()];
    message.encode(&mut meta).unwrap();
    let answer = client.upload_stream(meta, Bytes::from(data).into()).wait();
    let answer = answer.map_err(text)?.to_vec();
    let code = BlockPushReturnCode::decode(&answer).unwrap();
    Ok((code.return_code, code.failure_block_id.to_owned()))
}

fn pushed(peer: &Peer, what: Push, data: Vec<u8>) {
    let outcome = push(&peer.client, what, data).unwrap();
    assert_eq!(outcome, (PushOutcome::Success, String::new()));
}

/// By partition: its maps and its length.
type Statuses = BTreeMap<i32, (Vec<u32>, i64)>;

fn finalize(peer: &Peer, merge: i32) -> Result<Statuses, String> {
    let answer = peer.ask(Message::FinalizeShuffleMerge(FinalizeShuffleMerge {
        app_id: APP,
        app_attempt_id: 1,
        shuffle_id: 0,
        shuffle_merge_id: merge,
    }))?;
    let statuses = MergeStatuses::decode(&answer).unwrap();
    assert_eq!((statuses.shuffle_id, statuses.shuffle_merge_id), (0, merge));
    let maps = statuses.bitmaps.to_roaring().unwrap();
    let maps = maps.iter().map(|maps| maps.iter().collect());
    let values = maps.zip(statuses.sizes.iter());
    Ok(statuses.reduce_ids.iter().zip(values).collect())
}

fn remove(peer: &Peer, merge: i32) -> Result<(), String> {
    let removed = peer.ask(Message::RemoveShuffleMerge(RemoveShuffleMerge {
        app_id: APP,
        app_attempt_id: 1,
        shuffle_id: 0,
        shuffle_merge_id: merge,
    }));
    removed.map(|answer| assert!(answer.is_empty()))
}

/// Chunks of a merged partition.
fn fetch(peer: &Peer, merge: i32, reduce: i32, chunks: &[i32]) -> Vec<Result<Vec<u8>, String>> {
    let handle = peer.handle(Message::FetchShuffleBlockChunks(FetchShuffleBlockChunks {
        app_id: APP,
        exec_id: "shuffle-push-merger",
        shuffle_id: 0,
        shuffle_merge_id: merge,
        reduce_ids: (&[reduce][..]).into(),
        chunk_ids: IntLists::from(&[chunks][..]),
    }));
    peer.chunks(handle.unwrap())
}

/// The index and the meta file, as Spark's readers take them.
fn layout(host: &Host, merge: i32, reduce: i32) -> (Vec<i64>, Vec<Vec<u32>>) {
    let index = fs::read(host.file(merge, reduce, "index")).unwrap();
    let (words, rest) = index.as_chunks::<8>();
    assert!(rest.is_empty());
    let offsets = words.iter().map(|word| i64::from_be_bytes(*word)).collect();
    let meta = fs::read(host.file(merge, reduce, "meta")).unwrap();
    let (mut rest, mut chunks) = (&meta[..], Vec::new());
    while !rest.is_empty() {
        let maps = RoaringBitmap::deserialize_from(&mut rest).unwrap();
        chunks.push(maps.iter().collect());
    }
    (offsets, chunks)
}

#[test]
fn pushed_blocks_come_back_in_chunks() {
    let host = Host::new();
    let peer = host.peer();
    let lens = [(4, 600), (0, 700), (9, 70_000), (2, 30)];
    let blocks: Vec<Vec<u8>> = lens
        .iter()
        .map(|(map, len)| block(push_of(*map, 5), *len))
        .collect();
    for ((map, _), data) in lens.iter().zip(&blocks) {
        pushed(&peer, push_of(*map, 5), data.clone());
    }
    pushed(&peer, push_of(1, 6), vec![7; 10]);
    let statuses = finalize(&peer, 0).unwrap();
    let expected = [(5, (vec![0, 2, 4, 9], 71_330)), (6, (vec![1], 10))];
    assert_eq!(statuses, Statuses::from(expected));
    let (offsets, chunks) = layout(&host, 0, 5);
    assert_eq!(offsets, [0, 1300, 71_300, 71_330]);
    assert_eq!(chunks, [vec![0, 4], vec![9], vec![2]]);
    let expected = [blocks[..2].concat(), blocks[2].clone(), blocks[3].clone()];
    assert_eq!(
        fs::read(host.file(0, 5, "data")).unwrap(),
        expected.concat()
    );
    assert_eq!(fetch(&peer, 0, 5, &[0, 1, 2]), expected.clone().map(Ok));
    // As the old protocol names them.
    let handle = peer.open(&["shuffleChunk_0_0_5_1"]).unwrap();
    assert_eq!(peer.chunks(handle), [Ok(expected[1].clone())]);
    let outside = fetch(&peer, 0, 5, &[3]).remove(0).unwrap_err();
    assert!(outside.contains("of a map that has 3"), "{outside}");
    let metrics = peer.service.metrics();
    assert_eq!(metrics.pushes[PushOutcome::Success as usize], 5);
    assert_eq!(metrics.push_bytes_written, 71_340);
    assert_eq!(metrics.finalize_merge.count(), 1);
}

#[test]
fn blocks_of_many_maps_at_a_time_are_each_whole_and_once() {
    let host = Host::new();
    let peer = host.peer();
    let address = peer.server.local_addr().to_string();
    let len = |map: i32| 1 + (map as usize * 7919) % 40_000;
    std::thread::scope(|scope| {
        for sender in 0..4 {
            let address = address.clone();
            scope.spawn(move || {
                let client = Client::connect(&address);
                // Every map's block is pushed by two: by itself and by its speculative copy.
                for map in (0..60).filter(|map| (map + sender) % 2 == 0) {
                    let what = push_of(map, 3);
                    let data = block(what, len(map));
                    let outcome = push(&client.client, what, data).unwrap();
                    assert_eq!(outcome.0, PushOutcome::Success);
                }
            });
        }
    });
    let statuses = finalize(&peer, 0).unwrap();
    let (maps, size) = &statuses[&3];
    assert_eq!(*maps, (0..60).collect::<Vec<u32>>());
    assert_eq!(*size, (0..60).map(|map| len(map) as i64).sum::<i64>());
    let (offsets, chunks) = layout(&host, 0, 3);
    let data = fs::read(host.file(0, 3, "data")).unwrap();
    assert_eq!(offsets.len(), chunks.len() + 1);
    for (range, maps) in offsets.windows(2).zip(&chunks) {
        let mut chunk = &data[range[0] as usize..range[1] as usize];
        let mut left: Vec<i32> = maps.iter().map(|map| *map as i32).collect();
        // Blocks lie in any order within their chunk.
        while !chunk.is_empty() {
            let at = left
                .iter()
                .position(|map| chunk.starts_with(&block(push_of(*map, 3), len(*map))));
            let map = left.remove(at.expect("a block begins where the last one ended"));
            chunk = &chunk[len(map)..];
        }
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn what_comes_late_or_is_of_an_earlier_stage_or_attempt_is_told_so() {
    let host = Host::new();
    let peer = host.peer();
    let told = |what, outcome: PushOutcome, name: &str| {
        let got = push(&peer.client, what, vec![1; 100]).unwrap();
        assert_eq!(got, (outcome, name.to_owned()));
    };
    let old = Push {
        attempt: 0,
        ..push_of(7, 1)
    };
    told(old, PushOutcome::TooOldAttemptPush, "shufflePush_0_0_7_1");
    pushed(&peer, push_of(1, 1), vec![1; 2000]);
    assert!(host.file(0, 1, "data").exists());
    let next = Push {
        merge: 2,
        ..push_of(1, 1)
    };
    pushed(&peer, next, vec![2; 100]);
    assert!(
        !host.file(0, 1, "data").exists(),
        "what has become void is deleted"
    );
    told(
        push_of(2, 1),
        PushOutcome::StaleBlockPush,
        "shufflePush_0_0_2_1",
    );
    let stale = finalize(&peer, 0).unwrap_err();
    assert!(stale.contains("stale shuffle finalize request"), "{stale}");
    assert_eq!(
        finalize(&peer, 2).unwrap(),
        Statuses::from([(1, (vec![1], 100))])
    );
    told(
        Push { map: 5, ..next },
        PushOutcome::TooLateBlockPush,
        "shufflePush_0_2_5_1",
    );
    let again = finalize(&peer, 2).unwrap_err();
    assert!(again.contains("stale shuffle finalize request"), "{again}");
    let stale = fetch(&peer, 0, 1, &[0]).remove(0).unwrap_err();
    assert!(
        stale.contains("stale shuffle block fetch request"),
        "{stale}"
    );
    assert_eq!(fetch(&peer, 2, 1, &[0]), [Ok(vec![2; 100])]);
    assert_eq!(
        finalize(&peer, 3).unwrap(),
        Statuses::new(),
        "nothing was pushed for it"
    );
}

#[test]
fn who_has_not_registered_and_what_is_no_number_is_refused() {
    let host = Host::new();
    let peer = host.peer();
    let unknown = Push {
        app: "app-2",
        ..push_of(0, 0)
    };
    let refused = push(&peer.client, unknown, vec![0; 100_000]).unwrap_err();
    assert_eq!(
        refused,
        "java.lang.IllegalArgumentException: application app-2 is not registered or NM was restarted."
    );
    for bad in [
        push_of(-1, 0),
        push_of(0, -1),
        Push {
            merge: -3,
            ..push_of(0, 0)
        },
    ] {
        let refused = push(&peer.client, bad, vec![0; 10]).unwrap_err();
        assert!(refused.contains("negative"), "{refused}");
    }
    let other = peer.ask(Message::FinalizeShuffleMerge(FinalizeShuffleMerge {
        app_id: APP,
        app_attempt_id: 2,
        shuffle_id: 0,
        shuffle_merge_id: 0,
    }));
    let other = other.unwrap_err();
    assert!(
        other.contains("does not match with the current attempt id 1"),
        "{other}"
    );
    assert!(
        host.register(&peer, "../../x", 1)
            .unwrap_err()
            .contains("file's name")
    );
    pushed(&peer, push_of(0, 0), vec![3; 10]);
}

#[test]
fn merge_directories_are_told_to_executors() {
    let host = Host::new();
    let peer = host.peer();
    let ask = |app_id: &str, exec_ids: &[&str]| {
        peer.ask(Message::GetLocalDirsForExecutors(
            GetLocalDirsForExecutors {
                app_id,
                exec_ids: exec_ids.into(),
            },
        ))
    };
    let answer = ask(APP, &["shuffle-push-merger", EXEC]).unwrap();
    let answer = LocalDirsForExecutors::decode(&answer).unwrap();
    let found: BTreeMap<String, Vec<String>> = answer
        .by_executor()
        .map(|(exec, dirs)| (exec.to_owned(), dirs.map(str::to_owned).collect()))
        .collect();
    assert_eq!(found["shuffle-push-merger"], host.merged.dir_names());
    assert_eq!(found[EXEC], host.disk.dir_names());
    assert!(ask("app-9", &["shuffle-push-merger"]).is_err());
}

#[test]
fn removed_merges_are_gone() {
    let host = Host::new();
    let peer = host.peer();
    let all_gone = |merge| {
        ["data", "index", "meta"]
            .iter()
            .all(|kind| !host.file(merge, 1, kind).exists())
    };
    pushed(&peer, push_of(1, 1), vec![1; 10]);
    assert!(!all_gone(0));
    remove(&peer, 0).unwrap();
    assert!(all_gone(0));
    let late = push(&peer.client, push_of(2, 1), vec![1; 10]).unwrap();
    assert_eq!(late.0, PushOutcome::TooLateBlockPush);
    let next = Push {
        merge: 1,
        ..push_of(1, 1)
    };
    pushed(&peer, next, vec![1; 10]);
    finalize(&peer, 1).unwrap();
    let old = remove(&peer, 0).unwrap_err();
    assert!(
        old.contains("Asked to remove old shuffle merged data"),
        "{old}"
    );
    assert!(!all_gone(1));
    // As Spark's driver does: removes every merge, without waiting for an answer.
    let message = Message::RemoveShuffleMerge(RemoveShuffleMerge {
        app_id: APP,
        app_attempt_id: 1,
        shuffle_id: 0,
        shuffle_merge_id: -1,
    });
    let mut body = vec![0; message.encoded_len()];
    message.encode(&mut body).unwrap();
    peer.client.send(body).unwrap();
    let since = std::time::Instant::now();
    while !all_gone(1) {
        assert!(since.elapsed().as_secs() < 20, "the files are still there");
        std::thread::yield_now();
    }
}

#[test]
fn what_was_finalized_survives_a_restart_and_what_was_not_is_begun_anew() {
    let host = Host::new();
    let peer = host.peer();
    pushed(&peer, push_of(1, 1), vec![1; 10]);
    finalize(&peer, 0).unwrap();
    let open = PushBlockStream {
        app_id: APP,
        app_attempt_id: 1,
        shuffle_id: 7,
        shuffle_merge_id: 0,
        map_index: 1,
        reduce_id: 1,
        index: 0,
    };
    let mut meta = vec![0; open.encoded_len()];
    open.encode(&mut meta).unwrap();
    let upload = |peer: &Peer, data: Vec<u8>| {
        let answer = peer
            .client
            .upload_stream(meta.clone(), Bytes::from(data).into());
        answer.wait().unwrap();
    };
    upload(&peer, vec![1; 5000]);
    peer.service.hand_over();
    let peer = Peer::of(ShuffleService::start(host.conf()).unwrap());
    let late = push(&peer.client, push_of(2, 1), vec![1; 10]).unwrap();
    assert_eq!(late.0, PushOutcome::TooLateBlockPush);
    assert_eq!(fetch(&peer, 0, 1, &[0]), [Ok(vec![1; 10])]);
    upload(&peer, vec![2; 30]);
    let name = format!("shuffleMerged_{APP}_7_0_1.data");
    assert_eq!(fs::read(host.merged.path(&name)).unwrap(), [2; 30]);
    remove(&peer, 0).unwrap();
    assert!(
        !host.file(0, 1, "data").exists(),
        "its partitions were stored"
    );
}

#[test]
fn a_later_attempt_begins_anew() {
    let host = Host::new();
    let peer = host.peer();
    pushed(&peer, push_of(1, 1), vec![1; 10]);
    host.register(&peer, APP, 2).unwrap();
    assert!(!host.file(0, 1, "data").exists());
    let old = push(&peer.client, push_of(2, 1), vec![1; 10]).unwrap();
    assert_eq!(old.0, PushOutcome::TooOldAttemptPush);
    let new = Push {
        attempt: 2,
        ..push_of(2, 1)
    };
    pushed(&peer, new, vec![1; 10]);
    host.register(&peer, APP, 1).unwrap();
    pushed(&peer, Push { map: 3, ..new }, vec![1; 10]);
}

#[test]
fn a_disk_that_fails_refuses_blocks_and_too_often_ends_the_merging() {
    let host = Host::new();
    let peer = host.peer();
    let dir = host.file(0, 1, "data").parent().unwrap().to_owned();
    fs::remove_dir_all(&dir).unwrap();
    for _ in 0..=4 {
        let refused = push(&peer.client, push_of(1, 1), vec![1; 10]).unwrap_err();
        assert!(
            refused.contains("merging shufflePush_0_0_1_1 failed"),
            "{refused}"
        );
    }
    let aborted = push(&peer.client, push_of(1, 1), vec![1; 10]).unwrap_err();
    assert!(
        aborted.contains("IOExceptions exceeded the threshold"),
        "{aborted}"
    );
    pushed(&peer, push_of(1, 2), vec![1; 10]);
    assert_eq!(
        finalize(&peer, 0).unwrap(),
        Statuses::from([(2, (vec![1], 10))])
    );
}

#[test]
fn a_block_that_has_no_room_is_pushed_again_later() {
    let host = Host::new();
    let mut conf = host.conf();
    conf.merge = Some(MergeConf {
        memory: 400_000,
        ..MergeConf::default()
    });
    let peer = Peer::new(conf);
    host.register(&peer, APP, 1).unwrap();
    let large = push(&peer.client, push_of(1, 1), vec![1; 100_001]).unwrap();
    let collided = (
        PushOutcome::BlockAppendCollisionDetected,
        "shufflePush_0_0_1_1".to_owned(),
    );
    assert_eq!(large, collided);
    for map in 2..20 {
        pushed(&peer, push_of(map, 1), vec![1; 100_000]);
    }
    let statuses = finalize(&peer, 0).unwrap();
    assert_eq!(statuses[&1].1, 18 * 100_000);
}

#[test]
fn a_link_in_the_place_of_a_merged_file_is_not_followed() {
    let host = Host::new();
    let peer = host.peer();
    let precious = host.disk.root.path().join("precious");
    fs::write(&precious, b"stays").unwrap();
    std::os::unix::fs::symlink(&precious, host.file(0, 1, "data")).unwrap();
    let refused = push(&peer.client, push_of(1, 1), vec![1; 10]).unwrap_err();
    assert!(refused.contains("failed"), "{refused}");
    assert_eq!(fs::read(&precious).unwrap(), b"stays");
}

/// The fixture was made by Spark's own class from the same blocks.
#[test]
fn merged_files_are_those_that_spark_makes() {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/spark-merged-files.json")).unwrap();
    let host = Host::new();
    let peer = host.peer();
    assert_eq!(fixture["min_chunk_len"], 1000);
    for block in fixture["pushes_map_reduce_len"].as_array().unwrap() {
        let number = |at: usize| block[at].as_i64().unwrap();
        let what = push_of(number(0) as i32, number(1) as i32);
        pushed(&peer, what, vec![0; number(2) as usize]);
    }
    let end = fixture["even_maps_below"].as_i64().unwrap() as i32;
    for map in (0..end).step_by(2) {
        pushed(&peer, push_of(map, 8), vec![0; usize::from(map == end - 2)]);
    }
    let answer = peer.ask(Message::FinalizeShuffleMerge(FinalizeShuffleMerge {
        app_id: APP,
        app_attempt_id: 1,
        shuffle_id: 0,
        shuffle_merge_id: 0,
    }));
    let answer = answer.unwrap();
    let statuses = MergeStatuses::decode(&answer).unwrap();
    let bitmaps: Vec<_> = statuses
        .bitmaps
        .received()
        .map(|it| hex(it.bytes()))
        .collect();
    let expected = fixture["partitions"].as_array().unwrap();
    assert_eq!(bitmaps.len(), expected.len());
    for (at, expected) in expected.iter().enumerate() {
        let reduce = statuses.reduce_ids.get(at).unwrap();
        assert_eq!(expected["reduce"], reduce);
        assert_eq!(expected["size"], statuses.sizes.iter().nth(at).unwrap());
        assert_eq!(expected["maps"], *bitmaps[at]);
        for kind in ["index", "meta"] {
            let file = fs::read(host.file(0, reduce, kind)).unwrap();
            assert_eq!(expected[kind], *hex(&file), "{kind} of {reduce}");
        }
    }
}

/// Asks as Spark does, byte by byte: the type of the answer, and what follows the request's id.
fn ask_for_meta(peer: &Peer, app: &str, numbers: [i32; 3]) -> (u8, Vec<u8>) {
    const ID: i64 = 0x0102_0304_0506_0708;
    let mut frame = vec![11];
    frame.extend(ID.to_be_bytes());
    frame.extend((app.len() as i32).to_be_bytes());
    frame.extend(app.as_bytes());
    numbers
        .iter()
        .for_each(|number| frame.extend(number.to_be_bytes()));
    let mut stream = TcpStream::connect(peer.server.local_addr().to_string()).unwrap();
    stream
        .write_all(&(frame.len() as i64 + 8).to_be_bytes())
        .unwrap();
    stream.write_all(&frame).unwrap();
    let mut len = [0; 8];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; i64::from_be_bytes(len) as usize - 8];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[1..9], ID.to_be_bytes());
    (answer[0], answer[9..].to_vec())
}

#[test]
fn readers_learn_what_a_merged_partition_is_made_of() {
    let host = Host::new();
    let peer = host.peer();
    for (map, len) in [(1, 1000), (5, 400), (70_000, 700), (2, 1)] {
        pushed(&peer, push_of(map, 4), vec![map as u8; len]);
    }
    finalize(&peer, 0).unwrap();
    let (kind, answer) = ask_for_meta(&peer, APP, [0, 0, 4]);
    assert_eq!(
        (kind, &answer[..4]),
        (12, &3i32.to_be_bytes()[..]),
        "three chunks"
    );
    assert_eq!(answer[4..], fs::read(host.file(0, 4, "meta")).unwrap());
    for (app, numbers, says) in [
        (APP, [0, 0, 5], "Failed to open file"),
        (APP, [0, -1, 4], "negative"),
        ("app-2", [0, 0, 4], "application app-2 is not registered"),
        ("../x", [0, 0, 4], "is not registered"),
    ] {
        let (kind, answer) = ask_for_meta(&peer, app, numbers);
        let text = String::from_utf8(answer[4..].to_vec()).unwrap();
        assert!(kind == 5 && text.contains(says), "{kind} {text}");
    }
    assert_eq!(peer.service.metrics().merged_block_metas, 5);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
