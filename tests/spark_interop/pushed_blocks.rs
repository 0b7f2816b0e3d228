//! Push-based shuffle: blocks are pushed to the service, merged there, and read in merged form.

use ringrail::codec::spark::shuffle::Bitmaps;
use ringrail::transport::server::MergedBlocksRequest;
use ringrail::{RequestError, TransportContext};
use ringrail_spark_peers::{ServiceKind, Version};
use serde_json::json;

use crate::support::echo::engine;
use crate::support::{
    Conf, Executor, SUB_DIRS, Scene, conf, digest, install, kind, must, pattern, refusal,
};

const PUSHED: usize = 3000;

/// Registers an executor that names its merge directory, as with push-based shuffle.
fn register(scene: &Scene, client: &crate::support::BlockClient) -> Executor {
    let executor = Executor::new("1", scene.path(), 1);
    let meta = format!(
        // Spark appends two braces too many.
        "{}:{}}}}}",
        crate::support::MANAGER,
        json!({"mergeDir": "merge_manager_1", "attemptId": "1"})
    );
    // Spark makes these when an executor starts.
    for dir in &executor.dirs {
        let merge = dir
            .parent()
            .expect("below the service's")
            .join("merge_manager_1");
        for sub in 0..SUB_DIRS {
            std::fs::create_dir_all(merge.join(format!("{sub:02x}"))).expect("a directory");
        }
    }
    let call = client
        .call("register")
        .arg("exec", "1")
        .arg("sub_dirs", SUB_DIRS);
    must(
        &call
            .arg("dirs", executor.dirs_joined())
            .arg("manager", meta),
    );
    executor
}

fn merging() -> Conf {
    conf(&[(
        "spark.shuffle.push.server.mergedShuffleFileManagerImpl",
        "org.apache.spark.network.shuffle.RemoteBlockPushResolver",
    )])
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn without_merging_pushes_are_refused_in_sparks_words() {
    let scene = Scene::new(&Conf::new());
    let client = scene.client("app-1", &Conf::new());
    let call = client.call("finalize").arg("shuffle", 0).arg("merge", 0);
    let error = refusal(&call);
    assert!(
        error.contains("Cannot handle shuffle block merge"),
        "{error}"
    );
    let error = refusal(
        &client
            .call("merged")
            .arg("shuffle", 0)
            .arg("merge", 0)
            .arg("reduce", 0),
    );
    assert!(
        error.contains("Cannot handle shuffle block merge"),
        "{error}"
    );
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn pushed_blocks_are_merged_and_read() {
    let scene = Scene::with(kind(Version::V3_5, true), &merging());
    let client = scene.client("app-1", &conf(&[("attempt", "1")]));
    register(&scene, &client);
    // Map indexes 0 to 3, reducers 4 and 5; the id is shuffle_merge_map_reduce.
    let ids: Vec<_> = (0..4)
        .flat_map(|map| [4, 5].map(|reduce| format!("shufflePush_0_0_{map}_{reduce}")))
        .collect();
    let call = client
        .call("push")
        .arg("ids", ids.join(","))
        .arg("size", PUSHED);
    let answer = must(&call);
    assert_eq!(
        answer["pushed"].as_array().map(Vec::len),
        Some(ids.len()),
        "{answer}"
    );

    let statuses = must(&client.call("finalize").arg("shuffle", 0).arg("merge", 0));
    let partitions = statuses["partitions"].as_array().expect("a list");
    assert_eq!(partitions.len(), 2, "{statuses}");
    for partition in partitions {
        assert_eq!(partition["size"], 4 * PUSHED, "{statuses}");
        assert_eq!(partition["maps"], json!([0, 1, 2, 3]));
    }

    let meta = must(
        &client
            .call("merged")
            .arg("shuffle", 0)
            .arg("merge", 0)
            .arg("reduce", 4),
    );
    let chunks = meta["chunks"].as_u64().expect("a number");
    let ids: Vec<_> = (0..chunks)
        .map(|chunk| format!("shuffleChunk_0_0_4_{chunk}"))
        .collect();
    let fetched = client.fetch("shuffle-push-merger", &ids);
    let len: u64 = ids
        .iter()
        .filter_map(|id| fetched.0["blocks"][id]["len"].as_u64())
        .sum();
    assert_eq!(len, 4 * PUSHED as u64, "{}", fetched.0);
    assert_eq!(chunks, 1, "below the least length of a chunk");
    let merged = fetched.sha256(&ids[0]);
    let whole = orders_of_four()
        .map(|maps| maps.map(|map| pattern(2 * map, PUSHED)).concat())
        .any(|content| merged == Some(digest(&content).as_str()));
    assert!(whole, "each block once and whole: {}", fetched.0);
}

/// Pushes four blocks to each of two reducers of shuffle 0, and ends the merge.
fn push_and_finalize(scene: &Scene) -> crate::support::BlockClient {
    let client = scene.client("app-1", &conf(&[("attempt", "1")]));
    register(scene, &client);
    let ids: Vec<_> = (0..4)
        .flat_map(|map| [4, 5].map(|reduce| format!("shufflePush_0_0_{map}_{reduce}")))
        .collect();
    let call = client
        .call("push")
        .arg("ids", ids.join(","))
        .arg("size", PUSHED);
    must(&call);
    must(&client.call("finalize").arg("shuffle", 0).arg("merge", 0));
    client
}

/// A ringrail client asks a merging service, Spark's own and ours, what it has merged.
#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_client_of_ours_asks_what_was_merged() {
    for version in [Version::V3_5, Version::V4_1] {
        let sparks = ServiceKind::Spark {
            install: install(version),
            merge: true,
        };
        for service in [sparks, kind(version, true)] {
            let scene = Scene::with(service, &merging());
            let _client = push_and_finalize(&scene);
            let context = TransportContext::client_only(engine());
            let clients = context.create_spark_client_factory(None, Vec::new());
            let address = format!("127.0.0.1:{}", scene.service.port());
            let client = clients.create_client_blocking(&address).expect("connected");
            let mut asked = MergedBlocksRequest {
                app_id: "app-1",
                shuffle_id: 0,
                shuffle_merge_id: 0,
                reduce_id: 5,
            };
            let meta = client.merged_block_meta(&asked, None).wait();
            let meta = meta.expect("merged");
            assert_eq!(meta.num_chunks, 1);
            let bitmaps = Bitmaps::of_chunks(&meta.bitmaps).expect("whole bitmaps");
            let maps = bitmaps.to_roaring().expect("bitmaps");
            let maps: Vec<Vec<u32>> = maps.iter().map(|chunk| chunk.iter().collect()).collect();
            assert_eq!(maps, [[0, 1, 2, 3]]);
            asked.reduce_id = 77;
            let error = client.merged_block_meta(&asked, None).wait();
            let error = error.expect_err("no such partition");
            assert!(matches!(error, RequestError::Remote { .. }), "{error}");
        }
    }
}

/// Every order of four: blocks of one partition are written by several threads, in any order.
fn orders_of_four() -> impl Iterator<Item = [u64; 4]> {
    (0..256)
        .map(|number| [number % 4, number / 4 % 4, number / 16 % 4, number / 64])
        .filter(|order| (0..4).all(|map| order.contains(&map)))
}
