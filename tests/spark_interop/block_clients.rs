//! Spark's ExternalBlockStoreClient, which executors read with, against the shuffle service: every
//! way of asking for blocks, and the requests beside it.

use std::fs;

use crate::support::{Conf, Executor, Scene, conf, digest, must, pattern};

/// Map and reduce tasks of the shuffle that these tests read.
const MAPS: i64 = 4;
const REDUCES: usize = 6;
/// Map ids are task ids, which pass 32 bits in long applications.
const FIRST_MAP: i64 = (1 << 33) + 5;

/// Block `reduce` of map `map`: of another length each, some empty.
fn block(map: i64, reduce: usize) -> Vec<u8> {
    let len = (map as usize % 7 + 1) * reduce * 4099;
    pattern(map as u64 * 1000 + reduce as u64, len)
}

fn write_shuffle(executor: &Executor, shuffle: u32, first_map: i64) {
    for map in first_map..first_map + MAPS {
        let blocks: Vec<_> = (0..REDUCES).map(|reduce| block(map, reduce)).collect();
        executor.write_map(shuffle, map, &blocks);
    }
}

fn ids(shuffle: u32, first_map: i64) -> Vec<String> {
    let maps = first_map..first_map + MAPS;
    maps.flat_map(|map| (0..REDUCES).map(move |reduce| (map, reduce)))
        .map(|(map, reduce)| format!("shuffle_{shuffle}_{map}_{reduce}"))
        .collect()
}

