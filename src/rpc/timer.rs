//! Messages for later: once, or again and again (`send_after`, `send_every`).
//!
//! ```text
//! on a shard of the env:   a future of the shard, on the shard's timers ──┐
//! on every other thread:   the env's timer thread ────────────────────────┴─► send, as everybody does
//! ```
//!
//! A timer sends as any other sender: its message waits in the inbox, and is handled in its turn.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use ringrail_codec::native::FailureCode;
use ringrail_transport::ShardHandle;
use ringrail_transport::shard::SpawnError;

use super::accepts::{Accepts, Any};
use super::clock;
use super::counted::Counted;
use super::dispatcher::dispatcher_of;
use super::endpoint::{EndpointContext, RpcEndpoint};
use super::endpoint_ref::RpcEndpointRef;
use super::error::{ENV_STOPPED, RpcError};
use super::message::Message;
use super::shared::{Timed, TimerGuard};
use super::sync::{AtomicBool, Mutex, MutexGuard};
use super::target::{Place, RefTarget};

/// The maximum number of timers of a process on threads that are no shards. On a shard, timers are futures and count
/// towards `ringrail.transport.maxFutures`.
pub const MAX_THREAD_TIMERS: usize = 65_536;

/// The shortest interval: the resolution of the timers.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// A message to be sent later. Dropping the handle does not cancel the timer; [`cancel`](Self::cancel) does.
///
/// ```
/// use std::time::Duration;
/// use ringrail::rpc::{EndpointContext, Failure, RpcEndpoint, RpcEnv, RpcError};
///
/// #[ringrail::interface]
/// trait Cache {
///     fn put(&mut self, key: String);
///     fn count(&self) -> u64;
///     #[message(one_way)]
///     fn expire(&mut self);
/// }
///
/// #[derive(Default)]
/// struct Store(Vec<String>);
///
/// impl RpcEndpoint for Store {
///     type Messages = CacheMessages;
///
///     fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
///         me.send_every(Duration::from_millis(5), || CacheExpire)?; // until the endpoint stops
///         Ok(())
///     }
/// }
///
/// impl Cache for Store {
///     fn put(&mut self, key: String) {
///         self.0.push(key);
///     }
///     fn count(&self) -> u64 {
///         self.0.len() as u64
///     }
///     fn expire(&mut self) {
///         self.0.clear();
///     }
/// }
///
/// let env = RpcEnv::builder("caches").backend("local").build()?;
/// let cache = CacheClient::new(&env.setup_endpoint("cache", Store::default())?);
/// cache.put("a".into()).wait()?;
/// while cache.count().wait()? > 0 {
///     std::thread::sleep(Duration::from_millis(1));
/// }
/// # Ok::<(), RpcError>(())
/// ```
#[derive(Clone)]
pub struct EndpointTimer {
    state: Arc<State>,
}

impl EndpointTimer {
    /// Cancels the timer. A message that was sent already stays sent.
    pub fn cancel(&self) {
        self.state.cancelled.store(true, Ordering::SeqCst);
        let held = std::mem::replace(&mut *self.state.hold(), Hold::Nothing);
        if let Hold::Future(waker) = held {
            waker.wake();
        }
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }
}

debug_text!(
    EndpointTimer,
    |this| "EndpointTimer(cancelled: {})",
    this.is_cancelled()
);

/// The state that a timer shares with its handle.
#[derive(Default)]
struct State {
    cancelled: AtomicBool,
    hold: Mutex<Hold>,
}

/// The means to end a timer early.
#[derive(Default)]
enum Hold {
    #[default]
    Nothing,
    /// Its future ends when it is woken.
    Future(Waker),
    /// Its entry among the env's timers ends by being dropped.
    Thread { _entry: Option<TimerGuard> },
}

impl State {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message to send, and its time.
struct Plan<M> {
    target: RpcEndpointRef<Any>,
    endpoint: Registered,
    make: Box<dyn FnMut() -> Option<M> + Send>,
    at_ns: u64,
    /// `None` for a message that is sent once.
    every_ns: Option<u64>,
}

/// The endpoint that a timer was set for, as far as this env knows it. A later one of the same name is another one.
struct Registered {
    serial: Option<u64>,
}

impl Registered {
    fn of(target: &RefTarget) -> Self {
        Self {
            serial: target.env().registry.serial_of(target.id()),
        }
    }

