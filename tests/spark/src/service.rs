//! A shuffle service as a process: Spark's own or ringrail's.

use crate::call::Call;
use crate::counters::Counters;
use crate::error::SparkError;
use crate::host::Host;
use crate::install::Install;
use crate::peer::Peer;
use crate::process::{Process, die_with_parent, free_port};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a service may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// The implementation of the service.
#[derive(Clone, Debug)]
pub enum ServiceKind {
    /// Spark's ExternalShuffleService, in a Java process; with `merge`, one that merges pushed
    /// blocks.
    Spark {
        /// The version.
        install: Install,
        /// Whether it is to merge.
        merge: bool,
    },
    /// Spark's ExternalShuffleService as its own scripts start it: without counters, but with no more
    /// in its process than Spark puts there.
    SparkDaemon(Install),
    /// `ringrail shuffle-service`, run by this executable.
    Ringrail(PathBuf),
}

/// A running shuffle service on a port of 127.0.0.1.
///
/// Its configuration, port and directory stay the same when it is killed and started again, as they
/// would under a supervisor.
#[derive(Debug)]
pub struct ServiceProcess {
    kind: ServiceKind,
    conf: BTreeMap<String, String>,
    dir: PathBuf,
    port: u16,
    metrics_port: u16,
    /// The host it runs on; `None` for this one.
    host: Option<Arc<Host>>,
    running: Option<Running>,
}

#[derive(Debug)]
enum Running {
    Spark(Peer),
    Own(Process),
}

