//! Authentication and encryption of every kind that Spark has, between Spark's client and the
//! shuffle service.

use crate::support::{Bare, Conf, Executor, Scene, is_reference, kinds, must, pattern, refusal};

const SECRET: &str = "a secret that both sides know";

/// A service that authenticates as `kind` says, with an executor of application `app-1`.
fn guarded(kind: &Conf) -> (Scene, Executor) {
    let mut conf = kind.clone();
    conf.insert("spark.authenticate".into(), "true".into());
    conf.insert("spark.authenticate.secret".into(), SECRET.into());
    let scene = Scene::new(&conf);
    let executor = Executor::new("1", scene.path(), 2);
    executor.write_map(
        0,
        1,
        &[pattern(0, 70_000), Vec::new(), pattern(1, 3_000_000)],
    );
    (scene, executor)
}

/// A connection that has not authenticated.
fn unknown(scene: &Scene) -> Bare {
    Bare::connect(scene.service.port(), "app-1", None, &Conf::new())
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn blocks_arrive_through_every_kind_of_authentication() {
    for (_, kind) in kinds() {
        let (scene, executor) = guarded(&kind);
        let client = scene.client_with("app-1", SECRET, &kind);
        must(&client.register(&executor));
        let ids = [0, 1, 2].map(|reduce| format!("shuffle_0_1_{reduce}"));
        let fetched = client.fetch("1", &ids);
        fetched.assert_is(&ids[0], &pattern(0, 70_000));
        fetched.assert_is(&ids[1], &[]);
        fetched.assert_is(&ids[2], &pattern(1, 3_000_000));
        assert_eq!(scene.served().0, 3.0, "{kind:?}");
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_wrong_secret_opens_nothing() {
    for (_, kind) in kinds() {
        let (scene, executor) = guarded(&kind);
        let client = scene.client_with("app-1", "another secret", &kind);
        refusal(&client.register(&executor));
        let fetched = client.fetch("1", &["shuffle_0_1_0".to_owned()]);
        assert_eq!(fetched.sha256("shuffle_0_1_0"), None, "{kind:?}");
        assert_eq!(scene.served().0, 0.0);
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn an_application_reads_only_its_own_blocks() {
    let (scene, executor) = guarded(&Conf::new());
    let owner = scene.client_with("app-1", SECRET, &Conf::new());
    must(&owner.register(&executor));
    let thief = Bare::connect(scene.service.port(), "app-2", Some(SECRET), &Conf::new());
    // FetchShuffleBlocks of app-1, executor 1, shuffle 0, map 1, reducers 0: as bytes, since Spark's
    // client would name its own application.
    let ask =
        "09000000056170702d3100000001310000000000000001000000000000000100000001000000010000000000";
    let error = refusal(&thief.call("rpc").arg("hex", ask));
    let wanted = "Client for app-2 not authorized for application app-1.";
    assert!(error.contains(wanted), "{error}");
    assert_eq!(scene.served().0, 0.0);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn without_authentication_nothing_is_served() {
    for (_, kind) in kinds() {
        let (scene, executor) = guarded(&kind);
        let owner = scene.client_with("app-1", SECRET, &kind);
        must(&owner.register(&executor));
        let stranger = unknown(&scene);
        refusal(&stranger.call("rpc").arg("text", "hello"));
        let stranger = unknown(&scene);
        refusal(&stranger.call("upload").arg("meta", "hello").arg("size", 10));
        if !is_reference() {
            // Spark's own service leaves these to its stream manager, which knows no such stream
            // but would serve one that it knew.
            let stranger = unknown(&scene);
            refusal(&stranger.call("chunk").arg("stream", 0).arg("index", 0));
            let stranger = unknown(&scene);
            refusal(&stranger.call("stream").arg("stream", "0_0"));
        }
        assert_eq!(scene.served().0, 0.0);
    }
}
