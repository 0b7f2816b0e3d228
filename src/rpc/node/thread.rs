//! A plain thread that runs a node: for isolated endpoints, and for envs without an engine.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use crate::rpc::clock;
use crate::rpc::env::EnvShared;
use crate::rpc::error::RpcError;

use super::{Bell, Host, HostHandle, Node};

/// Wakes the thread if it sleeps.
#[derive(Default)]
struct ThreadBell {
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Bell for Arc<ThreadBell> {
    fn ring(&self) {
        // SeqCst, as in `sleep`: either the sleeper sees what was posted, or we see it asleep.
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

/// The thread's own side.
struct ThreadHost {
    now_ns: Cell<u64>,
    due_ns: Cell<u64>,
}

impl Host for Rc<ThreadHost> {
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
) -> Result<Arc<HostHandle>, RpcError> {
    let bell = Arc::new(ThreadBell::default());
    let capacity = env.settings().mail_capacity;
    let host = Box::new(Arc::clone(&bell));
    let handle = Arc::new(HostHandle::new(name.clone(), capacity, may_block, host));
    let (env, of_thread) = (Arc::clone(env), Arc::clone(&handle));
    // The bell is complete when somebody may ring it.
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let _ = bell.thread.set(std::thread::current());
        let _ = ready.send(());
        run(&env, of_thread, &bell);
    });
    thread.map_err(|error| RpcError::Start(format!("no thread for endpoints: {error}").into()))?;
    // A thread that is gone at once has closed the handle.
    let _ = started.recv();
    Ok(handle)
}

fn run(env: &Arc<EnvShared>, handle: Arc<HostHandle>, bell: &ThreadBell) {
    let host = Rc::new(ThreadHost {
        now_ns: Cell::new(clock::now_ns()),
        due_ns: Cell::new(u64::MAX),
    });
    let node = Node::new(env, handle, Box::new(Rc::clone(&host)));
    loop {
        host.now_ns.set(clock::now_ns());
        node.turn();
        if node.has_ended() {
            return;
        }
        if !node.has_work() {
            sleep(&node, &host, bell);
        }
    }
}

fn sleep(node: &Rc<Node>, host: &ThreadHost, bell: &ThreadBell) {
    bell.asleep.store(true, Ordering::SeqCst);
    if node.has_work() {
        bell.asleep.store(false, Ordering::SeqCst);
        return;
    }
    let due_ns = host.due_ns.get();
    if due_ns == u64::MAX {
        std::thread::park();
    } else {
        let left = due_ns.saturating_sub(clock::now_ns());
        std::thread::park_timeout(Duration::from_nanos(left));
    }
    bell.asleep.store(false, Ordering::SeqCst);
}
