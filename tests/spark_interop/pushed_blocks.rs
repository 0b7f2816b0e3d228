//! Push-based shuffle: blocks are pushed to the service, merged there, and read in merged form.

use ringrail_spark_peers::Version;
use serde_json::json;

use crate::support::{Conf, Executor, SUB_DIRS, Scene, conf, digest, kind, must, pattern, refusal};

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

/// Every order of four: blocks of one partition are written by several threads, in any order.
fn orders_of_four() -> impl Iterator<Item = [u64; 4]> {
    (0..256)
        .map(|number| [number % 4, number / 4 % 4, number / 16 % 4, number / 64])
        .filter(|order| (0..4).all(|map| order.contains(&map)))
}
