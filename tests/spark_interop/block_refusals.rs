//! Requests that the shuffle service refuses: the texts are those that Spark's clients understand,
//! and the service continues to serve.

use std::fs;

use crate::support::{BlockClient, Conf, Executor, Scene, must, pattern, refusal};

/// A service, an executor with one good block `shuffle_0_1_0`, and a client.
fn scene() -> (Scene, Executor, BlockClient) {
    let scene = Scene::new(&Conf::new());
    let executor = Executor::new("1", scene.path(), 2);
    executor.write_map(0, 1, &[pattern(0, 5000)]);
    let client = scene.client("app-1", &Conf::new());
    must(&client.register(&executor));
    (scene, executor, client)
}

/// The service still serves the good block, to the same client.
fn still_serves(client: &BlockClient) {
    let id = "shuffle_0_1_0".to_owned();
    client
        .fetch("1", std::slice::from_ref(&id))
        .assert_is(&id, &pattern(0, 5000));
}

fn failure(client: &BlockClient, exec: &str, id: &str) -> String {
    let fetched = client.fetch(exec, &[id.to_owned()]);
    let error = fetched.error(id).to_owned();
    assert!(!error.is_empty(), "{id} of {exec} arrived: {}", fetched.0);
    error
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn strangers_and_missing_files_are_named() {
    let (_scene, _executor, client) = scene();
    let error = failure(&client, "9", "shuffle_0_1_0");
    assert!(
        error.contains(
            "java.lang.RuntimeException: Executor is not registered (appId=app-1, execId=9)"
        ),
        "{error}"
    );
    let error = failure(&client, "1", "shuffle_0_77_0");
    assert!(
        error.contains("java.lang.RuntimeException: Failed to open file"),
        "{error}"
    );
    still_serves(&client);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn partitions_outside_the_index_fail() {
    let (_scene, _executor, client) = scene();
    failure(&client, "1", "shuffle_0_1_1");
    failure(&client, "1", "shuffle_0_1_2147483646");
    still_serves(&client);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn damaged_files_fail_and_harm_nothing_else() {
    let (_scene, executor, client) = scene();
    executor.write_map(0, 2, &[pattern(1, 5000)]);
    fs::remove_file(executor.path("shuffle_0_2_0.data")).expect("just written");
    failure(&client, "1", "shuffle_0_2_0");
    executor.write_map(0, 3, &[pattern(2, 5000)]);
    executor.write("shuffle_0_3_0.index", &[0; 7]);
    failure(&client, "1", "shuffle_0_3_0");
    still_serves(&client);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn executors_outside_the_services_directories_are_refused() {
    let (_scene, _executor, client) = scene();
    let elsewhere = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let stranger = Executor::new("2", elsewhere.path(), 1);
    let error = refusal(&client.register(&stranger));
    assert!(
        error.contains("is not under any of the service's local directories"),
        "{error}"
    );
    let error = failure(&client, "2", "shuffle_0_1_0");
    assert!(error.contains("Executor is not registered"), "{error}");
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn another_applications_executors_are_unknown() {
    let (scene, _executor, client) = scene();
    let other = scene.client("app-2", &Conf::new());
    let error = failure(&other, "1", "shuffle_0_1_0");
    assert!(
        error.contains("Executor is not registered (appId=app-2, execId=1)"),
        "{error}"
    );
    still_serves(&client);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn removing_is_kept_inside_the_executors_directories() {
    let (scene, _executor, client) = scene();
    let outside = scene.path().join("precious");
    fs::write(&outside, "kept").expect("room");
    // From a block manager's sub-directory this would be the file above.
    let tricks = ["../../../../precious", "rdd_../../../../precious"];
    for trick in tricks {
        let call = client.call("remove").arg("exec", "1").arg("ids", trick);
        let removed = crate::support::peer()
            .call(&call)
            .map(|answer| answer["removed"].clone());
        assert!(
            !matches!(&removed, Ok(count) if count != 0),
            "{trick}: {removed:?}"
        );
        assert!(outside.exists(), "{trick}");
    }
    still_serves(&client);
}
