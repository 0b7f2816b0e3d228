//! Hosts of their own on one machine: network namespaces, joined by a cable.
//!
//! Each is held by a process that does nothing else, so that both and their cable are gone when this value is, or
//! when the test is killed.

use crate::error::SparkError;
use crate::process::{Process, die_with_parent};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// How long making a namespace may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Says that the namespace is there, and then waits for the end of its stdin.
const HOLD: &str = "ip link set lo up && echo ready && exec cat >&2";

/// A host.
#[derive(Debug)]
pub struct Host {
    ip: &'static str,
    holder: Process,
    namespace: File,
    _dir: TempDir,
}

impl Host {
    /// Whether this machine lets us make any, and if not, why.
    ///
    /// # Errors
    /// The reason.
    pub fn possible() -> Result<(), String> {
        let made = Command::new("unshare")
            .args(["-n", "ip", "link", "show", "lo"])
            .output();
        match made {
            Ok(made) if made.status.success() => Ok(()),
            Ok(made) => Err(String::from_utf8_lossy(&made.stderr).trim().to_owned()),
            Err(error) => Err(format!("unshare (util-linux): {error}")),
        }
    }

    /// Two that reach each other and nobody else.
    ///
    /// # Errors
    /// The system refuses; see [`possible`](Self::possible).
    pub fn two() -> Result<[Arc<Self>; 2], SparkError> {
        let [one, other] = [Self::alone("10.77.0.1")?, Self::alone("10.77.0.2")?];
        let pids = [&one, &other].map(|host| host.holder.id().to_string());
        let [first, second] = &pids;
        ip(&[
            "link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable",
            "netns", second,
        ])?;
        for host in [&one, &other] {
            host.run(|| {
                ip(&["addr", "add", &format!("{}/24", host.ip), "dev", "cable"])?;
                ip(&["link", "set", "cable", "up"])
            })??;
        }
        Ok([Arc::new(one), Arc::new(other)])
    }

    fn alone(address: &'static str) -> Result<Self, SparkError> {
        let dir = tempfile::tempdir().map_err(SparkError::system("a temporary directory"))?;
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", HOLD]);
        die_with_parent(&mut command);
        let mut holder = Process::start("a namespace", command, dir.path().join("log"))?;
        let ready = holder.stdout().map(|mut stdout| {
            let mut line = [0; 6];
            io::Read::read_exact(&mut stdout, &mut line)
        });
        if !matches!(ready, Some(Ok(()))) {
            let _ = holder.wait(PATIENCE);
            return Err(SparkError::Ended {
                what: "a namespace".to_owned(),
                log: holder.log(),
            });
        }
        let path = PathBuf::from(format!("/proc/{}/ns/net", holder.id()));
        let namespace = File::open(path).map_err(SparkError::system("opening a namespace"))?;
        Ok(Self {
            ip: address,
            holder,
            namespace,
            _dir: dir,
        })
    }

    /// Its address.
    #[must_use]
    pub fn ip(&self) -> &'static str {
        self.ip
    }

    /// Has a process start on this host. The host must outlive the call that starts it.
    pub fn enter(&self, command: &mut Command) {
        let namespace = self.namespace.as_raw_fd();
        // SAFETY: between fork and exec the closure makes one system call without pointers.
        unsafe { command.pre_exec(move || go(namespace)) };
    }

    /// Runs something on a thread of this host.
    ///
    /// # Errors
    /// The thread cannot enter it.
    pub fn run<T: Send>(&self, run: impl FnOnce() -> T + Send) -> Result<T, SparkError> {
        let entered = thread::scope(|scope| {
            let inside = scope.spawn(|| go(self.namespace.as_raw_fd()).map(|()| run()));
            inside
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
        });
        entered.map_err(SparkError::system("a thread on another host"))
    }
}

/// Moves the calling thread into a network namespace.
fn go(namespace: RawFd) -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    match unsafe { libc::setns(namespace, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn ip(words: &[&str]) -> Result<(), SparkError> {
    let done = Command::new("ip").args(words).output();
    let done = done.map_err(SparkError::system("ip (iproute2)"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(SparkError::Garbled {
        what: format!("ip {}", words.join(" ")),
        line: String::from_utf8_lossy(&done.stderr).into_owned(),
    })
}
