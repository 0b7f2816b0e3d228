//! [`Sending`]: a message that wants no reply, whose sender waits until there is room for it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::clock;
use super::endpoint_ref::RefTarget;
use super::env::{Sleep, Timed, TimerGuard};
use super::error::{ENV_STOPPED, RpcError};
use super::message::Message;
use super::parcel::{Parcel, SendOptions};

/// The first wait for room, in ns; it doubles each time.
const FIRST_WAIT_NS: u64 = 1_000_000;

/// The longest, in ns.
const LONGEST_WAIT_NS: u64 = 32_000_000;

/// A message on its way to be taken; see [`RpcEndpointRef::send_async`](super::RpcEndpointRef::send_async).
///
/// # Cancel safety
/// Dropping it before it is done retracts the message, if it has not been taken.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the message"]
pub struct Sending<M: Message> {
    state: State<M>,
    wait_ns: u64,
}

enum State<M: Message> {
    Failed(RpcError),
    /// To be posted.
    New(Arc<Parcel<M>>),
    /// Its host is to say whether it takes it.
    Posted(Arc<Parcel<M>>, Option<TimerGuard>),
    /// There was no room.
    Waiting(Arc<Parcel<M>>, Sleep),
    Over,
}

impl<M: Message> Sending<M> {
    pub(crate) fn new(target: &Arc<RefTarget>, message: M) -> Self {
        let options = SendOptions {
            one_way: true,
            confirms: true,
            ..SendOptions::default()
        };
        let state = match Parcel::new(target, message, options) {
            Ok(parcel) => State::New(parcel),
            Err(error) => State::Failed(error),
        };
        Self {
            state,
            wait_ns: FIRST_WAIT_NS,
        }
    }

    /// It was not taken: waits where there may be room later.
    fn refused(&mut self, parcel: Arc<Parcel<M>>, error: RpcError) -> Option<RpcError> {
        if !error.wants_room() {
            return Some(error);
        }
        let at_ns = clock::now_ns().saturating_add(self.wait_ns);
        self.wait_ns = (2 * self.wait_ns).min(LONGEST_WAIT_NS);
        let sleep = Sleep::until(parcel.target_arc().env().timers(), at_ns);
        self.state = State::Waiting(parcel, sleep);
        None
    }
}

impl<M: Message> Future for Sending<M> {
    type Output = Result<(), RpcError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let refused = match std::mem::replace(&mut self.state, State::Over) {
                State::Failed(error) => return Poll::Ready(Err(error)),
                // Polled again after the end.
                State::Over => return Poll::Ready(Err(ENV_STOPPED)),
                State::New(parcel) => {
                    let posted = match parcel.is_at_home() {
                        true => match parcel.post_to_host() {
                            Ok(()) => return Poll::Ready(Ok(())),
                            refused => refused,
                        },
                        false => {
                            // Told by the waker that is left with it first.
                            let _ = parcel.poll_taken(cx.waker());
                            parcel.post_to_host()
                        }
                    };
                    match posted {
                        Ok(()) => {
                            self.state = State::Posted(parcel, None);
                            continue;
                        }
                        Err(error) => self.refused(parcel, error),
                    }
                }
                State::Posted(parcel, guard) => match parcel.poll_taken(cx.waker()) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(error)) => self.refused(parcel, error),
                    Poll::Pending => {
                        // The end of the env is told also where the thread is blocked.
                        let timers = parcel.target_arc().env().timers();
                        let watched = || Arc::clone(&parcel) as Arc<dyn Timed>;
                        let guard = guard.or_else(|| timers.add(u64::MAX, watched()));
                        self.state = State::Posted(parcel, guard);
                        return Poll::Pending;
                    }
                },
                State::Waiting(parcel, mut sleep) => match Pin::new(&mut sleep).poll(cx) {
                    Poll::Ready(()) => {
                        self.state = State::New(parcel);
                        None
                    }
                    Poll::Pending => {
                        self.state = State::Waiting(parcel, sleep);
                        return Poll::Pending;
                    }
                },
            };
            if let Some(error) = refused {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl<M: Message> Drop for Sending<M> {
    fn drop(&mut self) {
        if let State::Posted(parcel, _) = &self.state {
            parcel.retract_unsent();
        }
    }
}

// Nothing in it is pinned.
impl<M: Message> Unpin for Sending<M> {}

impl<M: Message> fmt::Debug for Sending<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sending({})", M::NAME)
    }
}

impl<M: Message> Parcel<M> {
    /// Its sender lets go: it is not delivered, unless it has been.
    fn retract_unsent(&self) {
        self.gone().store(true, Ordering::SeqCst);
    }
}
