//! Times of asks whose target's thread may be blocked (Spark: "netty-rpc-env-timeout").
//!
//! Shards time out what they have by themselves; this is for endpoints on threads of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::rpc::clock;
use crate::rpc::sync::{Condvar, Mutex, MutexGuard, thread};

type Due = (u64, u64);
type Expire = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    due: BTreeMap<Due, Expire>,
    next: u64,
    running: bool,
    stopped: bool,
}

/// A thread that waits for times; started by the first.
#[derive(Default)]
pub(crate) struct Timers {
    state: Mutex<State>,
    changed: Condvar,
}

/// A time that is waited for, until this is dropped.
pub(crate) struct TimerGuard {
    timers: Arc<Timers>,
    due: Due,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `expire` then, on a thread of its own; it must not block.
    pub(crate) fn add(self: &Arc<Self>, at_ns: u64, expire: Expire) -> TimerGuard {
        let mut state = self.lock();
        state.next += 1;
        let due = (at_ns, state.next);
        if !state.stopped {
            state.due.insert(due, expire);
        }
        if !state.running && !state.stopped {
            let this = Arc::clone(self);
            let thread = thread::Builder::new().name("ringrail-rpc-timeout".into());
            // Without it, such asks are timed out by their targets alone.
            state.running = thread.spawn(move || this.run()).is_ok();
        }
        drop(state);
        self.changed.notify_one();
        TimerGuard {
            timers: Arc::clone(self),
            due,
        }
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.stopped {
            let now = clock::now_ns();
            let Some(&(at_ns, serial)) = state.due.keys().next() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if at_ns > now {
                let left = Duration::from_nanos(at_ns - now);
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let expire = state.due.remove(&(at_ns, serial));
            drop(state);
            if let Some(expire) = expire {
                expire();
            }
            state = self.lock();
        }
    }

    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let due = std::mem::take(&mut state.due);
        drop(state);
        drop(due);
        self.changed.notify_all();
    }
}

impl Drop for TimerGuard {
    fn drop(&mut self) {
        let expire = self.timers.lock().due.remove(&self.due);
        drop(expire);
    }
}

/// A time to wait for, in a future.
pub(crate) struct Sleep {
    state: Arc<Mutex<Slept>>,
    _timer: TimerGuard,
}

#[derive(Default)]
struct Slept {
    over: bool,
    waker: Option<Waker>,
}

impl Sleep {
    pub(crate) fn until(timers: &Arc<Timers>, at_ns: u64) -> Self {
        let state: Arc<Mutex<Slept>> = Arc::default();
        let wake = WakeOnDrop(Arc::clone(&state));
        // Dropped when it is called, and when the timers are stopped.
        let timer = timers.add(at_ns, Box::new(move || drop(wake)));
        Self {
            state,
            _timer: timer,
        }
    }
}

struct WakeOnDrop(Arc<Mutex<Slept>>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        let mut slept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slept.over = true;
        let waker = slept.waker.take();
        drop(slept);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut slept = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if slept.over {
            return Poll::Ready(());
        }
        slept.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for TimerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerGuard({})", self.due.0)
    }
}
