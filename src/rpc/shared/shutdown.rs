//! The end of an env, in Spark's order.
//!
//! Marked as stopped → outboxes stopped → every endpoint handles what it has, then `on_stop` →
//! connections closed, outstanding asks failed → the server, the connections' threads, the timers →
//! whoever awaits the end is told. A thread of its own sees to it; what does not come to its end within
//! `ringrail.transport.drainTimeout` is cut off. A thread that a handler blocks even then is left behind: whoever
//! waits for it is failed, and it stops its endpoints by itself when the handler returns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::rpc::sync::{Condvar, Mutex, MutexGuard, Unpoisoned, thread};

use super::EnvShared;

/// How long threads that were cut off are waited for.
const CUT_OFF_WAIT: Duration = Duration::from_secs(1);

/// How far the end has come.
#[derive(Default)]
pub(crate) struct Shutdown {
    over: Mutex<bool>,
    change: Condvar,
}

impl Shutdown {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.over.lock().unpoisoned()
    }

    /// Something that is waited for may have happened.
    pub(crate) fn changed(&self) {
        drop(self.lock());
        self.change.notify_all();
    }

    fn wait_until(&self, within: Duration, done: impl Fn() -> bool) -> bool {
        let end = Instant::now() + within;
        let mut over = self.lock();
        loop {
            if done() {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.change.wait_timeout(over, left);
            over = waited.unpoisoned().0;
        }
    }

    /// Waits for the end.
    pub(crate) fn wait(&self) {
        let mut over = self.lock();
        while !*over {
            let waited = self.change.wait(over);
            over = waited.unpoisoned();
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.lock()
    }

    fn end(&self) {
        let before = std::mem::replace(&mut *self.lock(), true);
        assert!(!before, "an env ends once");
        self.change.notify_all();
    }
}

impl EnvShared {
    /// Begins the end, once.
    pub(crate) fn shut_down(self: &Arc<Self>) {
        if !self.mark_stopped() {
            return;
        }
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("ringrail-rpc-shutdown".into());
        if thread.spawn(move || this.end()).is_err() {
            // Better late on this thread than never.
            self.end();
        }
    }

    fn end(self: &Arc<Self>) {
        let hosts = self.hosts();
        self.registry.remove_all();
        for host in &hosts {
            host.run(|dispatcher| dispatcher.shut_down(false));
        }
        let termination = &self.termination;
        let quiet = || hosts.iter().all(|host| host.is_quiet());
        if !termination.wait_until(self.settings.drain_timeout, quiet) {
            tracing::warn!(
                target: "ringrail::rpc",
                env = self.name(),
                "endpoints that did not end within ringrail.transport.drainTimeout are cut off"
            );
        }
        for host in &hosts {
            host.run(|dispatcher| dispatcher.abandon());
        }
        if !termination.wait_until(CUT_OFF_WAIT, || self.hosts().is_empty()) {
            for host in self.hosts() {
                tracing::warn!(
                    target: "ringrail::rpc",
                    env = self.name(),
                    thread = host.name(),
                    "the env ends without this thread, which a handler blocks: its endpoints' on_stop is called when \
                     that returns, if it ever does"
                );
                host.cut_off();
            }
        }
        self.end_network();
        self.connector.stop();
        self.timers.stop();
        self.termination.end();
    }
}
