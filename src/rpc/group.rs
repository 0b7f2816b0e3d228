//! [`EndpointGroup`]: several endpoints that do the same, of which one is asked, and another where that cannot be.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ringrail_codec::native::FailureCode;

use super::ask::block_on;
use super::message::Payload;
use super::timeout::AskPhase;
use super::{Ask, RpcAddress, RpcEndpointRef, RpcEnv, RpcError, clock};

/// The maximum number of endpoints of a group.
pub const MAX_GROUP: usize = 1024;

/// How long an endpoint that could not be asked is tried last, in ns.
const REST_NS: u64 = 1_000_000_000;

/// The order in which the endpoints of a group are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The first that can be: a primary, and those that stand in for it.
    #[default]
    InOrder,
    /// Each in turn: work is spread.
    InTurn,
}

/// Several endpoints that do the same, at several addresses. Cheap to clone, for any thread.
///
/// If the chosen endpoint certainly did not handle the message (no connection, shutting down, no room), the next one is tried,
/// and the first is tried last for one second. A message that may have been handled is not sent again, unless
/// [`asks_again`](Self::asks_again) allows it.
///
/// ```
/// use ringrail::rpc::{Choice, EndpointGroup, RpcEndpoint, RpcEnv};
///
/// #[ringrail::interface]
/// trait Counter {
///     fn add(&mut self, n: u64) -> u64;
/// }
///
/// struct Counting(u64);
/// impl RpcEndpoint for Counting {
///     type Messages = CounterMessages;
/// }
/// impl Counter for Counting {
///     fn add(&mut self, n: u64) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// let primary = RpcEnv::builder("primary").backend("local").build()?;
/// let second = RpcEnv::builder("second").backend("local").build()?;
/// let mut addresses = Vec::new();
/// for env in [&primary, &second] {
///     env.setup_endpoint("counter", Counting(0))?;
///     addresses.extend(env.address().cloned());
/// }
///
/// let env = RpcEnv::builder("asker").backend("local").client_mode().build()?;
/// let counters = EndpointGroup::at(&env, &addresses, "counter")?.choosing(Choice::InOrder);
/// let add = |n| counters.call_blocking(|counter| CounterClient::new(counter).add(n));
/// assert_eq!(add(2)?, 2);
/// assert_eq!(add(3)?, 5);
/// primary.shutdown();
/// primary.await_termination()?;
/// assert_eq!(add(4)?, 4); // by the second
/// # Ok::<(), ringrail::rpc::RpcError>(())
/// ```
#[derive(Clone)]
pub struct EndpointGroup {
    members: Arc<[Member]>,
    next: Arc<AtomicUsize>,
    choice: Choice,
    asks_again: bool,
}

struct Member {
    target: RpcEndpointRef,
    /// Until this time the endpoint is tried last: it could not be asked.
    rests_until_ns: AtomicU64,
}

impl EndpointGroup {
    /// A group of these endpoints.
    ///
    /// # Errors
    /// There are none, or more than [`MAX_GROUP`].
    pub fn new(targets: impl IntoIterator<Item = RpcEndpointRef>) -> Result<Self, RpcError> {
        let targets = targets.into_iter().take(MAX_GROUP + 1);
        let members: Arc<[Member]> = targets
            .map(|target| Member {
                target,
                rests_until_ns: AtomicU64::new(0),
            })
            .collect();
        if !(1..=MAX_GROUP).contains(&members.len()) {
            let text = format!("a group has 1 to {MAX_GROUP} endpoints");
            return Err(RpcError::failure(FailureCode::InvalidArgument, text));
        }
        Ok(Self {
            members,
            next: Arc::default(),
            choice: Choice::default(),
            asks_again: false,
        })
    }

    /// The endpoints of one name at these addresses. Whether they are there shows when they are asked.
    ///
    /// # Errors
    /// As [`new`](Self::new); the name cannot be one.
    pub fn at(env: &RpcEnv, addresses: &[RpcAddress], name: &str) -> Result<Self, RpcError> {
        let targets = addresses.iter().map(|address| env.ref_at(address, name));
        Self::new(targets.collect::<Result<Vec<_>, _>>()?)
    }

