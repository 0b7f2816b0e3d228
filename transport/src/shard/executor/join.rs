//! The output of a spawned future, for a waiter on the shard or on another thread.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use crate::shard::blocking::refuse_on_shard;
use crate::shard::handle::ShardHandle;

use super::TaskKey;

/// The reason why a spawned future gave no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It panicked, was aborted, or its shard has stopped.
    #[error(
        "the future ended without an output: it panicked, was aborted, or its shard has stopped"
    )]
    Ended,
    /// The shard has reached its limit of futures.
    #[error(transparent)]
    NotSpawned(#[from] super::SpawnError),
}

enum State<T> {
    Running(Option<Waker>),
    Done(T),
    /// Dropped without an output, or the output has been taken.
    Over,
}

struct Shared<T>(RefCell<State<T>>);

impl<T> Shared<T> {
    fn settle(&self, state: State<T>) {
        let before = self.0.replace(state);
        if let State::Running(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// Notifies the handle when the future is dropped, for any reason.
struct Ending<T>(Rc<Shared<T>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        if matches!(*self.0.0.borrow(), State::Running(_)) {
            self.0.settle(State::Over);
        }
    }
}

pub(super) struct Unnamed<T>(Rc<Shared<T>>);

impl<T> Unnamed<T> {
    pub(super) fn named(self, shard: ShardHandle, key: TaskKey) -> JoinHandle<T> {
        JoinHandle {
            shared: self.0,
            shard,
            key,
        }
    }
}

/// The future as the executor runs it, and the sender of its output.
pub(super) fn pair<F>(future: F) -> (impl Future<Output = ()> + 'static, Unnamed<F::Output>)
where
    F: Future + 'static,
{
    let shared = Rc::new(Shared(RefCell::new(State::Running(None))));
    let ending = Ending(Rc::clone(&shared));
    let run = async move {
        let output = future.await;
        ending.0.settle(State::Done(output));
    };
    (run, Unnamed(shared))
}

/// The pending output of a future on the same shard. Dropping the handle does not end the future.
///
/// # Cancel safety
/// Awaiting `&mut handle` and dropping that future loses nothing.
#[must_use = "drop it explicitly to let the future run by itself"]
pub struct JoinHandle<T> {
    shared: Rc<Shared<T>>,
    shard: ShardHandle,
    key: TaskKey,
}

impl<T> JoinHandle<T> {
    /// Aborts the future: it is dropped now, or when its poll returns. Awaiting the handle then
    /// gives [`JoinError::Ended`], unless the output was ready before.
    pub fn abort(&self) {
        self.shard.abort_task(self.key);
    }

    /// Whether the future has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.shared.0.borrow(), State::Running(_))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.0.borrow_mut();
        if let State::Running(waker) = &mut *state {
            if !waker
                .as_ref()
                .is_some_and(|have| have.will_wake(cx.waker()))
            {
                *waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(match std::mem::replace(&mut *state, State::Over) {
            State::Done(output) => Ok(output),
            State::Running(_) | State::Over => Err(JoinError::Ended),
        })
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle(finished: {})", self.is_finished())
    }
}

/// The output of a future that [`Engine::spawn_on`](crate::shard::Engine::spawn_on) runs, for any thread
/// and any executor. Dropping it does not end the future.
#[must_use = "drop it explicitly to let the future run by itself"]
pub struct RemoteJoin<T> {
    output: oneshot::Receiver<Result<T, JoinError>>,
}

impl<T> RemoteJoin<T> {
    pub(crate) fn new(output: oneshot::Receiver<Result<T, JoinError>>) -> Self {
        Self { output }
    }

    /// Waits for the output, blocking this thread.
    ///
    /// # Errors
    /// If the future gave no output.
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn wait(self) -> Result<T, JoinError> {
        refuse_on_shard("RemoteJoin::wait");
        self.output.blocking_recv().unwrap_or(Err(JoinError::Ended))
    }
}

impl<T> Future for RemoteJoin<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let output = std::task::ready!(Pin::new(&mut self.output).poll(cx));
        Poll::Ready(output.unwrap_or(Err(JoinError::Ended)))
    }
}

impl<T> fmt::Debug for RemoteJoin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteJoin")
    }
}