    fn is_there(&self, target: &RefTarget) -> bool {
        if !matches!(target.place(), Place::Here(_)) {
            return true;
        }
        match target.env().registry.serial_of(target.id()) {
            None => false,
            now => self.serial.is_none() || self.serial == now,
        }
    }
}

impl<M: Message> Plan<M> {
    /// The next message; `None` after the last. A panic ends the timer, not the thread that all timers share.
    fn make(&mut self) -> Option<M> {
        catch_unwind(AssertUnwindSafe(&mut self.make)).unwrap_or_else(|_| {
            tracing::error!(
                target: "ringrail::rpc",
                endpoint = %self.target,
                message = M::NAME,
                "a timer's message could not be made: its function panicked, and the timer has ended"
            );
            None
        })
    }

    /// Sends the message; false after the last one.
    fn fire(&mut self) -> bool {
        let target = Arc::clone(self.target.target());
        let env = target.env();
        if env.is_stopped() || !self.endpoint.is_there(&target) {
            return false;
        }
        let Some(message) = self.make() else {
            return false;
        };
        if let Err(error) = self.target.send(message) {
            env.lost(&target, M::NAME, error);
        }
        let Some(every_ns) = self.every_ns else {
            return false;
        };
        self.at_ns = next_ns(self.at_ns, every_ns, clock::now_ns());
        true
    }
}

/// The next time of an interval; times that have passed are skipped.
fn next_ns(at_ns: u64, every_ns: u64, now_ns: u64) -> u64 {
    let late_ns = now_ns.saturating_sub(at_ns);
    let rounds = late_ns / every_ns + 1;
    at_ns.saturating_add(rounds.saturating_mul(every_ns))
}

impl<E> RpcEndpointRef<E> {
    /// Sends a message after a while, up to a millisecond late; nothing where the endpoint or the env has ended by then.
    /// Of a message that cannot be taken then, the loss is [told](super::RpcEnvBuilder::on_lost).
    ///
    /// # Errors
    /// The env is stopped, or there are as many timers as there may be.
    pub fn send_after<M: Message, How>(
        &self,
        after: Duration,
        message: M,
    ) -> Result<EndpointTimer, RpcError>
    where
        E: Accepts<M, How>,
    {
        let mut message = Some(message);
        self.start_timer(after, None, move || message.take())
    }

    /// Sends a message at every interval, first after one, until the endpoint or the env has ended. Whoever is late is not
    /// sent twice; losses are told as those of [`send_after`](Self::send_after).
    ///
    /// # Errors
    /// The env is stopped, there are as many timers as there may be, or the interval is shorter than a millisecond.
    pub fn send_every<M: Message, How>(
        &self,
        every: Duration,
        mut make: impl FnMut() -> M + Send + 'static,
    ) -> Result<EndpointTimer, RpcError>
    where
        E: Accepts<M, How>,
    {
        if every < SHORTEST_INTERVAL {
            let text = format!("an interval of {every:?}: the shortest is {SHORTEST_INTERVAL:?}");
            return Err(RpcError::failure(FailureCode::InvalidArgument, text));
        }
        self.start_timer(every, Some(clock::ns(every)), move || Some(make()))
    }

    fn start_timer<M: Message>(
        &self,
        after: Duration,
        every_ns: Option<u64>,
        make: impl FnMut() -> Option<M> + Send + 'static,
    ) -> Result<EndpointTimer, RpcError> {
        let env = self.target().env();
        if env.is_stopped() {
            return Err(ENV_STOPPED);
        }
        let plan = Plan {
            target: self.any(),
            endpoint: Registered::of(self.target()),
            make: Box::new(make),
            at_ns: clock::now_ns().saturating_add(clock::ns(after)),
            every_ns,
        };
        let state = Arc::default();
        let on_shard = dispatcher_of(env.id()).and_then(|_| ShardHandle::current());
        match on_shard {
            Some(shard) => spawn(shard, plan, Arc::clone(&state))?,
            None => OnThread::start(plan, Arc::clone(&state))?,
        }
        Ok(EndpointTimer { state })
    }
}

impl<E: RpcEndpoint> EndpointContext<E> {
    /// Sends the endpoint a message after a while; see [`RpcEndpointRef::send_after`].
    ///
    /// # Errors
    /// As there.
    pub fn send_after<M: Message, How>(
        &self,
        after: Duration,
        message: M,
    ) -> Result<EndpointTimer, RpcError>
    where
        E: Accepts<M, How>,
    {
        self.self_ref().send_after(after, message)
    }

