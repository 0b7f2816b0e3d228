//! A standalone cluster of Spark's: a master, and a worker on each of two hosts.

use crate::error::SparkError;
use crate::host::Host;
use crate::install::Install;
use crate::process::{Process, die_with_parent};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long the master may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);
/// The master's port, on a host of its own.
const PORT: u16 = 7077;

/// The running cluster.
#[derive(Debug)]
pub struct Cluster {
    url: String,
    _processes: Vec<Process>,
}

impl Cluster {
    /// Starts a master on the first of `hosts` and a worker with one core on each; executors write below the
    /// directory that stands beside their host.
    ///
    /// # Errors
    /// The master does not start.
    pub fn start(install: &Install, hosts: [(&Host, &Path); 2]) -> Result<Self, SparkError> {
        let (first, dir) = hosts[0];
        let url = format!("spark://{}:{PORT}", first.ip());
        let port = PORT.to_string();
        let master = ["--port", &port, "--webui-port", "0"];
        let mut processes = vec![daemon(install, "master.Master", (first, dir), &master)?];
        let started = Instant::now();
        while !first.run(|| TcpStream::connect((first.ip(), PORT)).is_ok())? {
            if started.elapsed() > PATIENCE {
                return Err(SparkError::Silent {
                    what: "Spark's master".to_owned(),
                    waited: PATIENCE,
                    log: processes[0].log(),
                });
            }
            thread::sleep(Duration::from_millis(100));
        }
        for host in hosts {
            let work = host.1.join("work").display().to_string();
            let worker = [
                "--cores",
                "1",
                "--memory",
                "2g",
                "--webui-port",
                "0",
                "--work-dir",
                &work,
                &url,
            ];
            processes.push(daemon(install, "worker.Worker", host, &worker)?);
        }
        Ok(Self {
            url,
            _processes: processes,
        })
    }

    /// The master's URL, as applications use it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn daemon(
    install: &Install,
    class: &str,
    (host, dir): (&Host, &Path),
    words: &[&str],
) -> Result<Process, SparkError> {
    let mut command = install.java(&format!("org.apache.spark.deploy.{class}"), &["-Xmx256m"]);
    command
        .args(["--host", host.ip()])
        .args(words)
        .env("SPARK_HOME", install.home())
        // A pip installation does not name its Scala version; Spark accepts any value.
        .env("SPARK_SCALA_VERSION", "2.13")
        .env("SPARK_LOCAL_IP", host.ip())
        .env("SPARK_LOCAL_DIRS", dir)
        .env_remove("PYTHONPATH")
        .current_dir(dir);
    host.enter(&mut command);
    die_with_parent(&mut command);
    let log = dir.join(format!("{class}.log"));
    Process::start(&format!("Spark's {class}"), command, log)
}
