//! The thread of a shard: its driver, its loop, its end.
//!
//! `engine` starts one thread per shard with a [`ShardStart`]; this file makes the driver that
//! [`backend`](super::backend) has chosen, and gives it to the loop of [`park`].

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::conf::{ParkMode, TransportConf};
use crate::error::EngineError;
use crate::sys::affinity::{CpuBudget, pin_current_thread};
use crate::sys::driver::Driver;
use crate::sys::epoll::{EpollDriver, EpollSpec};
use crate::sys::uring::{UringDriver, UringSpec};

use super::backend::Backend;
use super::handle::{ShardHandle, settle, unsettle};
use super::local::ShardLocal;
use super::park;
use super::pump::Pump;
use super::spin::{Placement, Spinner};

/// The state that a shard's thread takes over at its start.
pub(super) struct ShardStart {
    pub(super) handle: ShardHandle,
    pub(super) conf: Arc<TransportConf>,
    pub(super) backend: Backend,
    pub(super) cpu: Option<usize>,
    pub(super) worker_cpus: Vec<usize>,
    pub(super) oversubscribed: bool,
}

impl ShardStart {
    /// Runs the shard until it is asked to stop; tells `ready` once it has started, or why it has not.
    pub(super) fn run(self, ready: &std::sync::mpsc::SyncSender<Result<(), EngineError>>) {
        match self.backend {
            Backend::Ring => self.run_on(Self::ring, ready),
            Backend::Readiness => self.run_on(Self::readiness, ready),
        }
    }

    fn ring(&self) -> Result<UringDriver, EngineError> {
        Ok(UringDriver::new(&UringSpec {
            recv_buffers: self.conf.recv_buffers,
            recv_buffer_len: self.conf.recv_buffer_len,
            notify: self.conf.park == ParkMode::Hosted,
            worker_cpus: self.worker_cpus.clone(),
            ..UringSpec::default()
        })?)
    }

    fn readiness(&self) -> Result<EpollDriver, EngineError> {
        let spec = EpollSpec {
            recv_buffers: self.conf.recv_buffers,
            recv_buffer_len: self.conf.recv_buffer_len,
            ..EpollSpec::default()
        };
        EpollDriver::new(&spec).map_err(EngineError::Epoll)
    }

    fn run_on<D: Driver>(
        self,
        driver: impl FnOnce(&Self) -> Result<D, EngineError>,
        ready: &std::sync::mpsc::SyncSender<Result<(), EngineError>>,
    ) {
        let index = self.handle.index();
        let outcome = match self.set_up(driver) {
            Err(error) => {
                // The thread that starts the engine waits for this result.
                let _ = ready.send(Err(error));
                return;
            }
            Ok((mut pump, spinner)) => {
                let _ = ready.send(Ok(()));
                let outcome = catch_unwind(AssertUnwindSafe(|| match self.conf.park {
                    ParkMode::Bare => park::run_bare(&mut pump, spinner),
                    ParkMode::Hosted => self
                        .backend
                        .host(async { park::run_hosted(&mut pump, spinner).await }),
                }));
                let outcome = outcome.unwrap_or_else(|_| Err(io::Error::other("it panicked")));
                if outcome.is_err() {
                    fail_everything(&mut pump);
                }
                outcome
            }
        };
        unsettle();
        // Posting to a closed inbox fails, so later callers get an error.
        self.handle.inbox().close();
        if let Err(error) = outcome {
            tracing::error!(target: "ringrail::shard", shard = index, %error, "the shard ended");
        }
    }

    fn set_up<D: Driver>(
        &self,
        driver: impl FnOnce(&Self) -> Result<D, EngineError>,
    ) -> Result<(Pump<D>, Spinner), EngineError> {
        let shard = self.handle.index();
        let mut pinned = false;
        if let Some(cpu) = self.cpu {
            match pin_current_thread(cpu, CpuBudget::of_process()) {
                Ok(()) => pinned = true,
                Err(error) => {
                    tracing::warn!(target: "ringrail::shard", shard, %error, "shard not pinned");
                }
            }
        }
        // Without it shards only answer later when they share a processor.
        let _ = crate::sys::latency::prefer_latency();
        let hosted = self.conf.park == ParkMode::Hosted;
        let driver = driver(self)?;
        self.handle.set_waker(driver.waker());
        let metrics = Arc::clone(self.handle.metrics());
        let now = driver.now_ns();
        let local = ShardLocal::new(self.handle.clone(), Arc::clone(&self.conf), metrics, now);
        local.set_clock(crate::sys::monotonic_ns);
        settle(&local);
        let placement = Placement {
            pinned,
            oversubscribed: self.oversubscribed,
            hosted,
        };
        let spinner = Spinner::new(u64::from(self.conf.spin_us) * 1000, placement);
        if self.conf.spin_us > 0 && !spinner.is_enabled() {
            tracing::warn!(
                target: "ringrail::shard", shard, pinned, oversubscribed = self.oversubscribed,
                "ringrail.transport.spinUs has no effect: a shard spins only where it is pinned to a \
                 processor (ringrail.transport.pin) and there are no more shards than processors"
            );
        }
        Ok((Pump::new(driver, local), spinner))
    }
}

/// A shard ended without a request to stop: its waiters get an error instead of silence.
fn fail_everything<D: Driver>(pump: &mut Pump<D>) {
    // A panicking step may panic again; each step has a guard of its own.
    let closed = catch_unwind(AssertUnwindSafe(|| pump.begin_shut_down()));
    let handle = pump.local.handle.clone();
    handle.inbox().close();
    while let Some(command) = handle.inbox().pop() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(command)));
    }
    if closed.is_err() {
        tracing::error!(
            target: "ringrail::shard",
            shard = handle.index(),
            "connections of the failed shard could not all be closed"
        );
    }
}
