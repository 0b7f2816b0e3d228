//! The surroundings of a handler that returns its reply: the deadline of its caller, which typed clients inherit, a span, and
//! the endpoint's interceptors.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use tracing::Span;

use super::call::RpcCallContext;
use super::interceptor::{self, Interceptors};
use super::message::{Message, Payload};
use super::{Failure, RpcTimeout, clock};

thread_local! {
    /// The deadline of the call that the handler on this thread answers, in ns; `u64::MAX` if unknown.
    static DEADLINE_NS: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// The name of an inherited timeout in errors.
const INHERITED: &str = "the deadline of the call that was being handled";

/// Makes a deadline the current one until dropped.
struct Within {
    before_ns: u64,
}

impl Within {
    #[inline]
    fn new(deadline_ns: u64) -> Self {
        Self {
            before_ns: DEADLINE_NS.replace(deadline_ns),
        }
    }
}

impl Drop for Within {
    #[inline]
    fn drop(&mut self) {
        DEADLINE_NS.set(self.before_ns);
    }
}

/// The time until the caller of the handler that runs on this thread stops waiting; `None` outside of handlers, and
/// where the message wants no reply. Of handlers that return their reply.
///
/// Typed clients ask no longer than that. A handler that asks by a ref, or works for long, can look at it itself.
pub fn time_left() -> Option<Duration> {
    match DEADLINE_NS.get() {
        u64::MAX => None,
        deadline_ns => Some(Duration::from_nanos(
            deadline_ns.saturating_sub(clock::now_ns()),
        )),
    }
}

/// The time of an ask: `own`, else `usual`, but no longer than the caller of the current handler waits.
pub(crate) fn timeout(own: Option<&RpcTimeout>, usual: &RpcTimeout) -> Option<RpcTimeout> {
    let wanted = own.unwrap_or(usual);
    match time_left() {
        Some(left) if left < wanted.duration() => Some(RpcTimeout::new(left, INHERITED)),
        _ => own.cloned(),
    }
}

/// Runs a handler that returns at once.
#[inline]
pub(crate) fn now<M: Message>(
    call: &RpcCallContext<'_, M::Reply>,
    interceptors: Option<&Interceptors>,
    handle: impl FnOnce() -> Result<M::Reply, Failure>,
) -> Result<M::Reply, Failure> {
    let _within = Within::new(call.deadline_ns());
    let span = span::<M>();
    if !span.is_disabled() {
        told_sender(&span, call);
    }
    span.in_scope(|| match interceptors {
        None => handle(),
        Some(interceptors) => interceptor::around::<M, _>(interceptors, call, handle),
    })
}

/// Runs a handler's future.
pub(crate) async fn by_future<M: Message>(
    deadline_ns: u64,
    interceptors: Option<Interceptors>,
    handle: impl Future<Output = Result<M::Reply, Failure>>,
) -> Result<M::Reply, Failure> {
    let span = span::<M>();
    let mut future = pin!(interceptor::around_future::<M, _>(interceptors, handle));
    poll_fn(|cx| {
        let _within = Within::new(deadline_ns);
        let _span = span.enter();
        future.as_mut().poll(cx)
    })
    .await
}

/// The span of one handled message; none where nobody looks.
#[inline]
fn span<M: Message>() -> Span {
    tracing::debug_span!(
        target: "ringrail::rpc",
        "handle",
        message = M::NAME,
        from = tracing::field::Empty
    )
}

#[cold]
fn told_sender<R: Payload>(span: &Span, call: &RpcCallContext<'_, R>) {
    if let Some(sender) = call.sender_address() {
        span.record("from", tracing::field::display(sender));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ask_waits_no_longer_than_the_caller() {
        let seconds = |count| RpcTimeout::new(Duration::from_secs(count), "some.key");
        assert_eq!(timeout(None, &seconds(10)), None);
        assert_eq!(timeout(Some(&seconds(3)), &seconds(10)), Some(seconds(3)));
        let in_5_s = clock::now_ns() + 5_000_000_000;
        let _within = Within::new(in_5_s);
        {
            let _none = Within::new(u64::MAX);
            assert_eq!(time_left(), None);
        }
        assert_eq!(timeout(Some(&seconds(3)), &seconds(10)), Some(seconds(3)));
        for own in [None, Some(&seconds(7))] {
            let inherited = timeout(own, &seconds(10)).unwrap();
            assert!(inherited.duration() <= Duration::from_secs(5));
            assert_eq!(inherited.key(), INHERITED);
        }
    }
}
