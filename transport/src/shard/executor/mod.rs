//! Futures on a shard's thread, run in the shard's turns.
//!
//! Works on every shard, `Bare` or `Hosted`. A future that waits for an answer of one of the shard's
//! own connections is woken by its number: no atomic operation, no system call, no waker to clone.
//!
//! ```text
//!  completion ─► Conn::resolve ─► wake(slot) ──► ready queue ─┐   on the shard's thread
//!  other thread: Waker::wake ─► WakeList bit ─► notify ───────┤   arm, recheck, sleep
//!                                                             ▼
//!  Pump::turn: completions, inbox, timers, tasks, run() ─► poll ─► sends, posted at the turn's end
//! ```
//!
//! Sends of a polled future leave together with those of the turn's handlers, in one send per
//! connection. A future that wakes itself runs again in the next turn, so sockets and other tasks
//! are served in between.

mod join;
mod sleep;
#[cfg(test)]
mod tests;
pub(super) mod wake_list;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use slab::Slab;

use super::handle::{ShardHandle, with_current};
use super::local::ShardLocal;
use wake_list::WakeList;

pub use join::{JoinError, JoinHandle, RemoteJoin};
pub(crate) use sleep::Sleepers;
pub use sleep::{Elapsed, Sleep, Timeout};

/// The task or waker to wake when an answer arrives.
#[derive(Debug)]
pub(crate) enum Wakeup {
    /// The task of this shard with this slot number.
    Task(u32),
    /// A waker, as of a task on another executor.
    Waker(Waker),
}

/// No task is being polled.
const NONE: u32 = u32::MAX;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

struct Body {
    future: LocalFuture,
    waker: Waker,
}

struct Task {
    /// `None` while it is being polled.
    body: Option<Body>,
    /// In the ready queue.
    queued: bool,
    /// Drop it as soon as its poll returns.
    aborted: bool,
    /// Distinguishes a task from the earlier ones in its slot.
    serial: u64,
}

/// Names a task; a stale key matches none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskKey {
    slot: u32,
    serial: u64,
}

/// The futures of one shard. See the module.
pub(crate) struct Executor {
    tasks: RefCell<Slab<Task>>,
    ready: RefCell<VecDeque<u32>>,
    /// The task that is being polled, and its waker's address.
    current: Cell<(u32, *const ())>,
    woken: Arc<WakeList>,
    serial: Cell<u64>,
    /// Tasks at most: `ringrail.transport.maxFutures`.
    limit: usize,
}

/// The waker of the tasks of one slot.
struct TaskWaker {
    slot: u32,
    shard: ShardHandle,
    woken: Arc<WakeList>,
}

impl TaskWaker {
    fn wake_task(&self) {
        let here = with_current(|local| {
            let is_own = local.handle.is_same(&self.shard);
            if is_own {
                local.wake_task(self.slot);
            }
            is_own
        });
        if !here.unwrap_or(false) {
            self.woken.set(self.slot as usize);
            self.shard.notify();
        }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_task();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_task();
    }
}

/// The reason why a future was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// This is not the shard's thread.
    #[error(
        "shard {shard} was asked to spawn a future from another thread: use Engine::spawn_on, which \
         takes a closure that makes the future there"
    )]
    OtherThread {
        /// The shard's number.
        shard: usize,
    },
    /// The shard has reached its limit of tasks.
    #[error(
        "shard {shard} runs {limit} futures already: wait until some have ended, or raise \
         ringrail.transport.maxFutures"
    )]
    TooMany {
        /// The shard's number.
        shard: usize,
        /// Limit of its futures.
        limit: usize,
    },
    /// The shard is stopping.
    #[error("shard {shard} is stopping")]
    Stopping {
        /// The shard's number.
        shard: usize,
    },
}

