//! Threads that read files from the disk, so that the shard does not wait for it.
//!
//! The driver gives them reads whose buffers they own until they are done; it takes the results in `enter`. They
//! are started when they are needed and end with the driver.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::buf::LeaseMut;
use crate::sys::driver::OpKey;

/// Threads of one driver: a disk serves a few requests at once better than one, and a shard needs no more.
const READERS: usize = 4;
/// How long the end of a driver waits for reads in progress. A read that hangs in a dead disk ends later, and gives
/// its buffer back then.
const PATIENCE: Duration = Duration::from_secs(2);

/// A read of `len` bytes from `offset` into `buf[at..]`.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: OpKey,
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) buf: LeaseMut,
    pub(super) at: usize,
    pub(super) len: usize,
}

/// A read that is done: bytes read or a negative errno, and the buffer.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) key: OpKey,
    pub(super) result: i32,
    pub(super) buf: LeaseMut,
}

impl Job {
    fn run(mut self) -> Done {
        let result = self.read();
        Done {
            key: self.key,
            result,
            buf: self.buf,
        }
    }

    fn read(&mut self) -> i32 {
        let into = &mut self.buf.buffer_mut()[self.at..self.at + self.len];
        let mut got = 0;
        while got < into.len() {
            match self
                .file
                .read_at(&mut into[got..], self.offset + got as u64)
            {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if got > 0 => break,
                Err(error) => return -error.raw_os_error().unwrap_or(libc::EIO),
            }
        }
        got as i32
    }
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    done: VecDeque<Done>,
    threads: usize,
    idle: usize,
    stopping: bool,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// A job came, or the driver ends.
    work: Condvar,
    /// A thread ended.
    ended: Condvar,
    wake: Arc<OwnedFd>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A reader that panicked left the queue as it was.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut queue = self.lock();
        while !queue.stopping {
            let Some(job) = queue.jobs.pop_front() else {
                queue.idle += 1;
                queue = self
                    .work
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
                continue;
            };
            drop(queue);
            let done = job.run();
            queue = self.lock();
            let first = queue.done.is_empty();
            queue.done.push_back(done);
            if first {
                // The driver takes all of them; one wake-up is enough.
                let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
            }
        }
        queue.threads -= 1;
        drop(queue);
        self.ended.notify_all();
    }
}

/// The threads of one driver.
#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    in_flight: usize,
}

impl Readers {
    /// None are started yet. `wake` is written to when a read is done.
    pub(super) fn new(wake: Arc<OwnedFd>) -> Self {
        let shared = Shared {
            queue: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            wake,
        };
        Self {
            shared: Arc::new(shared),
            in_flight: 0,
        }
    }

    /// Takes a read over. Where no thread can be started, it is done here.
    pub(super) fn read(&mut self, job: Job) {
        self.in_flight += 1;
        let mut queue = self.shared.lock();
        queue.jobs.push_back(job);
        let start = queue.idle < queue.jobs.len() && queue.threads < READERS;
        queue.threads += usize::from(start);
        drop(queue);
        self.shared.work.notify_one();
        if start && !self.start() {
            let mut queue = self.shared.lock();
            queue.threads -= 1;
            let job = match queue.threads {
                0 => queue.jobs.pop_front(),
                _ => None,
            };
            drop(queue);
            if let Some(job) = job {
                let done = job.run();
                self.shared.lock().done.push_back(done);
            }
        }
    }

    fn start(&self) -> bool {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("ringrail-read".to_owned());
        thread.spawn(move || shared.run()).is_ok()
    }

    /// A read that is done, if there is one.
    pub(super) fn next(&mut self) -> Option<Done> {
        if self.in_flight == 0 {
            return None;
        }
        let done = self.shared.lock().done.pop_front()?;
        self.in_flight -= 1;
        Some(done)
    }

    /// True where the result of a read waits.
    pub(super) fn has_done(&self) -> bool {
        self.in_flight > 0 && !self.shared.lock().done.is_empty()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.stopping = true;
        queue.jobs.clear();
        queue.done.clear();
        self.shared.work.notify_all();
        let running = |queue: &mut Queue| queue.threads > 0;
        let waited = self
            .shared
            .ended
            .wait_timeout_while(queue, PATIENCE, running);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.done.clear();
    }
}