    /// Sets the order in which endpoints are tried.
    #[must_use]
    pub fn choosing(mut self, choice: Choice) -> Self {
        self.choice = choice;
        self
    }

    /// Asks the next one also where the last may have handled the message: its connection was lost, or its time was up.
    /// For messages that may be handled twice.
    #[must_use]
    pub fn asks_again(mut self) -> Self {
        self.asks_again = true;
        self
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none: never.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Asks by `ask`, which is called for one endpoint, and for another where the first cannot be asked.
    ///
    /// # Errors
    /// Those of the last that was tried, as [`RpcError::Retried`] where there were several.
    ///
    /// # Cancel safety
    /// Dropping the future retracts the ask that is under way.
    pub async fn call<R: Payload>(
        &self,
        mut ask: impl FnMut(&RpcEndpointRef) -> Ask<R>,
    ) -> Result<R, RpcError> {
        let mut attempts = 0;
        let mut failed = None;
        for at in self.order() {
            let member = &self.members[at];
            attempts += 1;
            match ask(&member.target).await {
                Ok(reply) => {
                    member.rests_until_ns.store(0, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(error) if is_unheard(&error) => {
                    let until_ns = clock::now_ns().saturating_add(REST_NS);
                    member.rests_until_ns.store(until_ns, Ordering::Relaxed);
                    failed = Some(error);
                }
                Err(error) if self.asks_again && is_unsure(&error) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        let last = failed.ok_or_else(|| RpcError::other("the group has no endpoints"))?;
        match attempts {
            1 => Err(last),
            attempts => Err(RpcError::Retried {
                message: "of a group of endpoints",
                attempts,
                last: Arc::new(last),
            }),
        }
    }

    /// As [`call`](Self::call), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn call_blocking<R: Payload>(
        &self,
        ask: impl FnMut(&RpcEndpointRef) -> Ask<R>,
    ) -> Result<R, RpcError> {
        super::dispatcher::may_wait_for(None, "call_blocking")?;
        block_on(self.call(ask))
    }

    /// The endpoints as they are to be tried: each once, those that rest last.
    fn order(&self) -> Vec<usize> {
        let len = self.members.len();
        let first = match self.choice {
            Choice::InOrder => 0,
            Choice::InTurn => self.next.fetch_add(1, Ordering::Relaxed) % len,
        };
        let now_ns = clock::now_ns();
        let rests = |at: &usize| {
            let until_ns = self.members[*at].rests_until_ns.load(Ordering::Relaxed);
            until_ns > now_ns
        };
        let all = (first..len).chain(0..first);
        let (resting, mut order): (Vec<_>, Vec<_>) = all.partition(rests);
        order.extend(resting);
        assert_eq!(order.len(), len, "each endpoint is tried once");
        order
    }
}

/// Whether the message was certainly not handled.
fn is_unheard(error: &RpcError) -> bool {
    match error {
        RpcError::Connect { .. } | RpcError::OutboxStopped | RpcError::NoListenAddress => true,
        RpcError::TimedOut(late) => matches!(late.phase, AskPhase::Posted | AskPhase::Connecting),
        RpcError::Busy { .. } => true,
        RpcError::Remote { failure, .. } => {
            matches!(
                failure.code(),
                FailureCode::Busy | FailureCode::ShuttingDown
            )
        }
        _ => false,
    }
}

/// Whether the message may have been handled, and another endpoint may answer.
fn is_unsure(error: &RpcError) -> bool {
    matches!(
        error,
        RpcError::Disconnected { .. } | RpcError::TimedOut(_) | RpcError::Request(_)
    )
}

impl fmt::Debug for EndpointGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.members.iter().map(|member| &member.target);
        f.debug_list().entries(members).finish()
    }
}
