//! Spark's own Master, Worker and submitting client on this host, each a process of its own.

use crate::error::SparkError;
use crate::install::Install;
use crate::process::{Process, die_with_parent, free_port};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a Master may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Master, a Worker or a client of Spark's on 127.0.0.1.
#[derive(Debug)]
pub struct Daemon {
    port: u16,
    process: Process,
}

impl Daemon {
    /// Starts a Master without a REST server, and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn master(install: &Install, dir: &Path) -> Result<Self, SparkError> {
        let mut master = Self::start(install, dir, "master.Master", &[])?;
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", master.port)).is_err() {
            if started.elapsed() > PATIENCE || master.process.has_ended() {
                return Err(SparkError::Silent {
                    what: "Spark's Master".to_owned(),
                    waited: started.elapsed(),
                    log: master.process.log(),
                });
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(master)
    }

    /// Starts a Worker with 2 cores and 1 GiB that registers with the Master at `master`.
    ///
    /// # Errors
    /// It does not start.
    pub fn worker(install: &Install, dir: &Path, master: &str) -> Result<Self, SparkError> {
        let work = dir.join("work").display().to_string();
        let words = [
            "--cores",
            "2",
            "--memory",
            "1g",
            "--work-dir",
            &work,
            master,
        ];
        Self::start(install, dir, "worker.Worker", &words)
    }

    /// Starts a client that submits, ends or asks for a driver, as `words` say.
    ///
    /// # Errors
    /// It does not start.
    pub fn client(install: &Install, dir: &Path, words: &[&str]) -> Result<Self, SparkError> {
        let mut command = install.java("org.apache.spark.deploy.Client", &["-Xmx256m"]);
        command
            .args(words)
            .env("SPARK_HOME", install.home())
            .env("SPARK_LOCAL_IP", "127.0.0.1")
            .current_dir(dir);
        die_with_parent(&mut command);
        let process = Process::start("Spark's client", command, dir.join("client.log"))?;
        Ok(Self { port: 0, process })
    }

    fn start(
        install: &Install,
        dir: &Path,
        class: &str,
        words: &[&str],
    ) -> Result<Self, SparkError> {
        let port = free_port()?;
        let options = ["-Xmx256m", "-Dspark.master.rest.enabled=false"];
        let mut command = install.java(&format!("org.apache.spark.deploy.{class}"), &options);
        command
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--webui-port", "0"])
            .args(words)
            .env("SPARK_HOME", install.home())
            // A pip installation does not name its Scala version; Spark accepts any value.
            .env("SPARK_SCALA_VERSION", "2.13")
            .env("SPARK_LOCAL_IP", "127.0.0.1")
            .env("SPARK_LOCAL_DIRS", dir)
            .env_remove("PYTHONPATH")
            .current_dir(dir);
        die_with_parent(&mut command);
        let log = dir.join(format!("{class}.log"));
        let process = Process::start(&format!("Spark's {class}"), command, log)?;
        Ok(Self { port, process })
    }

    /// The port it listens at; 0 for a client.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for its end; the exit code, or -1 if it was killed or runs on.
    pub fn wait(&mut self) -> i32 {
        let status = self.process.wait(PATIENCE);
        status.ok().and_then(|status| status.code()).unwrap_or(-1)
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
