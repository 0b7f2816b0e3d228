//! A plain thread that runs a dispatcher: for isolated endpoints, and for envs without an engine.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::rpc::clock;
use crate::rpc::error::RpcError;
use crate::rpc::shared::EnvShared;
use crate::rpc::sync::mpsc;
use crate::rpc::sync::thread::{self, Thread};
use crate::rpc::thread::{Executor, ThreadHandle, ThreadWaker};

use super::Dispatcher;

/// Wakes the thread if it sleeps: a wake-up that comes before the sleep ends that at once.
struct Unparker(Arc<OnceLock<Thread>>);

impl ThreadWaker for Unparker {
    fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// The thread's own side.
struct ThreadExecutor {
    now_ns: Cell<u64>,
    due_ns: Cell<u64>,
}

impl Executor for Rc<ThreadExecutor> {
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn arm(&self, at_ns: Option<u64>) {
        self.due_ns.set(at_ns.unwrap_or(u64::MAX));
    }

    // The thread looks for work before it sleeps.
    fn rouse(&self) {}
}

/// Starts a thread for endpoints of `env`.
///
/// # Errors
/// The system has no thread to give.
pub(crate) fn start_thread(
    env: &Arc<EnvShared>,
    name: String,
    may_block: bool,
) -> Result<Arc<ThreadHandle>, RpcError> {
    let place = Arc::new(OnceLock::new());
    let waker = Box::new(Unparker(Arc::clone(&place)));
    let capacity = env.settings.mailbox_capacity;
    let handle = Arc::new(ThreadHandle::new(name.clone(), capacity, may_block, waker));
    let (env, of_thread) = (Arc::clone(env), Arc::clone(&handle));
    // The waker is complete when somebody may ring it.
    let (ready, started) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(name).spawn(move || {
        assert!(
            place.set(thread::current()).is_ok(),
            "a waker is of one thread"
        );
        let _ = ready.send(());
        run(&env, of_thread);
    });
    thread.map_err(|error| RpcError::Start(format!("no thread for endpoints: {error}").into()))?;
    // A thread that is gone at once has closed the handle.
    let _ = started.recv();
    Ok(handle)
}

fn run(env: &Arc<EnvShared>, handle: Arc<ThreadHandle>) {
    let host = Rc::new(ThreadExecutor {
        now_ns: Cell::new(clock::now_ns()),
        due_ns: Cell::new(u64::MAX),
    });
    let dispatcher = Dispatcher::new(env, handle, Box::new(Rc::clone(&host)));
    loop {
        host.now_ns.set(clock::now_ns());
        dispatcher.turn();
        if dispatcher.has_ended() {
            return;
        }
        if !dispatcher.has_work() {
            sleep(host.due_ns.get());
        }
    }
}

/// Sleeps until somebody rings, or until then.
fn sleep(due_ns: u64) {
    if due_ns == u64::MAX {
        thread::park();
    } else {
        let left = due_ns.saturating_sub(clock::now_ns());
        thread::park_timeout(Duration::from_nanos(left));
    }
}