/// Fetches every block with a client of configuration `conf` and checks all of them.
fn everything_arrives(conf: &Conf, first_map: i64) {
    let scene = Scene::new(&Conf::new());
    let executor = Executor::new("1", scene.path(), 3);
    write_shuffle(&executor, 2, first_map);
    let client = scene.client("app-1", conf);
    must(&client.register(&executor));
    let ids = ids(2, first_map);
    let fetched = client.fetch("1", &ids);
    let mut bytes = 0;
    for (at, id) in ids.iter().enumerate() {
        let content = block(first_map + (at / REDUCES) as i64, at % REDUCES);
        bytes += content.len();
        fetched.assert_is(id, &content);
    }
    assert_eq!(scene.served(), (ids.len() as f64, bytes as f64));
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn blocks_arrive_whole() {
    everything_arrives(&Conf::new(), FIRST_MAP);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn the_old_protocol_still_works() {
    // OpenBlocks has the map's id in the block's name, which Spark reads as 32 bits.
    everything_arrives(&conf(&[("spark.shuffle.useOldFetchProtocol", "true")]), 5);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_batch_is_one_chunk_per_map() {
    let scene = Scene::new(&Conf::new());
    let executor = Executor::new("1", scene.path(), 2);
    write_shuffle(&executor, 0, FIRST_MAP);
    let client = scene.client("app-1", &Conf::new());
    must(&client.register(&executor));
    let maps = FIRST_MAP..FIRST_MAP + MAPS;
    let ids: Vec<_> = maps
        .clone()
        .map(|map| format!("shuffle_0_{map}_1_4"))
        .collect();
    let fetched = client.fetch("1", &ids);
    for (map, id) in maps.zip(&ids) {
        fetched.assert_is(id, &[block(map, 1), block(map, 2), block(map, 3)].concat());
    }
    assert_eq!(scene.served().0, MAPS as f64);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn blocks_go_to_disk_when_the_client_wants_them_there() {
    let scene = Scene::new(&Conf::new());
    let executor = Executor::new("1", scene.path(), 1);
    write_shuffle(&executor, 0, 1);
    let client = scene.client("app-1", &Conf::new());
    must(&client.register(&executor));
    let downloads = scene.path().join("downloads");
    fs::create_dir(&downloads).expect("a directory");
    let ids = ids(0, 1);
    let call = client
        .call("fetch")
        .arg("exec", "1")
        .arg("ids", ids.join(","));
    let answer = must(&call.arg("to_disk", downloads.display()));
    for (at, id) in ids.iter().enumerate() {
        let content = block(1 + (at / REDUCES) as i64, at % REDUCES);
        let arrived = &answer["blocks"][id];
        assert_eq!(arrived["sha256"], digest(&content), "{id}: {answer}");
        assert_eq!(arrived["buffer"], "FileSegmentManagedBuffer");
    }
    assert_eq!(scene.served().0, ids.len() as f64);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn cached_partitions_are_served_and_removed() {
    let scene = Scene::new(&conf(&[(
        "spark.shuffle.service.fetch.rdd.enabled",
        "true",
    )]));
    let executor = Executor::new("7", scene.path(), 2);
    let content = pattern(9, 100_001);
    executor.write("rdd_3_4", &content);
    let client = scene.client("app-1", &Conf::new());
    must(&client.register(&executor));
    let id = "rdd_3_4".to_owned();
    client
        .fetch("7", std::slice::from_ref(&id))
        .assert_is(&id, &content);
    let remove = client
        .call("remove")
        .arg("exec", "7")
        .arg("ids", "rdd_3_4,rdd_3_5");
    assert_eq!(must(&remove)["removed"], 1);
    assert!(!executor.path("rdd_3_4").exists());
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn local_directories_are_told() {
    let scene = Scene::new(&Conf::new());
    let executors = [1, 2].map(|n| Executor::new(&n.to_string(), scene.path(), n));
    let client = scene.client("app-1", &Conf::new());
    for executor in &executors {
        must(&client.register(executor));
    }
    let answer = must(&client.call("host_local_dirs").arg("execs", "2,1"));
    for executor in &executors {
        let dirs: Vec<_> = executor
            .dirs
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        assert_eq!(answer["dirs"][&executor.id], serde_json::json!(dirs));
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn corruption_is_diagnosed() {
    let scene = Scene::new(&Conf::new());
    let executor = Executor::new("1", scene.path(), 1);
    // ADLER32 of "abc" and of nothing, by its definition.
    let (abc, nothing) = (0x024d_0127_i64, 1_i64);
    executor.write_map(0, 1, &[b"abc".to_vec(), Vec::new()]);
    let sums = [abc.to_be_bytes(), nothing.to_be_bytes()].concat();
    executor.write("shuffle_0_1_0.checksum.ADLER32", &sums);
    let client = scene.client("app-1", &Conf::new());
    must(&client.register(&executor));
    let cause = |map: i64, checksum: i64, algorithm: &str| {
        let call = client
            .call("diagnose")
            .arg("exec", "1")
            .arg("shuffle", 0)
            .arg("map", map);
        let call = call.arg("reduce", 0).arg("checksum", checksum);
        must(&call.arg("algorithm", algorithm))["cause"].clone()
    };
    assert_eq!(cause(1, abc, "ADLER32"), "CHECKSUM_VERIFY_PASS");
    assert_eq!(cause(1, abc + 1, "ADLER32"), "NETWORK_ISSUE");
    assert_eq!(cause(2, abc, "ADLER32"), "UNKNOWN_ISSUE");
    executor.write("shuffle_0_1_0.data", b"abd");
    assert_eq!(cause(1, abc + 1, "ADLER32"), "DISK_ISSUE");
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn executors_survive_a_killed_service() {
    let mut scene = Scene::new(&Conf::new());
    let executor = Executor::new("1", scene.path(), 2);
    write_shuffle(&executor, 0, 1);
    let client = scene.client("app-1", &Conf::new());
    must(&client.register(&executor));
    scene.service.kill();
    scene
        .service
        .restart()
        .unwrap_or_else(|error| panic!("{error}"));
    let id = "shuffle_0_2_3".to_owned();
    client
        .fetch("1", std::slice::from_ref(&id))
        .assert_is(&id, &block(2, 3));
    assert_eq!(scene.served().0, 1.0);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn many_clients_read_at_once() {
    let scene = Scene::new(&Conf::new());
    let executor = Executor::new("1", scene.path(), 2);
    write_shuffle(&executor, 0, 1);
    let clients: Vec<_> = (0..8)
        .map(|_| scene.client("app-1", &Conf::new()))
        .collect();
    must(&clients[0].register(&executor));
    let ids = ids(0, 1);
    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| {
                let fetched = client.fetch("1", &ids);
                for (at, id) in ids.iter().enumerate() {
                    fetched.assert_is(id, &block(1 + (at / REDUCES) as i64, at % REDUCES));
                }
            });
        }
    });
    assert_eq!(scene.served().0, (clients.len() * ids.len()) as f64);
}