impl ServiceProcess {
    /// Starts a service whose local directory is `dir`, with further `spark.*` configuration, and
    /// waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(
        kind: ServiceKind,
        conf: &BTreeMap<String, String>,
        dir: &Path,
    ) -> Result<Self, SparkError> {
        Self::start_at(kind, conf, dir, (None, free_port()?))
    }

    /// Starts one on another host, at a port that is free there.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_on(
        host: &Arc<Host>,
        port: u16,
        kind: ServiceKind,
        conf: &BTreeMap<String, String>,
        dir: &Path,
    ) -> Result<Self, SparkError> {
        Self::start_at(kind, conf, dir, (Some(Arc::clone(host)), port))
    }

    fn start_at(
        kind: ServiceKind,
        conf: &BTreeMap<String, String>,
        dir: &Path,
        (host, port): (Option<Arc<Host>>, u16),
    ) -> Result<Self, SparkError> {
        let mut conf = conf.clone();
        conf.insert("spark.local.dir".into(), dir.display().to_string());
        conf.insert("spark.shuffle.service.enabled".into(), "true".into());
        conf.insert("spark.shuffle.service.port".into(), port.to_string());
        let mut service = Self {
            kind,
            conf,
            dir: dir.to_path_buf(),
            port,
            metrics_port: free_port()?,
            host,
            running: None,
        };
        service.restart()?;
        Ok(service)
    }

    /// Starts it once more, after [`kill`](Self::kill).
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<(), SparkError> {
        self.running = Some(match self.kind.clone() {
            ServiceKind::Spark { install, merge } => {
                let peer = Peer::start_prepared(&install, &[], |command| self.enter(command))?;
                let call = Call::new("service").arg("name", "s").arg("merge", merge);
                peer.call(&call.args(&self.conf))?;
                Running::Spark(peer)
            }
            ServiceKind::SparkDaemon(install) => Running::Own(self.start_daemon(&install)?),
            ServiceKind::Ringrail(exe) => Running::Own(self.start_ringrail(&exe)?),
        });
        Ok(())
    }

    fn start_daemon(&self, install: &Install) -> Result<Process, SparkError> {
        let mut options = vec!["-Xmx1g".to_owned()];
        options.extend(
            self.conf
                .iter()
                .map(|(key, value)| format!("-D{key}={value}")),
        );
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let mut command = install.java("org.apache.spark.deploy.ExternalShuffleService", &options);
        die_with_parent(&mut command);
        let name = "Spark's shuffle service";
        let process = Process::start(name, command, self.dir.join("service.log"))?;
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if started.elapsed() > PATIENCE {
                return Err(SparkError::Silent {
                    what: name.to_owned(),
                    waited: PATIENCE,
                    log: process.log(),
                });
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(process)
    }

    fn start_ringrail(&self, exe: &Path) -> Result<Process, SparkError> {
        let properties = self.dir.join("spark-defaults.conf");
        let mut text = String::new();
        for (key, value) in &self.conf {
            text.push_str(&format!("{key} {value}\n"));
        }
        fs::write(&properties, text).map_err(SparkError::system("writing properties"))?;
        let mut command = Command::new(exe);
        command
            .arg("shuffle-service")
            .args(["--host", self.ip(), "--port", &self.port.to_string()])
            .args([
                "--metrics-addr",
                &format!("127.0.0.1:{}", self.metrics_port),
            ])
            .arg("--properties-file")
            .arg(&properties);
        self.enter(&mut command);
        die_with_parent(&mut command);
        let name = "ringrail shuffle-service";
        let mut process = Process::start(name, command, self.dir.join("service.log"))?;
        let Some(stdout) = process.stdout() else {
            return Err(SparkError::Ended {
                what: name.to_owned(),
                log: process.log(),
            });
        };
        // The first line says where it listens; the rest is read so that it never waits for us.
        let (sender, listening) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        match listening.recv_timeout(PATIENCE) {
            Ok(_) => Ok(process),
            Err(RecvTimeoutError::Timeout) => Err(SparkError::Silent {
                what: name.to_owned(),
                waited: PATIENCE,
                log: process.log(),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(SparkError::Ended {
                what: name.to_owned(),
                log: process.log(),
            }),
        }
    }

    /// Kills it with SIGKILL. It keeps its port and its directory.
    pub fn kill(&mut self) {
        self.running = None;
    }

    fn ip(&self) -> &'static str {
        self.host.as_ref().map_or("127.0.0.1", |host| host.ip())
    }

    fn enter(&self, command: &mut Command) {
        if let Some(host) = &self.host {
            host.enter(command);
        }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        Some(match self.running.as_ref()? {
            Running::Spark(peer) => peer.id(),
            Running::Own(process) => process.id(),
        })
    }

    /// The end of ringrail's log; nothing for Spark's, which an error shows.
    #[must_use]
    pub fn log(&self) -> String {
        match &self.running {
            Some(Running::Own(process)) => process.log(),
            _ => String::new(),
        }
    }

    /// Its counters now.
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub fn counters(&self) -> Result<Counters, SparkError> {
        match &self.running {
            Some(Running::Spark(peer)) => {
                let answer = peer.call(&Call::new("service_metrics").arg("name", "s"))?;
                Ok(Counters::from_answer(&answer))
            }
            _ => {
                let get = || http_get(SocketAddr::from(([127, 0, 0, 1], self.metrics_port)));
                let page = match &self.host {
                    Some(host) => host.run(get)?,
                    None => get(),
                };
                let page = page.map_err(SparkError::system("reading the service's metrics"))?;
                Ok(Counters::from_prometheus(&page))
            }
        }
    }

    /// Number of chunks and bytes of blocks that it has served since its start. Spark's block
    /// transfer *message* rate counts chunks; its block transfer rate counts every block of a
    /// batch.
    ///
    /// # Errors
    /// As of [`counters`](Self::counters).
    pub fn served(&self) -> Result<(f64, f64), SparkError> {
        let counters = self.counters()?;
        let chunks = counters.first(&[
            "blockTransferMessageRate",
            "metrics_shuffleService_blockTransferMessageRate_Count",
        ]);
        let bytes = counters.first(&[
            "blockTransferRateBytes",
            "metrics_shuffleService_blockTransferRateBytes_Count",
        ]);
        Ok((chunks, bytes))
    }
}

/// The page `/metrics` of a small HTTP server.
fn http_get(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer
        .split_once("\r\n\r\n")
        .map_or_else(String::new, |(_, body)| body.to_owned()))
}
