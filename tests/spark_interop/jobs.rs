//! PySpark applications whose shuffle goes through the service, with results computed twice: by
//! Spark, and here without it.
//!
//! `spark.shuffle.readHostLocalDisk` is off, so that executors ask the service for each other's
//! blocks. In the `remote` steps the executors that wrote the blocks are gone before anybody reads,
//! so that every byte comes from the service; the stages' own figures show that none was local.

use std::thread;
use std::time::Duration;

use ringrail_spark_peers::{Job, JobOutcome, Version, expected};

use crate::support::{Conf, Scene, conf, install, kind};

const RECORDS: u64 = 60_000;
const MAPS: u32 = 4;
const REDUCES: u32 = 12;

fn job(steps: &[&'static str], conf: &Conf) -> Job {
    Job {
        steps: steps.to_vec(),
        records: RECORDS,
        maps: MAPS,
        reduces: REDUCES,
        conf: conf.clone(),
        short: true,
    }
}

/// The results of a job, and the total number of chunks that the service had served at each of its
/// moments.
struct Run {
    outcomes: Vec<JobOutcome>,
    chunks: Vec<f64>,
}

/// Runs `job` on `version`, with the service configured alike, and checks its results and where they
/// came from.
fn run(version: Version, job: &Job) -> Run {
    let scene = Scene::with(kind(version, false), &job.conf);
    let mut chunks = Vec::new();
    let count = |_| chunks.push(scene.served().0);
    let outcomes = job
        .run(&install(version), scene.service.port(), scene.path(), count)
        .unwrap_or_else(|error| panic!("{error}"));
    check(&scene, &outcomes);
    Run { outcomes, chunks }
}

fn check(scene: &Scene, outcomes: &[JobOutcome]) {
    let expected = expected(RECORDS);
    let mut remote_bytes = 0;
    for outcome in outcomes {
        assert_eq!(outcome.rows, expected, "{}", outcome.step);
        assert_eq!(outcome.read("failed_tasks"), 0, "{outcome:?}");
        assert!(outcome.read("remote_bytes") > 0, "{outcome:?}");
        if outcome.step == "remote" {
            assert_eq!(outcome.read("local_bytes"), 0, "{outcome:?}");
        }
        remote_bytes += outcome.read("remote_bytes") + outcome.read_before("remote_bytes");
    }
    let (chunks, bytes) = scene.served();
    assert!(chunks > 0.0, "the service served chunks");
    assert_eq!(
        bytes, remote_bytes as f64,
        "all that was read came from the service"
    );
}

/// Plain, with batches, and with every executor gone.
fn everyday(version: Version) {
    let run = run(version, &job(&["sql", "batch", "remote"], &Conf::new()));
    let (single, batch) = (run.chunks[0], run.chunks[1] - run.chunks[0]);
    assert!(
        batch * 2.0 <= single,
        "{batch} chunks in batches, {single} without"
    );
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_of_spark_3_5() {
    everyday(Version::V3_5);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_of_spark_4_1() {
    everyday(Version::V4_1);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_with_the_old_protocol() {
    let old = conf(&[("spark.shuffle.useOldFetchProtocol", "true")]);
    let run = run(Version::V3_5, &job(&["remote"], &old));
    assert_eq!(run.chunks[1] - run.chunks[0], f64::from(MAPS * REDUCES));
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_with_blocks_too_big_for_memory() {
    let small = conf(&[("spark.network.maxRemoteBlockSizeFetchToMem", "64k")]);
    let run = run(Version::V3_5, &job(&["remote"], &small));
    let outcome = &run.outcomes[0];
    assert_eq!(
        outcome.read("to_disk_bytes"),
        outcome.read("remote_bytes"),
        "{outcome:?}"
    );
}

/// With authentication of one kind, everything remote.
fn guarded(version: Version, kind: &[(&str, &str)]) {
    let mut conf = conf(kind);
    conf.insert("spark.authenticate".into(), "true".into());
    conf.insert(
        "spark.authenticate.secret".into(),
        "a secret of the cluster".into(),
    );
    run(version, &job(&["remote"], &conf));
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_with_sasl() {
    guarded(Version::V3_5, &[]);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_with_aes_1_in_counter_mode() {
    guarded(
        Version::V3_5,
        &[
            ("spark.network.crypto.enabled", "true"),
            ("spark.network.crypto.authEngineVersion", "1"),
        ],
    );
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_with_aes_2_in_galois_mode() {
    guarded(
        Version::V4_1,
        &[
            ("spark.network.crypto.enabled", "true"),
            ("spark.network.crypto.authEngineVersion", "2"),
            ("spark.network.crypto.cipher", "AES/GCM/NoPadding"),
        ],
    );
}

/// Blocks are pushed and merged, and reducers read what was merged: most of it, for what is pushed
/// too late is read unmerged.
#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_that_pushes_its_blocks() {
    let install = install(Version::V3_5);
    let classes = install.classes().display().to_string();
    let home = install.home().display().to_string();
    let conf = conf(&[
        ("spark.master", "local-push-cluster"),
        ("spark.driver.extraClassPath", &classes),
        ("spark.testing", "true"),
        ("spark.test.home", &home),
        (
            "spark.serializer",
            "org.apache.spark.serializer.KryoSerializer",
        ),
        ("spark.shuffle.push.enabled", "true"),
        ("spark.shuffle.push.mergersMinStaticThreshold", "1"),
        ("spark.shuffle.push.minShuffleSizeToWait", "0"),
        ("spark.shuffle.push.finalize.timeout", "4s"),
        (
            "spark.shuffle.push.server.mergedShuffleFileManagerImpl",
            "org.apache.spark.network.shuffle.RemoteBlockPushResolver",
        ),
    ]);
    let scene = Scene::with(kind(Version::V3_5, true), &conf);
    let outcomes = job(&["remote"], &conf)
        .run(&install, scene.service.port(), scene.path(), |_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    let outcome = &outcomes[0];
    assert_eq!(outcome.rows, expected(RECORDS));
    assert_eq!(outcome.read("failed_tasks"), 0, "{outcome:?}");
    let merged = outcome.read("merged_chunks") + outcome.read_before("merged_chunks");
    assert!(merged > 0, "merged blocks were read: {outcome:?}");
    // Spark does not count merged chunks among its messages, but their bytes.
    assert!(scene.served().1 > 0.0, "by the service");
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_survives_a_killed_service() {
    let mut scene = Scene::with(kind(Version::V3_5, false), &Conf::new());
    let job = job(&["remote"], &Conf::new());
    let (port, dir) = (scene.service.port(), scene.path().to_path_buf());
    let mut killed_after = 0.0;
    let outcomes = thread::scope(|scope| {
        let (sender, reading) = std::sync::mpsc::channel();
        let running = scope.spawn(move || {
            let told = |_| sender.send(()).unwrap_or_default();
            job.run(&install(Version::V3_5), port, &dir, told)
        });
        if reading.recv().is_ok() {
            // Some of the blocks have been served, others not.
            while killed_after == 0.0 && !running.is_finished() {
                killed_after = scene.served().0;
            }
            scene.service.kill();
            thread::sleep(Duration::from_secs(2));
            scene
                .service
                .restart()
                .unwrap_or_else(|error| panic!("{error}"));
        }
        running
            .join()
            .expect("no panic")
            .unwrap_or_else(|error| panic!("{error}"))
    });
    let outcome = &outcomes[0];
    assert_eq!(outcome.rows, expected(RECORDS));
    assert_eq!(
        outcome.read("failed_stages"),
        0,
        "nothing was computed twice: {outcome:?}"
    );
    let blocks = f64::from(MAPS * REDUCES);
    assert!(
        killed_after < blocks,
        "killed after {killed_after} of {blocks}"
    );
    assert!(
        scene.served().0 > 0.0,
        "the restarted service served the rest"
    );
}
