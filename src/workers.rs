//! Threads for what must not be done on a shard: opening, listing, reading, hashing. The block server and the
//! shuffle service have some each.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// A fixed number of threads behind a bounded queue. Dropping it lets the threads finish what is
/// queued and end; it does not wait for them, for it may be dropped on a shard.
#[derive(Debug)]
pub(crate) struct Workers<T> {
    queue: SyncSender<T>,
}

impl<T: Send + 'static> Workers<T> {
    /// Starts `threads` threads called `name` that `run` tasks from a queue of `queue_len` places.
    pub(crate) fn start(
        name: &str,
        threads: usize,
        queue_len: usize,
        run: fn(T),
    ) -> io::Result<Self> {
        let (queue, tasks) = sync_channel(queue_len);
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 0..threads.max(1) {
            let tasks = Arc::clone(&tasks);
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || work(&tasks, run))?;
        }
        Ok(Self { queue })
    }

    /// Queues a task; never waits.
    ///
    /// # Errors
    /// Gives it back where the queue is full.
    pub(crate) fn submit(&self, task: T) -> Result<(), T> {
        self.queue.try_send(task).map_err(|error| match error {
            TrySendError::Full(task) | TrySendError::Disconnected(task) => task,
        })
    }
}

fn work<T>(tasks: &Mutex<Receiver<T>>, run: fn(T)) {
    loop {
        let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = next else { return };
        // Objects that the task owned report the failure: its responder answers that the handler
        // panicked.
        if catch_unwind(AssertUnwindSafe(|| run(task))).is_err() {
            tracing::error!(target: "ringrail::workers", "a task panicked; its request has failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    type Boxed = Box<dyn FnOnce() + Send>;

    #[test]
    fn a_full_queue_refuses_and_a_panic_ends_only_its_task() {
        let workers = Workers::<Boxed>::start("test", 1, 1, |task| task()).unwrap();
        let (go, wait) = channel::<()>();
        let (started, running) = channel();
        let busy = Box::new(move || {
            started.send(()).unwrap();
            wait.recv().unwrap();
            panic!("on purpose");
        });
        assert!(workers.submit(busy).is_ok());
        running.recv().unwrap();
        let (done, result) = channel();
        assert!(
            workers
                .submit(Box::new(move || done.send(7).unwrap()))
                .is_ok()
        );
        assert!(
            workers.submit(Box::new(|| ())).is_err(),
            "one runs, one waits, no third"
        );
        go.send(()).unwrap();
        assert_eq!(
            result.recv().unwrap(),
            7,
            "the thread has survived the panic"
        );
    }
}
