//! A PySpark application on a small cluster of its own, and what its results must be.

use crate::error::SparkError;
use crate::host::Host;
use crate::install::Install;
use crate::process::{Process, die_with_parent};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How long one line of a job may take: a step, and the start of the cluster before the first.
const PATIENCE: Duration = Duration::from_secs(180);
/// Java's simple compiler and collector.
const START_FAST: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";
/// Keys of the results, as `job.py` has them.
const KEYS: u64 = 16;

/// The steps and parameters of an application. `job.py` describes the steps.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its steps in order: `sql`, `batch`, `remote`, `cached`.
    pub steps: Vec<&'static str>,
    /// Records that each step shuffles.
    pub records: u64,
    /// Map tasks.
    pub maps: u32,
    /// Reduce tasks.
    pub reduces: u32,
    /// Further configuration of Spark.
    pub conf: BTreeMap<String, String>,
    /// Whether its Java processes are to start fast rather than to run fast, which halves the time
    /// of a small job.
    pub short: bool,
}

/// A moment in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// In a `remote` or `cached` step: the executors that wrote the blocks are gone, their reading begins when
    /// this has been told.
    Reading,
    /// A step is done.
    Done,
}

/// The result of one step.
#[derive(Clone, Debug)]
pub struct JobOutcome {
    /// The step.
    pub step: String,
    /// Key, count, sum of numbers, sum of the hashes' heads, largest hash; to be compared with
    /// [`expected`].
    pub rows: Value,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How long the reading of a `remote` step took, in seconds, its executors' start included.
    pub reading_seconds: f64,
    read: Value,
    before: Value,
}

impl JobOutcome {
    /// A sum over the step's stages: `remote_bytes`, `local_bytes`, `to_disk_bytes`,
    /// `failed_tasks`, `failed_stages`, `stages`, `merged_chunks`; in a `cached` step `computed` as well, records
    /// that were computed in all.
    #[must_use]
    pub fn read(&self, name: &str) -> u64 {
        self.read[name].as_u64().unwrap_or_default()
    }

    /// The same over the stages of a `remote` step that ran while the executors that wrote the
    /// blocks were alive.
    #[must_use]
    pub fn read_before(&self, name: &str) -> u64 {
        self.before[name].as_u64().unwrap_or_default()
    }
}

/// The rows that a step over `records` records must bring, computed here.
#[must_use]
pub fn expected(records: u64) -> Value {
    let mut rows = vec![(0_u64, 0_u64, 0_u64, String::new()); KEYS as usize];
    for number in 0..records {
        let digest = Sha256::digest(number.to_string());
        let head = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let row = &mut rows[(number % KEYS) as usize];
        row.0 += 1;
        row.1 += number;
        row.2 += u64::from(head);
        row.3 = std::mem::take(&mut row.3).max(hex);
    }
    let rows = rows
        .iter()
        .zip(0_u64..)
        .map(|((count, sum, heads, max), key)| json!([key, count, sum, heads, max]));
    Value::Array(rows.collect())
}

/// A running application.
#[derive(Debug)]
struct Application {
    process: Process,
    lines: Receiver<String>,
    stdin: std::process::ChildStdin,
}

impl Job {
    /// Runs it on `local-cluster[2,1,1024]` with the shuffle service at `port`, whose local
    /// directory is `dir`, and returns what its steps brought. `at` is called in each `remote` step,
    /// when the executors that wrote the blocks are gone, and after every step.
    ///
    /// # Errors
    /// It fails, with the end of its log.
    pub fn run(
        &self,
        install: &Install,
        port: u16,
        dir: &Path,
        at: impl FnMut(Moment),
    ) -> Result<Vec<JobOutcome>, SparkError> {
        self.follow(self.start(install, port, dir, None)?, at)
    }

    /// Runs its driver on a host of a cluster, which [`conf`](Self::conf) names as `spark.master`.
    ///
    /// # Errors
    /// It fails, with the end of its log.
    pub fn run_on(
        &self,
        host: &Host,
        install: &Install,
        port: u16,
        dir: &Path,
        at: impl FnMut(Moment),
    ) -> Result<Vec<JobOutcome>, SparkError> {
        self.follow(self.start(install, port, dir, Some(host))?, at)
    }