impl Executor {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            tasks: RefCell::default(),
            ready: RefCell::default(),
            current: Cell::new((NONE, std::ptr::null())),
            woken: Arc::new(WakeList::new(limit)),
            limit,
            serial: Cell::new(0),
        }
    }

    fn insert(&self, shard: &ShardHandle, future: LocalFuture) -> Option<TaskKey> {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() >= self.limit {
            return None;
        }
        let entry = tasks.vacant_entry();
        let slot = entry.key() as u32;
        let waker = Arc::new(TaskWaker {
            slot,
            shard: shard.clone(),
            woken: Arc::clone(&self.woken),
        });
        let serial = self.serial.get();
        self.serial.set(serial + 1);
        entry.insert(Task {
            body: Some(Body {
                future,
                waker: waker.into(),
            }),
            queued: true,
            aborted: false,
            serial,
        });
        drop(tasks);
        self.ready.borrow_mut().push_back(slot);
        Some(TaskKey { slot, serial })
    }

    /// Puts a task into the ready queue, once; true if it was not in it.
    fn wake(&self, slot: u32) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(slot as usize) else {
            // A late wake-up of a task that has ended.
            return false;
        };
        if std::mem::replace(&mut task.queued, true) {
            return false;
        }
        self.ready.borrow_mut().push_back(slot);
        true
    }

    pub(super) fn has_work(&self) -> bool {
        !self.ready.borrow().is_empty() || self.woken.has_any()
    }

    /// The wake-up of the task being polled, if `waker` is its own; otherwise the waker.
    #[inline]
    pub(crate) fn wakeup(&self, waker: &Waker) -> Wakeup {
        let (slot, data) = self.current.get();
        if slot != NONE && std::ptr::eq(waker.data(), data) {
            return Wakeup::Task(slot);
        }
        Wakeup::Waker(waker.clone())
    }

    /// Whether a stored wake-up already wakes the same task as `waker`.
    #[inline]
    pub(crate) fn is_kept(&self, kept: &Wakeup, waker: &Waker) -> bool {
        match kept {
            Wakeup::Task(slot) => self.current.get() == (*slot, waker.data()),
            Wakeup::Waker(kept) => kept.will_wake(waker),
        }
    }

    /// Takes a task out to be polled.
    fn begin(&self, slot: u32) -> Option<Body> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(slot as usize)?;
        task.queued = false;
        task.body.take()
    }

    /// Puts a task back after its poll; returns the future of an ended task, to be dropped while
    /// nothing is borrowed.
    fn end(&self, slot: u32, body: Body, over: bool) -> Option<Body> {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(slot as usize) else {
            return Some(body);
        };
        debug_assert!(task.body.is_none(), "a task was polled twice at once");
        if !over && !task.aborted {
            task.body = Some(body);
            return None;
        }
        tasks.remove(slot as usize);
        Some(body)
    }

    /// Removes a task from the table; a task being polled is removed when that poll returns.
    fn abort(&self, key: TaskKey) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks
            .get_mut(key.slot as usize)
            .filter(|task| task.serial == key.serial)
        else {
            return;
        };
        if task.body.is_none() {
            task.aborted = true;
            return;
        }
        let task = tasks.remove(key.slot as usize);
        drop(tasks);
        drop(task);
    }
}

impl ShardLocal {
    /// Schedules a task of this shard for this turn or the next.
    #[inline]
    pub(crate) fn wake_task(&self, slot: u32) {
        if self.executor.wake(slot) {
            self.wake_between_turns();
        }
    }

    /// Wakes the waiting task or waker.
    #[inline]
    pub(crate) fn wake(&self, wakeup: Wakeup) {
        match wakeup {
            Wakeup::Task(slot) => self.wake_task(slot),
            Wakeup::Waker(waker) => waker.wake(),
        }
    }

    /// Polls every task that is ready now, once; true if there was one.
    pub(super) fn run_futures(&self) -> bool {
        let executor = &self.executor;
        executor.woken.take(|slot| {
            executor.wake(slot as u32);
        });
        let count = executor.ready.borrow().len();
        for _ in 0..count {
            let Some(slot) = executor.ready.borrow_mut().pop_front() else {
                break;
            };
            self.poll_task(slot);
        }
        count > 0
    }

