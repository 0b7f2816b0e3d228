//! A process on Spark's own network library, driven by commands.
//!
//! Calls may come from several threads at once; the process runs each on a thread of its own, and a
//! reader here gives every answer to whom it belongs.

use crate::call::Call;
use crate::error::SparkError;
use crate::install::Install;
use crate::process::Process;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(90);

type Waiting = Arc<Mutex<HashMap<u64, Sender<Value>>>>;

/// A Java process that answers commands.
#[derive(Debug)]
pub struct Peer {
    process: Mutex<Process>,
    stdin: Mutex<ChildStdin>,
    waiting: Waiting,
    next: AtomicU64,
    name: String,
    _dir: TempDir,
}

impl Peer {
    /// Starts one on `install`'s version, with further options for Java such as `-Xmx256m`.
    ///
    /// # Errors
    /// There is no Java, or it ends at once.
    pub fn start(install: &Install, options: &[&str]) -> Result<Self, SparkError> {
        Self::start_prepared(install, options, |_| {})
    }

    /// Starts one whose command `prepare` has changed, to pin it for example.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub fn start_prepared(
        install: &Install,
        options: &[&str],
        prepare: impl FnOnce(&mut std::process::Command),
    ) -> Result<Self, SparkError> {
        let name = format!("Spark {} peer", install.version().name());
        let dir = tempfile::tempdir().map_err(SparkError::system("a temporary directory"))?;
        let mut command = install.java("ringrail.Main", options);
        prepare(&mut command);
        let mut process = Process::start(&name, command, dir.path().join("stderr"))?;
        let (stdin, stdout) = (process.stdin(), process.stdout());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(SparkError::Ended {
                what: name,
                log: process.log(),
            });
        };
        let waiting = Waiting::default();
        // Id 0 is the line that says that it is ready.
        let (ready, is_ready) = channel();
        lock(&waiting).insert(0, ready);
        thread::spawn({
            let waiting = Arc::clone(&waiting);
            move || read_answers(stdout, &waiting)
        });
        let peer = Self {
            process: Mutex::new(process),
            stdin: Mutex::new(stdin),
            waiting,
            next: AtomicU64::new(1),
            name,
            _dir: dir,
        };
        peer.answer(&is_ready, "start").map(|_| peer)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        lock(&self.process).id()
    }

    /// Runs a command and returns its answer.
    ///
    /// # Errors
    /// [`SparkError::Refused`] if the command failed; others if the process did.
    pub fn call(&self, call: &Call) -> Result<Value, SparkError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = channel();
        lock(&self.waiting).insert(id, sender);
        let line = format!("{id} {}\n", call.line());
        let written = lock(&self.stdin).write_all(line.as_bytes());
        written.map_err(SparkError::system(format!("telling {}", self.name)))?;
        let answer = self.answer(&receiver, call.name())?;
        if answer["ok"] == true {
            return Ok(answer);
        }
        Err(SparkError::Refused {
            command: call.line().to_owned(),
            text: answer["error"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// Runs a command that is to fail, and returns what Spark says about it.
    ///
    /// # Errors
    /// [`SparkError::Garbled`] if it does not fail.
    pub fn refusal(&self, call: &Call) -> Result<String, SparkError> {
        match self.call(call) {
            Ok(answer) => Err(SparkError::Garbled {
                what: format!("{}, which was to fail,", call.line()),
                line: answer.to_string(),
            }),
            Err(SparkError::Refused { text, .. }) => Ok(text),
            Err(other) => Err(other),
        }
    }

    fn answer(&self, from: &Receiver<Value>, command: &str) -> Result<Value, SparkError> {
        from.recv_timeout(PATIENCE).map_err(|error| {
            let what = format!("{command} of {}", self.name);
            let log = lock(&self.process).log();
            match error {
                RecvTimeoutError::Timeout => SparkError::Silent {
                    what,
                    waited: PATIENCE,
                    log,
                },
                RecvTimeoutError::Disconnected => SparkError::Ended { what, log },
            }
        })
    }
}

/// Gives out answers until the process ends; then whoever still waits learns that.
fn read_answers(stdout: ChildStdout, waiting: &Waiting) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(answer) = serde_json::from_str::<Value>(&line) else {
            eprintln!("a Java peer said {line:?}, which is no answer");
            continue;
        };
        let id = answer["id"].as_u64().unwrap_or(0);
        if let Some(sender) = lock(waiting).remove(&id) {
            // The asking thread may have given up.
            let _ = sender.send(answer);
        }
    }
    lock(waiting).clear();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
