//! Envs to test on, and what tests wait with.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ringrail::conf::Conf;
use ringrail::rpc::{RpcEnv, RpcEnvBuilder};

/// The implementation that a property is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Local,
    Ring,
}

/// How long something may take that should take no time at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl Backend {
    /// A builder for an env of two shards.
    pub(crate) fn builder(self, name: &str) -> RpcEnvBuilder {
        let conf = Conf::new()
            .with("ringrail.rpc.askTimeout", "20s")
            .with("ringrail.transport.poolBudget", "64m")
            .with("ringrail.transport.poolReserve", "16m");
        self.builder_with(name, conf)
    }

    /// A builder for an env with other settings.
    pub(crate) fn builder_with(self, name: &str, conf: Conf) -> RpcEnvBuilder {
        let builder = RpcEnv::builder(name).conf(conf).shards(2);
        match self {
            Backend::Local => builder.backend("local"),
            Backend::Ring => builder.backend("ring"),
        }
    }

    pub(crate) fn env(self, name: &str) -> RpcEnv {
        self.builder(name).build().unwrap()
    }

    pub(crate) fn client(self, name: &str) -> RpcEnv {
        self.builder(name).client_mode().build().unwrap()
    }

    /// Two envs, the second asking the first as a peer.
    pub(crate) fn pair(self) -> (RpcEnv, RpcEnv) {
        (self.env("server"), self.env("asker"))
    }
}

/// Lines that several threads write, and that a test waits for.
#[derive(Clone, Default)]
pub(crate) struct Journal {
    inner: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Journal {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.inner.0.lock().unwrap().push(line.into());
        self.inner.1.notify_all();
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.inner.0.lock().unwrap().clone()
    }

    /// Those lines that are not about connections.
    pub(crate) fn own_lines(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| !line.contains("connected: ") && !line.contains("network error: "));
        lines
    }

    /// Waits until the lines are as wanted.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.inner.0.lock().unwrap();
        while !wanted(&lines) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never {what}: {lines:?}");
            lines = self.inner.1.wait_timeout(lines, left).unwrap().0;
        }
        lines.clone()
    }

    /// Waits until there is this line.
    pub(crate) fn wait_line(&self, line: &str) -> Vec<String> {
        self.wait_for(line, |lines| lines.iter().any(|have| have == line))
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A gate that blocks until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    inner: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.inner.0.lock().unwrap() = true;
        self.inner.1.notify_all();
    }

    /// Waits until it is open; false where it never was.
    pub(crate) fn pass(&self) -> bool {
        let mut open = self.inner.0.lock().unwrap();
        let end = Instant::now() + PATIENCE;
        while !*open {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            open = self.inner.1.wait_timeout(open, left).unwrap().0;
        }
        true
    }
}

/// Drives a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}
