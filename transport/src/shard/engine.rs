//! The shards of a program: started, addressed and stopped together.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::conf::{IoDriver, ParkMode, Pin, TransportConf};
use crate::error::EngineError;
use crate::metrics::MetricsSnapshot;
use crate::shard::conn::Protocol;
use crate::shard::conn::user::{HandlerFactory, ServerBootstrap};
use crate::sys::affinity::CpuBudget;
use crate::sys::driver::Listening;
use crate::sys::socket::{Addr, ListenSpec, SocketError};

use super::backend::{self, Backend};
use super::blocking::refuse_on_shard;
use super::command::{Command, ListenOrder, ListenerId};
use super::executor::RemoteJoin;
use super::handle::ShardHandle;
use super::start::ShardStart;

/// Settings of an [`Engine`].
#[derive(Clone, Debug)]
pub struct EngineBuilder {
    conf: TransportConf,
    shards: usize,
    raise_open_files: bool,
}

impl EngineBuilder {
    /// Number of shards; 0 (the default) means one per processor that this process may use.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// Pins each shard to a processor of its own: shard `i` to the `first + i`-th that this process
    /// may use. Overrides [`TransportConf::pin`] and [`TransportConf::first_cpu`].
    #[must_use]
    pub fn pin_from(mut self, first: usize) -> Self {
        self.conf.first_cpu = first;
        self.conf.pin = Pin::Always;
        self
    }

    /// Leaves the placement of shards to the kernel; such shards do not spin. Overrides
    /// [`TransportConf::pin`].
    #[must_use]
    pub fn unpinned(mut self) -> Self {
        self.conf.pin = Pin::Never;
        self
    }

    /// Whether starting raises the process's soft limit of open files to its hard one, as
    /// [`raise_open_files`](crate::sys::raise_open_files) does: each connection takes one. On by default;
    /// turn it off in a program that passes descriptors to `select(2)`.
    #[must_use]
    pub fn raise_open_files(mut self, raise: bool) -> Self {
        self.raise_open_files = raise;
        self
    }

    /// Sets how idle shards wait. Overrides [`TransportConf::park`].
    #[must_use]
    pub fn park(mut self, park: ParkMode) -> Self {
        self.conf.park = park;
        self
    }

    /// Sets how shards reach the kernel. Overrides [`TransportConf::driver`].
    #[must_use]
    pub fn driver(mut self, driver: IoDriver) -> Self {
        self.conf.driver = driver;
        self
    }

    /// Starts the shards.
    ///
    /// # Errors
    /// If a setting is inconsistent, or the kernel refuses a ring or a thread; names the setting or
    /// resource, and the remedy.
    pub fn start(self) -> Result<Engine, EngineError> {
        self.conf.check()?;
        if self.raise_open_files
            && let Err(error) = crate::sys::raise_open_files()
        {
            tracing::debug!(target: "ringrail::shard", %error, "the limit of open files stays");
        }
        let budget = CpuBudget::of_process();
        let count = if self.shards == 0 {
            budget.parallelism()
        } else {
            self.shards
        };
        let conf = Arc::new(self.conf.clone());
        let inner = Inner {
            backend: backend::choose(conf.driver),
            shards: (0..count)
                .map(|index| ShardHandle::new(index, conf.inbox))
                .collect(),
            threads: Mutex::new(Vec::with_capacity(count)),
            conf,
            listeners: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        };
        // Built first, so that a shard that does not start takes the others down by drop.
        let engine = Engine {
            inner: Arc::new(inner),
        };
        for shard in 0..count {
            let thread = self.start_shard(&engine.inner, shard, count)?;
            if let Ok(mut threads) = engine.inner.threads.lock() {
                threads.push(thread);
            }
        }
        Ok(engine)
    }

    fn is_pinned(&self) -> bool {
        match self.conf.pin {
            Pin::Auto => self.conf.spin_us > 0,
            Pin::Always => true,
            Pin::Never => false,
        }
    }

