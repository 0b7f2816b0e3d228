//! Times of asks whose target's thread may be blocked, and of futures that sleep (Spark:
//! "netty-rpc-env-timeout").
//!
//! A thread times out what it has by itself, exactly and with the phase that the ask has reached. This is for
//! whoever waits on another thread: a handler that blocks the target's must not let an ask outlive its time, nor
//! the end of the env. One thread sleeps until the earliest time; who comes and goes before it costs a lock that
//! hardly anybody else wants, and no allocation once the tables have grown.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

use crate::rpc::clock;
use crate::rpc::sync::{Condvar, Mutex, MutexGuard, Unpoisoned, thread};

/// Tables, so that threads that ask at the same time do not wait for each other.
const TABLES: usize = 8;

/// Times are looked at no more often than this, in ns: looking takes a walk through all that wait.
const GRAIN_NS: u64 = 1_000_000;

/// Something with a time.
pub(crate) trait Timed: Send + Sync {
    /// Its time is up. Must not block.
    fn time_out(&self);

    /// The env has come to its end first.
    fn env_ended(&self);
}

struct Waiting {
    at_ns: u64,
    serial: u64,
    timed: Arc<dyn Timed>,
}

#[derive(Default)]
struct Table {
    waiting: Slab<Waiting>,
    serial: u64,
    stopped: bool,
}

#[derive(Default)]
struct Thread {
    running: bool,
    stopped: bool,
}

/// A thread that waits for times; started by the first.
pub(crate) struct Timers {
    tables: [Mutex<Table>; TABLES],
    /// No time that is waited for is earlier; later ones may be long over.
    earliest_ns: AtomicU64,
    thread: Mutex<Thread>,
    changed: Condvar,
}

/// A time that is waited for, until this is dropped.
pub(crate) struct TimerGuard {
    timers: Arc<Timers>,
    table: usize,
    key: usize,
    serial: u64,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            tables: std::array::from_fn(|_| Mutex::default()),
            earliest_ns: AtomicU64::new(u64::MAX),
            thread: Mutex::default(),
            changed: Condvar::new(),
        }
    }
}

/// The table of this thread.
fn own_table() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static TABLE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % TABLES;
    }
    TABLE.with(|table| *table)
}

impl Timers {
    fn table(&self, at: usize) -> MutexGuard<'_, Table> {
        self.tables[at].lock().unpoisoned()
    }

    fn lock_thread(&self) -> MutexGuard<'_, Thread> {
        self.thread.lock().unpoisoned()
    }

    /// Times `timed` out then, on a thread of its own; at once where the env has ended.
    pub(crate) fn add(self: &Arc<Self>, at_ns: u64, timed: Arc<dyn Timed>) -> Option<TimerGuard> {
        let at_ns = at_ns.checked_next_multiple_of(GRAIN_NS).unwrap_or(u64::MAX);
        let at = own_table();
        let mut table = self.table(at);
        if table.stopped {
            drop(table);
            timed.env_ended();
            return None;
        }
        table.serial += 1;
        let serial = table.serial;
        let key = table.waiting.insert(Waiting {
            at_ns,
            serial,
            timed,
        });
        drop(table);
        if at_ns < self.earliest_ns.fetch_min(at_ns, Ordering::SeqCst) {
            self.wake_thread();
        }
        Some(TimerGuard {
            timers: Arc::clone(self),
            table: at,
            key,
            serial,
        })
    }

    /// The earliest time is another one.
    #[cold]
    fn wake_thread(self: &Arc<Self>) {
        let mut state = self.lock_thread();
        if !state.running && !state.stopped {
            let this = Arc::clone(self);
            let thread = thread::Builder::new().name("ringrail-rpc-timeout".into());
            // Without it, asks are timed out by their targets alone.
            state.running = thread.spawn(move || this.run()).is_ok();
        }
        drop(state);
        self.changed.notify_one();
    }

    fn run(&self) {
        let mut state = self.lock_thread();
        while !state.stopped {
            let (now_ns, at_ns) = (clock::now_ns(), self.earliest_ns.load(Ordering::SeqCst));
            if at_ns == u64::MAX {
                let waited = self.changed.wait(state);
                state = waited.unpoisoned();
            } else if at_ns > now_ns {
                let left = Duration::from_nanos(at_ns - now_ns);
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unpoisoned().0;
            } else {
                drop(state);
                self.expire(now_ns);
                state = self.lock_thread();
            }
        }
    }

    /// Times out what is due, and looks for the next.
    fn expire(&self, now_ns: u64) {
        // Timers added from here on set it themselves.
        self.earliest_ns.store(u64::MAX, Ordering::SeqCst);
        let mut due = Vec::new();
        for at in 0..TABLES {
            let mut table = self.table(at);
            let mut next_ns = u64::MAX;
            table.waiting.retain(|_, waiting| {
                let is_due = waiting.at_ns <= now_ns;
                if is_due {
                    due.push(Arc::clone(&waiting.timed));
                } else {
                    next_ns = next_ns.min(waiting.at_ns);
                }
                !is_due
            });
            self.earliest_ns.fetch_min(next_ns, Ordering::SeqCst);
        }
        for timed in due {
            timed.time_out();
        }
    }

    /// Ends everything that waits. Whatever comes later ends at once.
    pub(crate) fn stop(&self) {
        let mut ended = Vec::new();
        for at in 0..TABLES {
            let mut table = self.table(at);
            table.stopped = true;
            ended.extend(table.waiting.drain().map(|waiting| waiting.timed));
        }
        for timed in ended {
            timed.env_ended();
        }
        self.lock_thread().stopped = true;
        self.changed.notify_all();
    }
}

