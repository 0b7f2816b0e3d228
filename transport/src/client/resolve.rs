//! Names of hosts, looked up on threads of their own.
//!
//! The system's resolver blocks, for seconds if a name server does not answer; the futures of a
//! factory run on shards and in runtimes, which must not block. A numeric address is parsed at
//! once; a name is looked up by one of a few helper threads, which end when they are idle.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::ConnectError;
use crate::sys::socket::{Addr, AddrError};

/// Limit of concurrent lookups: a lookup of a dead name occupies its thread while the system's
/// resolver tries.
const MAX_THREADS: usize = 4;

/// Time after which an idle thread ends.
const IDLE: Duration = Duration::from_secs(10);

type Found = Result<Vec<Addr>, AddrError>;

struct Job {
    address: String,
    done: oneshot::Sender<Found>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    look_up: fn(&str) -> Found,
}

/// The helper threads of one factory.
pub(super) struct Resolver {
    shared: Arc<Shared>,
    queue_len: usize,
}

impl Resolver {
    /// Threads that call the system's resolver; at most `queue_len` names wait for one.
    pub(super) fn new(queue_len: usize) -> Self {
        Self::asking(queue_len, Addr::resolve)
    }

    fn asking(queue_len: usize, look_up: fn(&str) -> Found) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            look_up,
        };
        Self {
            shared: Arc::new(shared),
            queue_len,
        }
    }

    /// All addresses of a text, in the resolver's order; at least one.
    ///
    /// # Errors
    /// [`ConnectError::Resolve`] with the text; [`ConnectError::Busy`] if too many names wait.
    ///
    /// # Cancel safety
    /// A name whose future was dropped is not looked up, unless the lookup has begun.
    pub(super) async fn resolve(&self, address: &str) -> Result<Vec<Addr>, ConnectError> {
        let found = match address.parse() {
            Ok(addr) => return Ok(vec![addr]),
            Err(AddrError::HostName { .. }) => self.ask(address)?.await,
            Err(error) => return Err(unresolved(address, error)),
        };
        match found {
            Ok(Ok(found)) if !found.is_empty() => Ok(found),
            Ok(Ok(_)) => Err(unresolved(address, "the name has no address")),
            Ok(Err(error)) => Err(unresolved(address, error)),
            Err(_) => Err(unresolved(address, "the look-up was given up")),
        }
    }

    fn ask(&self, address: &str) -> Result<oneshot::Receiver<Found>, ConnectError> {
        let (done, found) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.jobs.len() >= self.queue_len {
            return Err(ConnectError::Busy {
                what: "the queue of names to be looked up",
                limit: self.queue_len as u64,
                key: "ringrail.transport.resolveQueue",
            });
        }
        let address_of_job = address.to_owned();
        state.jobs.push_back(Job {
            address: address_of_job,
            done,
        });
        if state.jobs.len() > state.idle && state.threads < MAX_THREADS {
            match Shared::start_thread(&self.shared) {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.jobs.pop_back();
                    let detail = format!("no thread to look it up: {error}");
                    return Err(unresolved(address, detail));
                }
                // A running thread takes it in order.
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.work.notify_one();
        Ok(found)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_thread(this: &Arc<Self>) -> io::Result<()> {
        let shared = Arc::clone(this);
        std::thread::Builder::new()
            .name(String::from("ringrail-resolve"))
            .spawn(move || shared.run())
            .map(drop)
    }

    /// Looks up names until the queue stays empty for a while.
    fn run(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                if !job.done.is_closed() {
                    // The connection attempt that asked may have been dropped meanwhile.
                    let _ = job.done.send((self.look_up)(&job.address));
                }
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, IDLE);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

fn unresolved(address: &str, detail: impl ToString) -> ConnectError {
    ConnectError::Resolve {
        address: address.to_owned(),
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Polls until the result is ready.
    fn finish<F: Future>(mut future: std::pin::Pin<&mut F>) -> F::Output {
        loop {
            if let Poll::Ready(value) = poll(future.as_mut()) {
                return value;
            }
            std::thread::yield_now();
        }
    }

    type Gate = (Mutex<Sender<()>>, Mutex<Receiver<()>>);

    fn gate() -> &'static Gate {
        static GATE: std::sync::OnceLock<Gate> = std::sync::OnceLock::new();
        GATE.get_or_init(|| {
            let (open, wait) = channel();
            (Mutex::new(open), Mutex::new(wait))
        })
    }

    /// A name server that answers on request.
    fn slow(_: &str) -> Found {
        gate().1.lock().unwrap().recv().unwrap();
        Ok(vec!["127.0.0.1:7".parse().unwrap()])
    }

    fn unknown(text: &str) -> Found {
        let host = text.to_owned();
        Err(AddrError::NoAddress { host })
    }

    #[test]
    fn a_name_server_that_does_not_answer_blocks_nobody() {
        let resolver = Resolver::asking(3, slow);
        // One look-up runs per thread, and three names wait.
        let mut waiting: Vec<_> = (0..MAX_THREADS + 3)
            .map(|_| Box::pin(resolver.resolve("slow.example:1")))
            .collect();
        for future in &mut waiting {
            loop {
                // A thread that has only just begun has not taken its name out of the queue yet.
                match poll(future.as_mut()) {
                    Poll::Pending => break,
                    Poll::Ready(Err(ConnectError::Busy { .. })) => {
                        *future = Box::pin(resolver.resolve("slow.example:1"));
                        std::thread::yield_now();
                    }
                    Poll::Ready(other) => panic!("{other:?}"),
                }
            }
        }
        // Numeric addresses are parsed all the same, and a lookup beyond the bound gets an error.
        let mut number = pin!(resolver.resolve("127.0.0.1:9"));
        assert!(matches!(poll(number.as_mut()), Poll::Ready(Ok(_))));
        let mut beyond = pin!(resolver.resolve("one.more.example:1"));
        let error = finish(beyond.as_mut()).unwrap_err().to_string();
        assert!(error.contains("ringrail.transport.resolveQueue"), "{error}");
        for _ in 0..waiting.len() {
            gate().0.lock().unwrap().send(()).unwrap();
        }
        for mut future in waiting {
            assert_eq!(finish(future.as_mut()).unwrap().len(), 1);
        }
        assert!(resolver.shared.lock().threads <= MAX_THREADS);
    }

    #[test]
    fn a_name_that_is_unknown_is_named_in_its_error() {
        let resolver = Resolver::asking(3, unknown);
        let mut asked = pin!(resolver.resolve("no.such.host:1"));
        let error = finish(asked.as_mut()).unwrap_err();
        assert!(
            matches!(&error, ConnectError::Resolve { address, .. } if address == "no.such.host:1"),
            "{error}"
        );
        let mut nonsense = pin!(resolver.resolve("no port here"));
        assert!(matches!(
            poll(nonsense.as_mut()),
            Poll::Ready(Err(ConnectError::Resolve { .. }))
        ));
    }
}
