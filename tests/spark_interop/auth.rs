//! Authentication and encryption of every kind that Spark has, between Spark's client and the
//! shuffle service.

use serde_json::Value;

use crate::support::{
    Bare, Conf, Executor, Scene, conf, is_reference, kinds, must, pattern, refusal,
};

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

/// FetchShuffleBlocks of app-1, executor 1, shuffle 0, map 1, reducer 0: as bytes, since Spark's client would name
/// its own application.
const ASK: &str =
    "09000000056170702d3100000001310000000000000001000000000000000100000001000000010000000000";

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn an_application_reads_only_its_own_blocks() {
    // One shard: another one knows no more of a stream than that it is none of its own.
    let (scene, executor) = guarded(&conf(&[("spark.shuffle.io.serverThreads", "1")]));
    let registrar = scene.client_with("app-1", SECRET, &Conf::new());
    must(&registrar.register(&executor));
    let connect = |app| Bare::connect(scene.service.port(), app, Some(SECRET), &Conf::new());
    let (owner, thief) = (connect("app-1"), connect("app-2"));
    let error = refusal(&thief.call("rpc").arg("hex", ASK));
    let wanted =
        "java.lang.SecurityException: Client for app-2 not authorized for application app-1.";
    assert!(error.contains(wanted), "{error}");
    // A stream that app-1 has opened, by number and by name.
    let stream = stream_of(&must(&owner.call("rpc").arg("hex", ASK)));
    let wanted = format!(
        "java.lang.SecurityException: Client app-2 not authorized to read stream {stream} (app app-1)."
    );
    let chunk = thief.call("chunk").arg("stream", stream).arg("index", 0);
    let error = refusal(&chunk);
    assert!(error.contains(&wanted), "{error}");
    let named = thief.call("stream").arg("stream", format!("{stream}_0"));
    let error = refusal(&named);
    assert!(error.contains(&wanted), "{error}");
    assert_eq!(scene.served().0, 0.0);
}

/// The stream of a StreamHandle: a byte for the type, the stream, the number of chunks.
fn stream_of(answer: &Value) -> i64 {
    let hex = answer["hex"].as_str().expect("an answer of 13 bytes");
    i64::from_str_radix(&hex[2..18], 16).expect("hex digits")
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