impl Drop for TimerGuard {
    fn drop(&mut self) {
        let mut table = self.timers.table(self.table);
        let waiting = table.waiting.get(self.key);
        let its = waiting.is_some_and(|waiting| waiting.serial == self.serial);
        assert!(!its || !table.stopped, "nothing waits after the end");
        let gone = its.then(|| table.waiting.remove(self.key));
        drop(table);
        drop(gone);
    }
}

debug_text!(TimerGuard, |this| "TimerGuard({}/{})", this.table, this.key);

/// A time to wait for, in a future; over at once where the env ends.
pub(crate) struct Sleep {
    state: Arc<Mutex<Slept>>,
    _timer: Option<TimerGuard>,
}

#[derive(Default)]
struct Slept {
    over: bool,
    waker: Option<Waker>,
}

impl Sleep {
    pub(crate) fn until(timers: &Arc<Timers>, at_ns: u64) -> Self {
        let state: Arc<Mutex<Slept>> = Arc::default();
        let timer = timers.add(at_ns, Arc::clone(&state) as Arc<dyn Timed>);
        Self {
            state,
            _timer: timer,
        }
    }
}

impl Timed for Mutex<Slept> {
    fn time_out(&self) {
        let mut slept = self.lock().unpoisoned();
        slept.over = true;
        let waker = slept.waker.take();
        drop(slept);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn env_ended(&self) {
        self.time_out();
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut slept = self.state.lock().unpoisoned();
        if slept.over {
            return Poll::Ready(());
        }
        slept.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc;

    struct Probe {
        timed_out: AtomicU32,
        ended: AtomicU32,
        told: mpsc::SyncSender<()>,
    }

    impl Probe {
        fn new() -> (Arc<Self>, mpsc::Receiver<()>) {
            let (told, tells) = mpsc::sync_channel(8);
            let probe = Self {
                timed_out: AtomicU32::new(0),
                ended: AtomicU32::new(0),
                told,
            };
            (Arc::new(probe), tells)
        }
    }

    impl Timed for Probe {
        fn time_out(&self) {
            self.timed_out.fetch_add(1, Ordering::SeqCst);
            self.told.send(()).unwrap();
        }

        fn env_ended(&self) {
            self.ended.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn an_earlier_time_is_kept_although_a_later_one_came_first() {
        let timers: Arc<Timers> = Arc::default();
        let (late, _late) = Probe::new();
        let (early, tells) = Probe::new();
        let hour_ns = 3_600_000_000_000;
        let now_ns = clock::now_ns();
        let _late_guard = timers.add(now_ns + hour_ns, Arc::clone(&late) as Arc<dyn Timed>);
        let _early_guard = timers.add(now_ns, Arc::clone(&early) as Arc<dyn Timed>);
        tells.recv_timeout(Duration::from_secs(20)).unwrap();
        timers.stop();
        assert_eq!(early.timed_out.load(Ordering::SeqCst), 1);
        assert_eq!(early.ended.load(Ordering::SeqCst), 0);
        assert_eq!(late.timed_out.load(Ordering::SeqCst), 0);
        assert_eq!(late.ended.load(Ordering::SeqCst), 1, "it does not wait on");
    }

    #[test]
    fn who_lets_go_is_not_told_and_who_comes_after_the_end_is_at_once() {
        let timers: Arc<Timers> = Arc::default();
        let (probe, _tells) = Probe::new();
        let guard = timers.add(u64::MAX, Arc::clone(&probe) as Arc<dyn Timed>);
        drop(guard);
        timers.stop();
        assert_eq!(probe.ended.load(Ordering::SeqCst), 0);
        assert!(
            timers
                .add(0, Arc::clone(&probe) as Arc<dyn Timed>)
                .is_none()
        );
        assert_eq!(probe.ended.load(Ordering::SeqCst), 1);
    }
}
