//! Blocking calls, refused on threads that the awaited work needs.
//!
//! On a shard's thread such a call would block forever: on this shard, which would be blocked itself,
//! or on one that waits for it. Inside an asynchronous runtime it would stop the runtime's other
//! tasks; tokio itself refuses calls that block by tokio's own means.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::handle;

/// Checks that the calling thread is not a shard's.
///
/// # Panics
/// If it is.
#[track_caller]
pub(crate) fn refuse_on_shard(what: &str) {
    if let Some(local) = handle::current() {
        panic!(
            "{what} blocks until a shard answers, and was called on the thread of shard {}, where \
             nothing would run meanwhile: use the form that returns a future, or call it from a \
             thread of your own",
            local.handle.index()
        );
    }
}

/// Drives a future on a plain thread; the future waits only for shards, which run on other threads.
///
/// # Panics
/// On a shard's thread and inside an asynchronous runtime.
#[track_caller]
pub(crate) fn block_on<F: Future>(what: &str, future: F) -> F::Output {
    refuse_on_shard(what);
    if tokio::runtime::Handle::try_current().is_ok() {
        refuse_in_runtime();
    }
    drive(future)
}

/// Panics, with tokio's own text, on a runtime's thread that must not block. Only tokio distinguishes
/// such threads from those for blocking work, and it does so when its blocking functions are
/// called.
#[track_caller]
fn refuse_in_runtime() {
    let (done, ready) = tokio::sync::oneshot::channel();
    let _ = done.send(());
    let _ = ready.blocking_recv();
}

thread_local! {
    /// Unparks this thread; created once, so that waiting allocates nothing.
    static PARKER: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn drive<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    PARKER.with(|parker| {
        let mut context = Context::from_waker(parker);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
            std::thread::park();
        }
    })
}
