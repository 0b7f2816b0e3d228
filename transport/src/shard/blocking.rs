//! Calls that block their thread, refused where they would block what they wait for.
//!
//! On a shard's thread such a call would wait for ever: for this shard, which stands still meanwhile,
//! or for one that waits for it. Inside an asynchronous runtime it would stop the runtime's other
//! tasks; whatever blocks by tokio's own means is refused there by tokio.

use super::handle;

/// Sees that this is not the thread of a shard.
///
/// # Panics
/// Where it is.
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

/// Drives a future on a plain thread: it only ever waits for shards, which run elsewhere.
///
/// # Panics
/// On a shard's thread, and inside an asynchronous runtime.
#[track_caller]
pub(crate) fn block_on<F: Future>(what: &str, future: F) -> F::Output {
    refuse_on_shard(what);
    // tokio tells those alone who block by its means that they must not: asked for nothing else.
    let (done, ready) = tokio::sync::oneshot::channel();
    let _ = done.send(());
    let _ = ready.blocking_recv();
    drive(future)
}

fn drive<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}
