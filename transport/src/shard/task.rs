//! Work of an embedder's own in a shard's turns: dispatchers, actors, protocols above the transport.
//!
//! A [`ShardTask`] is called once per turn, after the sockets and the shard's own inbox. Work from
//! other threads is in queues of the task's own; a thread that adds to one calls
//! [`ShardHandle::notify`], and the *arm, recheck, sleep* protocol of the [inbox](super::inbox) sees
//! to it that no wake-up is lost and few are needed:
//!
//! ```text
//!   shard                                other thread
//!   run tasks until none has work        fill the task's queue
//!   announce sleep; has_work() still no? notify(): sleeping?  wake it
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::handle::ShardHandle;
use super::local::{ShardLocal, TimerFor};
use super::timer::TimerKey;

/// Tasks of one shard at most.
const MAX_TASKS: usize = 1024;

/// An embedder's task that runs in a shard's turns, on its thread.
///
/// Must not block. A panic is contained and counted; the task is called again.
pub trait ShardTask {
    /// Does some of the waiting work. The rest, reported by [`has_work`](Self::has_work), is done
    /// in a later turn.
    fn run(&self);

    /// Whether work waits. Called before the shard sleeps, so it must see at once the work that
    /// another thread has posted.
    fn has_work(&self) -> bool;

    /// A timer set by [`TaskContext::set_timer`] is due.
    fn on_timer(&self, token: u32) {
        let _ = token;
    }

    /// The shard ends: no method is called after this one. Connections have been closed.
    fn on_stop(&self) {}
}

/// A timer of a task, for [`TaskContext::cancel_timer`]. Has no effect once it has fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskTimer(TimerKey);

/// A task's place on its shard. Stays on the shard's thread.
#[derive(Clone)]
pub struct TaskContext {
    local: Rc<ShardLocal>,
    slot: u32,
}

impl TaskContext {
    /// The shard.
    pub fn shard(&self) -> &ShardHandle {
        &self.local.handle
    }

    /// Time in ns of the monotonic clock; inside a turn, the time of its beginning.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.local.now_ns()
    }

    /// Calls [`ShardTask::on_timer`] with `token` after a time, up to a millisecond late.
    /// `None` if the shard has reached its limit of timers.
    pub fn set_timer(&self, after: Duration, token: u32) -> Option<TaskTimer> {
        let what = TimerFor::Task {
            slot: self.slot,
            token,
        };
        let (key, _) = self.local.set_timer(after, what)?;
        // A sleeping shard does not know of the timer.
        self.rouse();
        Some(TaskTimer(key))
    }

    /// Cancels a timer.
    pub fn cancel_timer(&self, timer: TaskTimer) {
        self.local.cancel_timer(timer.0);
    }

    /// Requests a turn: the task has got work from a future on its own thread. Costs next to nothing
    /// inside a turn.
    pub fn rouse(&self) {
        if !self.local.in_turn.get() {
            self.local.handle.wake_local();
        }
    }

    /// Ends the task: it is not called again.
    pub fn remove(&self) {
        let task = self.local.tasks.borrow_mut().try_remove(self.slot as usize);
        // Dropped while nothing is borrowed: the drop may call back.
        drop(task);
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskContext({:?}, {})", self.local.handle, self.slot)
    }
}

impl ShardHandle {
    /// Adds a task. On the shard's own thread alone, as inside
    /// [`Engine::run_on`](super::Engine::run_on); `None` elsewhere, and where the shard has 1,024.
    pub fn add_task(&self, task: Rc<dyn ShardTask>) -> Option<TaskContext> {
        let local = self.here()?;
        let mut tasks = local.tasks.borrow_mut();
        if tasks.len() >= MAX_TASKS {
            return None;
        }
        let slot = tasks.insert(task) as u32;
        drop(tasks);
        Some(TaskContext { local, slot })
    }
}

impl ShardLocal {
    /// Runs every task once; true if one did work or has more to do.
    pub(super) fn run_tasks(&self) -> bool {
        let end = self.tasks.borrow().capacity();
        let mut worked = false;
        for slot in 0..end {
            let task = self.tasks.borrow().get(slot).map(Rc::clone);
            if let Some(task) = task
                && task.has_work()
            {
                worked = true;
                self.contained(|| task.run());
            }
        }
        worked
    }

    pub(super) fn tasks_have_work(&self) -> bool {
        self.executor.has_work() || self.tasks.borrow().iter().any(|(_, task)| task.has_work())
    }

    pub(super) fn task_timer(&self, slot: u32, token: u32) {
        let task = self.tasks.borrow().get(slot as usize).map(Rc::clone);
        if let Some(task) = task {
            self.contained(|| task.on_timer(token));
        }
    }

    pub(super) fn stop_tasks(&self) {
        self.stopping.set(true);
        let tasks: Vec<_> = self.tasks.borrow_mut().drain().collect();
        for task in tasks {
            self.contained(|| task.on_stop());
        }
        self.stop_futures();
    }

    fn contained<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        let ran = catch_unwind(AssertUnwindSafe(run));
        if ran.is_err() {
            self.metrics.handler_panics.increment();
            tracing::error!(target: "ringrail::shard", shard = self.handle.index(), "a task panicked");
        }
        ran.ok()
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