    fn start_shard(
        &self,
        inner: &Inner,
        shard: usize,
        count: usize,
    ) -> Result<JoinHandle<()>, EngineError> {
        let budget = CpuBudget::of_process();
        let (cpu, worker_cpus) = match self.is_pinned() {
            true => (
                budget.cpu_for_shard(self.conf.first_cpu + shard),
                budget.beside_shards(self.conf.first_cpu, count),
            ),
            false => (None, Vec::new()),
        };
        let start = ShardStart {
            handle: inner.shards[shard].clone(),
            conf: Arc::clone(&inner.conf),
            backend: inner.backend,
            cpu,
            worker_cpus,
            oversubscribed: budget.is_oversubscribed(count),
        };
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let failed = |source| EngineError::Thread { shard, source };
        let thread = std::thread::Builder::new()
            .name(format!("ringrail-{shard}"))
            .spawn(move || start.run(&ready))
            .map_err(failed)?;
        match started.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(failed(io::Error::other(
                "the thread ended before it was ready",
            ))),
        }
    }
}

struct Inner {
    backend: Backend,
    shards: Vec<ShardHandle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    conf: Arc<TransportConf>,
    listeners: AtomicU64,
    turn: AtomicUsize,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.post_surely(Command::Stop);
        }
        let Ok(threads) = self.threads.get_mut() else {
            return;
        };
        let own = std::thread::current().id();
        for thread in threads
            .drain(..)
            .filter(|thread| thread.thread().id() != own)
        {
            // A shard that panicked has logged it; this thread has no caller to report it to.
            let _ = thread.join();
        }
    }
}

