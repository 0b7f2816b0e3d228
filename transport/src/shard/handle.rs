//! The handle of a shard for other threads: they post commands to it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::metrics::ShardMetrics;
use crate::sys::driver::Waker;

use super::command::Command;
use super::inbox::{Inbox, PushError};
use super::local::ShardLocal;

/// How long a thread whose message does not fit sleeps before it tries again: first, and at most.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

struct Shared {
    index: usize,
    inbox: Inbox<Command>,
    waker: OnceLock<Waker>,
    metrics: Arc<ShardMetrics>,
}

/// A shard as other threads see it. Cheap to clone.
#[derive(Clone)]
pub struct ShardHandle {
    shared: Arc<Shared>,
}

thread_local! {
    /// The shard that lives on this thread.
    static CURRENT: RefCell<Option<Rc<ShardLocal>>> = const { RefCell::new(None) };
}

/// Makes a shard the current one of its thread for good: futures between its turns find it too.
pub(super) fn settle(local: &Rc<ShardLocal>) {
    CURRENT.with(|current| current.replace(Some(Rc::clone(local))));
}

/// The shard that lives on this thread.
pub(crate) fn current() -> Option<Rc<ShardLocal>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Calls `with` with the shard that lives on this thread, if one does.
pub(super) fn with_current<T>(with: impl FnOnce(&ShardLocal) -> T) -> Option<T> {
    // Out while the thread's own variables are being destroyed: no shard lives there then.
    let called = CURRENT.try_with(|current| current.borrow().as_deref().map(with));
    called.ok().flatten()
}

/// The thread's shard is gone.
pub(super) fn unsettle() {
    CURRENT.with(|current| current.replace(None));
}

/// Makes a shard the current one of the thread until dropped, and its turn run.
pub(crate) struct Turn {
    local: Rc<ShardLocal>,
    before: Option<Rc<ShardLocal>>,
    was_in_turn: bool,
}

impl Turn {
    pub(crate) fn of(local: &Rc<ShardLocal>) -> Self {
        let before = CURRENT.with(|current| current.replace(Some(Rc::clone(local))));
        Self {
            local: Rc::clone(local),
            before,
            was_in_turn: local.in_turn.replace(true),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.was_in_turn {
            self.local.flush_deliveries();
        }
        self.local.in_turn.set(self.was_in_turn);
        CURRENT.with(|current| *current.borrow_mut() = self.before.take());
    }
}

impl ShardHandle {
    pub(crate) fn new(index: usize, inbox: usize) -> Self {
        let metrics = Arc::new(ShardMetrics::default());
        let shared = Shared {
            index,
            inbox: Inbox::new(inbox),
            waker: OnceLock::new(),
            metrics,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The shard that lives on this thread, if one does.
    ///
    /// ```
    /// use ringrail_transport::{Engine, ShardHandle, TransportConf};
    ///
    /// let engine = Engine::builder(TransportConf::default()).shards(1).start()?;
    /// assert!(ShardHandle::current().is_none());
    /// let current = engine.run_on(0, |_| ShardHandle::current().map(|shard| shard.index()))?;
    /// assert_eq!(current, Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn current() -> Option<Self> {
        with_current(|local| local.handle.clone())
    }

    /// The shard's index in its engine.
    pub fn index(&self) -> usize {
        self.shared.index
    }

    /// The shard's counters.
    pub fn metrics(&self) -> &Arc<ShardMetrics> {
        &self.shared.metrics
    }

    /// Whether both name one shard.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn set_waker(&self, waker: Waker) {
        // Set once, by the shard itself, before anybody has the handle.
        let _ = self.shared.waker.set(waker);
    }

    pub(crate) fn inbox(&self) -> &Inbox<Command> {
        &self.shared.inbox
    }

    /// The shard's state, where this is the shard's own thread.
    pub(crate) fn here(&self) -> Option<Rc<ShardLocal>> {
        CURRENT.with(|current| {
            let current = current.borrow();
            let local = current.as_ref()?;
            Arc::ptr_eq(&local.handle.shared, &self.shared).then(|| Rc::clone(local))
        })
    }

    /// Posts a command.
    ///
    /// # Errors
    /// Gives it back where the inbox is full or the shard has ended.
    pub(crate) fn post(&self, command: Command) -> Result<(), PushError<Command>> {
        if self.shared.inbox.push(command)?.wake_needed {
            self.wake();
        }
        Ok(())
    }

    /// Code on the shard's thread, between its turns, has left something for it to do.
    pub(crate) fn wake_local(&self) {
        if self.shared.inbox.rouse() {
            self.wake();
        }
    }

    /// Tells the shard, from any thread, that one of its [tasks](super::ShardTask) has got work. Post
    /// the work first, where the task's `has_work` finds it.
    pub fn notify(&self) {
        if self.shared.inbox.notify() {
            self.wake();
        }
    }

    /// True on the shard's own thread.
    pub fn is_here(&self) -> bool {
        CURRENT.with(|current| {
            let current = current.borrow();
            current
                .as_ref()
                .is_some_and(|local| Arc::ptr_eq(&local.handle.shared, &self.shared))
        })
    }

    fn wake(&self) {
        if let Some(waker) = self.shared.waker.get() {
            waker.wake();
        }
    }

    /// Posts what must not be lost: replies, grants, cancellations. On a shard's own thread it
    /// never waits: what does not fit is kept there, see [`letters`](super::remote_overflow). Any other thread
    /// sleeps until it fits.
    pub(crate) fn post_surely(&self, command: Command) {
        let here = current();
        if let Some(local) = here {
            if Arc::ptr_eq(&local.handle.shared, &self.shared) {
                local.local_commands.borrow_mut().push_back(command);
            } else {
                self.post_from(&local, command);
            }
            return;
        }
        let (mut command, mut pause) = (command, FIRST_PAUSE);
        while let Err(PushError::Full(back)) = self.post(command) {
            command = back;
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Posts from the thread of another shard, behind what waits there for this one already.
    fn post_from(&self, local: &ShardLocal, command: Command) {
        let waits = local.remote_overflow.borrow().holds_for(self);
        let command = match waits {
            true => command,
            false => match self.post(command) {
                Err(PushError::Full(command)) => command,
                _ => return,
            },
        };
        let limit = local.conf.inbox;
        let lost = local
            .remote_overflow
            .borrow_mut()
            .keep(self, command, limit);
        drop(lost);
    }

    /// Distinguishes shards, also of different engines.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.shared) as usize
    }
}

impl fmt::Debug for ShardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardHandle({})", self.shared.index)
    }
}