    /// Sends the endpoint a message at every interval; see [`RpcEndpointRef::send_every`].
    ///
    /// # Errors
    /// As there.
    pub fn send_every<M: Message, How>(
        &self,
        every: Duration,
        make: impl FnMut() -> M + Send + 'static,
    ) -> Result<EndpointTimer, RpcError>
    where
        E: Accepts<M, How>,
    {
        self.self_ref().send_every(every, make)
    }
}

/// Runs a timer as a future of this shard.
fn spawn<M: Message>(
    shard: ShardHandle,
    mut plan: Plan<M>,
    state: Arc<State>,
) -> Result<(), RpcError> {
    let on = shard.clone();
    let run = async move { while rest(&on, plan.at_ns, &state).await && plan.fire() {} };
    // It runs by itself.
    shard.spawn(run).map(drop).map_err(|error| match error {
        SpawnError::TooMany { limit, .. } => RpcError::busy(
            "the shard's table of futures, which timers are,",
            limit,
            "ringrail.transport.maxFutures",
        ),
        _ => ENV_STOPPED,
    })
}

/// Sleeps until `at_ns`; false if the timer was cancelled.
async fn rest(shard: &ShardHandle, at_ns: u64, state: &State) -> bool {
    let left = Duration::from_nanos(at_ns.saturating_sub(clock::now_ns()));
    let mut sleep = pin!(shard.sleep(left));
    poll_fn(|cx| {
        *state.hold() = Hold::Future(cx.waker().clone());
        // Checked after the waker is stored, so that a later cancel wakes this future.
        if state.is_cancelled() {
            return Poll::Ready(false);
        }
        sleep.as_mut().poll(cx).map(|()| true)
    })
    .await
}

/// The number of timers on threads that are no shards.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

/// A timer among those of the env's timer thread.
struct OnThread<M: Message> {
    me: Weak<Self>,
    plan: Mutex<Plan<M>>,
    state: Arc<State>,
    _counted: Counted,
}

impl<M: Message> OnThread<M> {
    fn start(plan: Plan<M>, state: Arc<State>) -> Result<(), RpcError> {
        let counted = Counted::new(&COUNTED, MAX_THREAD_TIMERS, "the table of timers")?;
        let timer = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            plan: Mutex::new(plan),
            state,
            _counted: counted,
        });
        timer.arm();
        Ok(())
    }

    fn plan(&self) -> MutexGuard<'_, Plan<M>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the timer to the env's table. The lock is held until the entry is stored, because the timer may fire, and arm
    /// itself again, before this returns.
    fn arm(&self) {
        let mut hold = self.state.hold();
        if self.state.is_cancelled() {
            return;
        }
        let (at_ns, timers) = {
            let plan = self.plan();
            (plan.at_ns, Arc::clone(&plan.target.target().env().timers))
        };
        if let Some(me) = self.me.upgrade() {
            let entry = timers.add(at_ns, me as Arc<dyn Timed>);
            *hold = Hold::Thread { _entry: entry };
        }
    }
}

impl<M: Message> Timed for OnThread<M> {
    fn time_out(&self) {
        if !self.state.is_cancelled() && self.plan().fire() {
            self.arm();
        }
    }

    fn env_ended(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_leaves_out_what_has_passed() {
        assert_eq!(next_ns(100, 10, 100), 110);
        assert_eq!(next_ns(100, 10, 99), 110);
        assert_eq!(next_ns(100, 10, 109), 110);
        assert_eq!(next_ns(100, 10, 110), 120);
        assert_eq!(next_ns(100, 10, 1000), 1010);
        assert_eq!(next_ns(u64::MAX - 5, 10, 0), u64::MAX);
    }
}
