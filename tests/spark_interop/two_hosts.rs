//! A job on two hosts, each with a worker and a shuffle service of its own: what one host's executors have left,
//! shuffle blocks and the blocks of a persisted RDD, is read on the other one from its service.

use std::path::Path;
use std::sync::Arc;

use ringrail_spark_peers::{
    Cluster, Host, Job, Moment, ServiceProcess, Version, expected, free_port,
};
use tempfile::TempDir;

use crate::support::{Conf, conf, install, kind};

const RECORDS: u64 = 40_000;
const MAPS: u32 = 16;
const REDUCES: u32 = 8;

/// A host with its service and its directory.
struct Place {
    dir: TempDir,
    service: ServiceProcess,
    host: Arc<Host>,
}

impl Place {
    fn new(host: Arc<Host>, version: Version, port: u16, conf: &Conf) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let service = ServiceProcess::start_on(&host, port, kind(version, false), conf, dir.path());
        Self {
            service: service.unwrap_or_else(|error| panic!("{error}")),
            dir,
            host,
        }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Chunks and bytes that its service has served.
    fn served(&self) -> (f64, f64) {
        let served = self.service.served();
        served.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn on_two_hosts(version: Version) {
    if let Err(reason) = Host::possible() {
        eprintln!("skipped: this machine does not let a test make network namespaces: {reason}");
        return;
    }
    let hosts = Host::two().unwrap_or_else(|error| panic!("{error}"));
    let port = free_port().unwrap_or_else(|error| panic!("{error}"));
    let mut conf = conf(&[("spark.shuffle.service.fetch.rdd.enabled", "true")]);
    let places = hosts.map(|host| Place::new(host, version, port, &conf));
    let [one, other] = &places;
    let install = install(version);
    let workers = [(&*one.host, one.dir()), (&*other.host, other.dir())];
    let cluster = Cluster::start(&install, workers).unwrap_or_else(|error| panic!("{error}"));
    conf.insert("spark.master".into(), cluster.url().into());
    conf.insert("spark.executor.cores".into(), "1".into());
    conf.insert("spark.executor.memory".into(), "512m".into());
    let job = Job {
        steps: vec!["sql", "remote", "cached"],
        records: RECORDS,
        maps: MAPS,
        reduces: REDUCES,
        conf,
        short: true,
    };
    // The chunks that both services had served at each moment.
    let mut served = Vec::new();
    let count = |moment: Moment| served.push((moment, [one.served(), other.served()]));
    let outcomes = job
        .run_on(&one.host, &install, port, one.dir(), count)
        .unwrap_or_else(|error| panic!("{error}"));
    for outcome in &outcomes {
        assert_eq!(outcome.rows, expected(RECORDS), "{}", outcome.step);
        assert_eq!(outcome.read("failed_tasks"), 0, "{outcome:?}");
    }

    let [sql, reading, remote, reading_kept, cached] = &served[..] else {
        panic!("five moments: {served:?}");
    };
    let kinds = [reading.0, remote.0, reading_kept.0, cached.0];
    assert_eq!(
        kinds,
        [Moment::Reading, Moment::Done, Moment::Reading, Moment::Done]
    );
    // Shuffle blocks: together they served all that was read of the gone executors. How much was written on which
    // host is chance: an executor that comes late finds little left to do.
    assert!(sql.1[0].0 + sql.1[1].0 > 0.0, "{served:?}");
    let since = |before: &[(f64, f64); 2], after: &[(f64, f64); 2]| {
        [0, 1].map(|at| (after[at].0 - before[at].0, after[at].1 - before[at].1))
    };
    let of_remote = since(&reading.1, &remote.1);
    assert!(outcomes[1].read("remote_bytes") > 0, "{:?}", outcomes[1]);
    assert_eq!(outcomes[1].read("local_bytes"), 0, "{:?}", outcomes[1]);
    assert_eq!(
        of_remote[0].1 + of_remote[1].1,
        outcomes[1].read("remote_bytes") as f64
    );
    // The persisted RDD: the one task that read it found each partition, and those of the other host with the
    // service there; of its own host it reads the files itself, as Spark does.
    assert_eq!(outcomes[2].read("computed"), RECORDS, "{:?}", outcomes[2]);
    let mut kept = since(&reading_kept.1, &cached.1).map(|(chunks, _)| chunks);
    kept.sort_by(f64::total_cmp);
    assert_eq!(kept[0], 0.0, "of its own host: {served:?}");
    assert!(
        kept[1] > 0.0 && kept[1] < f64::from(MAPS),
        "of the other host: {served:?}"
    );
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_of_spark_3_5_on_two_hosts() {
    on_two_hosts(Version::V3_5);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_job_of_spark_4_1_on_two_hosts() {
    on_two_hosts(Version::V4_1);
}
