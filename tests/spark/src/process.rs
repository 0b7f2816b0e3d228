//! A child process that cannot outlive its owner, with its log.

use crate::error::SparkError;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a process is looked at while it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of its log that an error shows.
const LOG_LINES: usize = 40;

/// A child process in a process group of its own; the whole group is killed when this value goes.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with stdin and stdout as pipes and stderr into the file `log`.
    ///
    /// # Errors
    /// The system's.
    pub fn start(name: &str, mut command: Command, log: PathBuf) -> Result<Self, SparkError> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(SparkError::system(format!("opening {}", log.display())))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .process_group(0);
        let child = command
            .spawn()
            .map_err(SparkError::system(format!("starting {name}")))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its stdin, once.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its stdout, once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`SparkError::Silent`] if it runs on for longer than `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus, SparkError> {
        let started = Instant::now();
        while started.elapsed() < patience {
            let what = format!("waiting for {}", self.name);
            let ended = self.child.try_wait().map_err(SparkError::system(what))?;
            if let Some(status) = ended {
                return Ok(status);
            }
            thread::sleep(LOOK_EVERY);
        }
        Err(SparkError::Silent {
            what: self.name.clone(),
            waited: patience,
            log: self.log(),
        })
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Kills it and its group with SIGKILL, as a machine that loses power would.
    pub fn kill(&mut self) {
        if !self.has_ended() {
            // SAFETY: the call takes no pointers. The child has not been waited for, so its id, and
            // with it its group's, still names it.
            unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
            let _ = self.child.wait();
        }
    }

    /// Asks it to end with SIGTERM.
    pub fn terminate(&mut self) {
        if !self.has_ended() {
            // SAFETY: as above.
            unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Has the process killed when the thread that starts it ends: a test that is killed runs no
/// destructor. For processes that only that thread uses.
pub(crate) fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec the closure makes one system call without pointers.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            },
        )
    }
}

/// Ports that no connection gets by itself: Linux gives out 32768 and those above.
const OWN_PORTS: Range<u16> = 16_384..32_768;

/// A port of 127.0.0.1 that was free a moment ago: Spark's service cannot be asked for any free one. It is none that
/// a connection is given, so a service that is killed finds it free when it starts again, whatever else goes on.
///
/// # Errors
/// None is free.
pub fn free_port() -> Result<u16, SparkError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(OWN_PORTS.end - OWN_PORTS.start);
    // Processes begin far from each other.
    let first = std::process::id().wrapping_mul(0x9e37_79b9) >> 16;
    for _ in 0..count {
        let at = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        let port = OWN_PORTS.start + at as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    let none = io::Error::from(io::ErrorKind::AddrInUse);
    Err(SparkError::system("a free port")(none))
}