/// The shards of a program. Cheap to clone; the last clone's drop stops and joins them.
///
/// Contexts, client factories and servers hold a clone; a
/// [`TransportClient`](crate::TransportClient) does not.
///
/// # Shutdown
///
/// The drop of the last clone stops the shards and waits for their threads. Each connection is closed with
/// [`CloseReason::Shutdown`](crate::CloseReason::Shutdown). Pending requests fail with
/// [`RequestError::Closed`](crate::RequestError::Closed): callbacks are called, on their shard, before the
/// drop returns; futures and threads get their outcome. Requests to a shard that has stopped fail with
/// [`RequestError::ShardStopped`](crate::RequestError::ShardStopped). To let what is under way be
/// answered first, call [`drain`](Self::drain).
///
/// ```no_run
/// use ringrail_transport::{Engine, TransportConf};
///
/// let engine = Engine::builder(TransportConf::default()).shards(2).start()?;
/// println!("{}", engine.metrics());
/// # Ok::<(), ringrail_transport::EngineError>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl Engine {
    /// A builder with these settings, to be changed and then [started](EngineBuilder::start).
    pub fn builder(conf: TransportConf) -> EngineBuilder {
        EngineBuilder {
            conf,
            shards: 0,
            raise_open_files: true,
        }
    }

    /// An engine of shards that the caller runs.
    #[cfg(test)]
    pub(crate) fn of_shards(shards: Vec<ShardHandle>, conf: TransportConf) -> Self {
        let inner = Inner {
            backend: Backend::Ring,
            shards,
            threads: Mutex::default(),
            conf: Arc::new(conf),
            listeners: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The settings.
    pub fn conf(&self) -> &TransportConf {
        &self.inner.conf
    }

    /// The shards.
    pub fn shards(&self) -> &[ShardHandle] {
        &self.inner.shards
    }

    /// The way in which idle shards wait.
    pub fn park_mode(&self) -> ParkMode {
        self.inner.conf.park
    }

    /// How its shards reach the kernel: never [`IoDriver::Auto`], but what that has chosen.
    pub fn driver(&self) -> IoDriver {
        match self.inner.backend {
            Backend::Ring => IoDriver::IoUring,
            Backend::Readiness => IoDriver::Epoll,
        }
    }

    /// The counters of all shards, summed.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.inner
            .shards
            .iter()
            .map(|shard| shard.metrics().snapshot())
            .sum()
    }

    /// The next shard, round robin.
    pub(crate) fn next_shard(&self) -> &ShardHandle {
        let turn = self.inner.turn.fetch_add(1, Ordering::Relaxed);
        &self.inner.shards[turn % self.inner.shards.len()]
    }

    /// Runs `run` on a shard and returns its result.
    ///
    /// # Errors
    /// If the shard has stopped.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn run_on<T: Send + 'static>(
        &self,
        shard: usize,
        run: impl FnOnce(&ShardHandle) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        refuse_on_shard("run_on");
        let (done, result) = oneshot::channel();
        let command = Command::Run(Box::new(move |shard: &ShardHandle| {
            // The caller may have dropped its receiver.
            let _ = done.send(run(shard));
        }));
        self.inner.shards[shard].post_surely(command);
        result.blocking_recv().map_err(|_| stopped(shard))
    }

    /// Runs a future on a shard. `make` is called there with the shard's handle and creates the
    /// future, which may hold values that are not `Send`. See [`ShardHandle::spawn`].
    ///
    /// # Errors
    /// The returned handle resolves to the error: the future gave no output, or the shard did not
    /// take it.
    ///
    /// # Panics
    /// If there is no shard of this number.
    pub fn spawn_on<F>(
        &self,
        shard: usize,
        make: impl FnOnce(&ShardHandle) -> F + Send + 'static,
    ) -> RemoteJoin<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let (done, output) = oneshot::channel();
        self.inner.shards[shard].post_surely(Command::Run(Box::new(move |shard: &ShardHandle| {
            let future = make(shard);
            let done = Rc::new(RefCell::new(Some(done)));
            let of_future = Rc::clone(&done);
            let spawned = shard.spawn(async move {
                let output = future.await;
                if let Some(done) = of_future.take() {
                    // The caller may have dropped its receiver.
                    let _ = done.send(Ok(output));
                }
            });
            if let Err(error) = spawned
                && let Some(done) = done.take()
            {
                let _ = done.send(Err(error.into()));
            }
        })));
        RemoteJoin::new(output)
    }

    /// Listens on every shard.
    #[track_caller]
    pub(crate) fn listen(
        &self,
        addr: Addr,
        handlers: &Arc<HandlerFactory>,
        bootstraps: &Arc<[Arc<dyn ServerBootstrap>]>,
        speaks: &Protocol,
    ) -> Result<(ListenerId, Addr), SocketError> {
        refuse_on_shard("create_server");
        let spec = ListenSpec {
            socket: self.conf().socket.clone(),
            ..ListenSpec::new(addr)
        };
        let group = spec.bind_group(self.inner.shards.len())?;
        let bound = group
            .first()
            .map_or(spec.addr, |listener| listener.addr().clone());
        let id = ListenerId(self.inner.listeners.fetch_add(1, Ordering::Relaxed));
        for (shard, listener) in self.inner.shards.iter().zip(group) {
            let (done, result) = oneshot::channel();
            shard.post_surely(Command::Listen(Box::new(ListenOrder {
                id,
                on: Listening::Bound(listener),
                handlers: Arc::clone(handlers),
                bootstraps: Arc::clone(bootstraps),
                speaks: speaks.clone(),
                done,
            })));
            if let Ok(Err(error)) = result.blocking_recv() {
                self.unlisten(id);
                return Err(error);
            }
        }
        Ok((id, bound))
    }

    pub(crate) fn unlisten(&self, id: ListenerId) {
        for shard in &self.inner.shards {
            shard.post_surely(Command::Unlisten(id));
        }
    }

    /// Drains every connection: no further requests, answers to requests under way, for at most
    /// `ringrail.transport.drainTimeout`. Blocks until no connection is left.
    ///
    /// # Errors
    /// If a shard does not answer.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn drain(&self) -> Result<(), EngineError> {
        refuse_on_shard("drain");
        let waits: Vec<_> = self
            .inner
            .shards
            .iter()
            .map(|shard| {
                let (done, result) = oneshot::channel();
                shard.post_surely(Command::Drain { done });
                result
            })
            .collect();
        for (shard, wait) in waits.into_iter().enumerate() {
            wait.blocking_recv().map_err(|_| stopped(shard))?;
        }
        Ok(())
    }

    /// The time limit of a drain.
    pub fn drain_timeout(&self) -> Duration {
        self.inner.conf.drain_timeout
    }
}

fn stopped(shard: usize) -> EngineError {
    EngineError::Thread {
        shard,
        source: io::Error::other("the shard has stopped"),
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Engine({} shards, {:?})",
            self.inner.shards.len(),
            self.inner.conf.park
        )
    }
}