    fn poll_task(&self, slot: u32) {
        let executor = &self.executor;
        let Some(mut body) = executor.begin(slot) else {
            return;
        };
        executor.current.set((slot, body.waker.data()));
        let mut context = Context::from_waker(&body.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| body.future.as_mut().poll(&mut context)));
        executor.current.set((NONE, std::ptr::null()));
        if polled.is_err() {
            self.metrics.handler_panics.increment();
            tracing::error!(
                target: "ringrail::shard", shard = self.handle.index(), "a future panicked"
            );
        }
        let over = polled.map_or(true, |state| state.is_ready());
        if let Some(ended) = executor.end(slot, body, over) {
            drop_future(self, ended);
        }
    }

    /// Drops all futures: the shard ends.
    pub(super) fn stop_futures(&self) {
        let tasks = std::mem::take(&mut *self.executor.tasks.borrow_mut());
        self.executor.ready.borrow_mut().clear();
        for (_, task) in tasks {
            if let Some(body) = task.body {
                drop_future(self, body);
            }
        }
    }
}

/// Dropping a future runs the embedder's code, too.
fn drop_future(local: &ShardLocal, body: Body) {
    if catch_unwind(AssertUnwindSafe(|| drop(body))).is_err() {
        local.metrics.handler_panics.increment();
        tracing::error!(
            target: "ringrail::shard", shard = local.handle.index(), "a future panicked in its drop"
        );
    }
}

impl ShardHandle {
    /// Runs a future on this shard, whose thread this must be: inside a handler, a callback, another
    /// future of the shard, or [`Engine::run_on`](super::Engine::run_on). Other threads use
    /// [`Engine::spawn_on`](super::Engine::spawn_on).
    ///
    /// The future runs in the shard's turns and must not block. It may hold values that are not `Send`,
    /// such as [`Connection`](crate::Connection). On a [`Hosted`](crate::ParkMode::Hosted) shard it
    /// may also use tokio's timers and `tokio_uring`'s files; on every shard it may use
    /// [`sleep`](Self::sleep) and [`timeout`](Self::timeout). Dropping the handle detaches the
    /// future.
    ///
    /// ```
    /// use ringrail_transport::{Engine, TransportConf};
    ///
    /// let engine = Engine::builder(TransportConf::default()).shards(1).start()?;
    /// let sum = engine.spawn_on(0, |shard| {
    ///     let shard = shard.clone();
    ///     async move {
    ///         let half = shard.spawn(async { 20 }).expect("room for a future");
    ///         half.await.expect("it ends") + 22
    ///     }
    /// });
    /// assert_eq!(sum.wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If this is another thread, the shard is stopping, or it runs `ringrail.transport.maxFutures`
    /// futures.
    pub fn spawn<F>(&self, future: F) -> Result<JoinHandle<F::Output>, SpawnError>
    where
        F: Future + 'static,
    {
        let (future, join) = join::pair(future);
        let key = self.spawn_boxed(Box::pin(future))?;
        Ok(join.named(self.clone(), key))
    }

    fn spawn_boxed(&self, future: LocalFuture) -> Result<TaskKey, SpawnError> {
        let shard = self.index();
        let local = self.here().ok_or(SpawnError::OtherThread { shard })?;
        if local.stopping.get() {
            return Err(SpawnError::Stopping { shard });
        }
        let key = local.executor.insert(self, future);
        local.wake_between_turns();
        let limit = local.executor.limit;
        key.ok_or(SpawnError::TooMany { shard, limit })
    }

    /// Aborts a future of this shard.
    pub(super) fn abort_task(&self, key: TaskKey) {
        if let Some(local) = self.here() {
            local.executor.abort(key);
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("tasks", &self.tasks.borrow().len())
            .field("ready", &self.ready.borrow().len())
            .finish_non_exhaustive()
    }
}
