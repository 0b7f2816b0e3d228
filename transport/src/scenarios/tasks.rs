//! Futures of a scenario, polled in a fixed order on the test's own thread, and its clock.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Job = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks that are to be polled, in the order in which they were woken.
#[derive(Default)]
struct Ready(Mutex<VecDeque<usize>>);

impl Ready {
    fn push(&self, task: usize) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.contains(&task) {
            queue.push_back(task);
        }
    }

    fn pop(&self) -> Option<usize> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }
}

struct Rouse {
    task: usize,
    ready: Arc<Ready>,
}

impl Wake for Rouse {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.task);
    }
}

/// All futures of a scenario. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    jobs: Rc<RefCell<Vec<Option<Job>>>>,
    ready: Arc<Ready>,
}

impl Tasks {
    /// Starts a future; what it returns comes out of the handle.
    pub(super) fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Join<T> {
        let join = Join(Rc::new(RefCell::new((None, None))));
        let place = Rc::clone(&join.0);
        let job = async move {
            let value = future.await;
            let waker: Option<Waker> = {
                let mut place = place.borrow_mut();
                place.0 = Some(value);
                place.1.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        let mut jobs = self.jobs.borrow_mut();
        jobs.push(Some(Box::pin(job)));
        self.ready.push(jobs.len() - 1);
        join
    }

    /// Polls everything that was woken; true where there was something.
    pub(super) fn run(&self) -> bool {
        let mut worked = false;
        while let Some(task) = self.ready.pop() {
            let Some(mut job) = self.jobs.borrow_mut()[task].take() else {
                continue;
            };
            worked = true;
            let ready = Arc::clone(&self.ready);
            let waker = Waker::from(Arc::new(Rouse { task, ready }));
            if job
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
            {
                self.jobs.borrow_mut()[task] = Some(job);
            }
        }
        worked
    }

    /// Drops every future that has not ended.
    pub(super) fn drop_all(&self) {
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        while self.ready.pop().is_some() {}
        drop(jobs);
    }
}

type Place<T> = Rc<RefCell<(Option<T>, Option<Waker>)>>;

/// The pending result of a task.
pub(super) struct Join<T>(Place<T>);

impl<T> Join<T> {
    pub(super) fn is_over(&self) -> bool {
        self.0.borrow().0.is_some()
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.borrow_mut().0.take()
    }
}

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut place = self.0.borrow_mut();
        match place.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                place.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Waits for all of some tasks, in their order.
pub(super) async fn all<T>(joins: Vec<Join<T>>) -> Vec<T> {
    let mut values = Vec::with_capacity(joins.len());
    for join in joins {
        values.push(join.await);
    }
    values
}

#[derive(Default)]
struct Alarms {
    now_ns: Cell<u64>,
    count: Cell<u64>,
    set: RefCell<BTreeMap<(u64, u64), Waker>>,
}

/// The time of the ground that a scenario runs on, and alarms in it. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Clock(Rc<Alarms>);

impl Clock {
    pub(super) fn now_ns(&self) -> u64 {
        self.0.now_ns.get()
    }

    /// Advances the clock and wakes the sleepers that are due.
    pub(super) fn set(&self, now_ns: u64) {
        self.0.now_ns.set(now_ns);
        while let Some(at) = self.next().filter(|at| *at <= now_ns) {
            let first = self.0.set.borrow_mut().pop_first();
            debug_assert!(first.as_ref().is_some_and(|(key, _)| key.0 == at));
            if let Some((_, waker)) = first {
                waker.wake();
            }
        }
    }

    /// The next alarm.
    pub(super) fn next(&self) -> Option<u64> {
        let set = self.0.set.borrow();
        set.first_key_value().map(|(key, _)| key.0)
    }

    /// Lets so many nanoseconds pass.
    pub(super) async fn sleep(&self, ns: u64) {
        let until_ns = self.now_ns() + ns;
        std::future::poll_fn(|cx| {
            if self.now_ns() >= until_ns {
                return Poll::Ready(());
            }
            let number = self.0.count.get();
            self.0.count.set(number + 1);
            let mut set = self.0.set.borrow_mut();
            set.insert((until_ns, number), cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