    fn follow(
        &self,
        mut application: Application,
        mut at: impl FnMut(Moment),
    ) -> Result<Vec<JobOutcome>, SparkError> {
        let mut outcomes = Vec::new();
        while outcomes.len() < self.steps.len() {
            let line = application.line()?;
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["mapped"] == true {
                at(Moment::Reading);
                let go = application.stdin.write_all(b"go\n");
                go.map_err(SparkError::system("telling the job to go on"))?;
            } else if let Some(step) = said["step"].as_str() {
                outcomes.push(JobOutcome {
                    step: step.to_owned(),
                    rows: said["rows"].clone(),
                    seconds: said["seconds"].as_f64().unwrap_or_default(),
                    reading_seconds: said["reading_seconds"].as_f64().unwrap_or_default(),
                    read: said["read"].clone(),
                    before: said["before"].clone(),
                });
                at(Moment::Done);
            }
        }
        application.process.wait(PATIENCE)?;
        Ok(outcomes)
    }

    fn start(
        &self,
        install: &Install,
        port: u16,
        dir: &Path,
        host: Option<&Host>,
    ) -> Result<Application, SparkError> {
        let ip = host.map_or("127.0.0.1", Host::ip);
        let asked = json!({
            "steps": self.steps,
            "records": self.records,
            "maps": self.maps,
            "reduces": self.reduces,
            "conf": self.whole_conf(ip, port, dir),
        });
        let mut command = Command::new(install.python());
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/job.py"))
            .arg(asked.to_string())
            .env("SPARK_HOME", install.home())
            .env("SPARK_LOCAL_IP", ip)
            .env("SPARK_LOCAL_HOSTNAME", ip)
            .env("SPARK_LOCAL_DIRS", dir)
            .env("SPARK_WORKER_DIR", dir.join("work"))
            .env("PYSPARK_PYTHON", install.python())
            .env_remove("PYTHONPATH")
            .current_dir(dir);
        if self.short {
            command.env("JAVA_TOOL_OPTIONS", START_FAST);
        }
        if let Some(host) = host {
            host.enter(&mut command);
        }
        die_with_parent(&mut command);
        let mut process = Process::start("the PySpark job", command, dir.join("job.log"))?;
        let (Some(stdin), Some(stdout)) = (process.stdin(), process.stdout()) else {
            return Err(SparkError::Ended {
                what: "the PySpark job".to_owned(),
                log: process.log(),
            });
        };
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Application {
            process,
            lines,
            stdin,
        })
    }

    fn whole_conf(&self, ip: &str, port: u16, dir: &Path) -> BTreeMap<String, String> {
        let dir = dir.display().to_string();
        let port = port.to_string();
        let fixed = [
            ("spark.master", "local-cluster[2,1,1024]"),
            ("spark.app.name", "interop"),
            ("spark.driver.host", ip),
            ("spark.driver.bindAddress", ip),
            ("spark.local.dir", &dir),
            ("spark.ui.enabled", "true"),
            ("spark.ui.port", "0"),
            ("spark.ui.showConsoleProgress", "false"),
            ("spark.shuffle.service.enabled", "true"),
            ("spark.shuffle.service.port", &port),
            ("spark.shuffle.readHostLocalDisk", "false"),
            ("spark.shuffle.io.retryWait", "1s"),
            ("spark.shuffle.io.maxRetries", "20"),
            ("spark.dynamicAllocation.enabled", "true"),
            ("spark.dynamicAllocation.initialExecutors", "2"),
            ("spark.dynamicAllocation.minExecutors", "0"),
            ("spark.dynamicAllocation.maxExecutors", "2"),
            ("spark.dynamicAllocation.executorIdleTimeout", "1s"),
            ("spark.dynamicAllocation.shuffleTracking.enabled", "false"),
        ];
        let mut conf: BTreeMap<_, _> = fixed
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        conf.extend(self.conf.clone());
        conf
    }
}

impl Application {
    fn line(&mut self) -> Result<String, SparkError> {
        self.lines.recv_timeout(PATIENCE).map_err(|_| {
            let what = "the PySpark job".to_owned();
            let log = self.process.log();
            if self.process.has_ended() {
                SparkError::Ended { what, log }
            } else {
                SparkError::Silent {
                    what,
                    waited: PATIENCE,
                    log,
                }
            }
        })
    }
}
