//! [`Interceptor`]: code around the handlers of an endpoint, and before the asks of a client: limits, metrics, refusals.

use std::sync::Arc;
use std::time::Duration;

use super::call::RpcCallContext;
use super::message::{Message, Payload};
use super::{Failure, RpcAddress, clock};

/// One message that is handled or asked, as interceptors see it.
#[derive(Clone, Debug)]
pub struct CallInfo {
    message: &'static str,
    peer: Option<RpcAddress>,
}

impl CallInfo {
    pub(crate) fn new<M: Message>(peer: Option<RpcAddress>) -> Self {
        Self {
            message: M::NAME,
            peer,
        }
    }

    /// The message's name on the wire.
    pub fn message(&self) -> &'static str {
        self.message
    }

    /// The sender, around a handler that returns at once; the receiver, before an ask. `None` for an env that does not listen,
    /// if it is this one, and around handlers by futures.
    pub fn peer(&self) -> Option<&RpcAddress> {
        self.peer.as_ref()
    }
}

/// Code around handlers that return their reply ([`RpcEndpoint::interceptors`](super::RpcEndpoint::interceptors)), and
/// before asks ([`Client::with_interceptors`](super::Client::with_interceptors)). Shared by threads; must not block.
///
/// Of several, each stands around those behind it: `before` is called in their order, `after` in the reverse order, of
/// those whose `before` let the message pass.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use ringrail::rpc::{CallInfo, Failure, FailureCode, Interceptor, Interceptors, RpcEndpoint, RpcEnv};
///
/// /// Lets so many messages through.
/// struct Quota(AtomicU64);
///
/// impl Interceptor for Quota {
///     fn before(&self, call: &CallInfo) -> Result<(), Failure> {
///         let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
///         left.map(drop).map_err(|_| {
///             Failure::new(FailureCode::Busy, format!("no {} is left", call.message()))
///         })
///     }
/// }
///
/// #[ringrail::interface(name = "shop")]
/// trait Shop {
///     fn buy(&mut self) -> u64;
/// }
///
/// struct Counter(u64, Interceptors);
///
/// impl RpcEndpoint for Counter {
///     type Messages = ShopMessages;
///     fn interceptors(&self) -> Option<&Interceptors> {
///         Some(&self.1)
///     }
/// }
///
/// impl Shop for Counter {
///     fn buy(&mut self) -> u64 {
///         self.0 += 1;
///         self.0
///     }
/// }
///
/// let env = RpcEnv::builder("shops").backend("local").build()?;
/// let counter = Counter(0, Interceptors::new([Arc::new(Quota(AtomicU64::new(1))) as _]));
/// let shop = ShopClient::new(&env.setup_endpoint("shop", counter)?);
/// assert_eq!(shop.buy().wait()?, 1);
/// assert!(shop.buy().wait().unwrap_err().to_string().contains("no shop.buy is left"));
/// # Ok::<(), ringrail::rpc::RpcError>(())
/// ```
pub trait Interceptor: Send + Sync + 'static {
    /// Before the message is handled, or asked.
    ///
    /// # Errors
    /// It is refused: the handler is not called, nothing is sent, and this is the answer.
    #[expect(unused_variables, reason = "for whoever implements it")]
    fn before(&self, call: &CallInfo) -> Result<(), Failure> {
        Ok(())
    }

    /// After the handler has returned, or an interceptor behind this one has refused. Not called for asks.
    #[expect(unused_variables, reason = "for whoever implements it")]
    fn after(&self, call: &CallInfo, failure: Option<&Failure>, took: Duration) {}
}

/// Interceptors, the outermost first. Cheap to clone.
#[derive(Clone)]
pub struct Interceptors {
    all: Arc<[Arc<dyn Interceptor>]>,
}

impl Interceptors {
    /// These, the outermost first.
    pub fn new(all: impl IntoIterator<Item = Arc<dyn Interceptor>>) -> Self {
        Self {
            all: all.into_iter().collect(),
        }
    }

    /// Before a message is asked.
    ///
    /// # Errors
    /// One of them refuses the message.
    pub(crate) fn before(&self, call: &CallInfo) -> Result<(), Failure> {
        self.all.iter().try_for_each(|it| it.before(call))
    }

    /// Begins a call that is handled.
    ///
    /// # Errors
    /// One of them refuses the message.
    fn enter(&self, info: CallInfo) -> Result<Entered<'_>, Failure> {
        let begun_ns = clock::now_ns();
        for (passed, interceptor) in self.all.iter().enumerate() {
            if let Err(failure) = interceptor.before(&info) {
                let entered = Entered {
                    all: &self.all[..passed],
                    info,
                    begun_ns,
                };
                entered.leave(Some(&failure));
                return Err(failure);
            }
        }
        Ok(Entered {
            all: &self.all,
            info,
            begun_ns,
        })
    }
}

debug_text!(Interceptors, |this| "Interceptors({})", this.all.len());

/// A call that interceptors let pass.
struct Entered<'a> {
    all: &'a [Arc<dyn Interceptor>],
    info: CallInfo,
    begun_ns: u64,
}

impl Entered<'_> {
    fn leave(&self, failure: Option<&Failure>) {
        let took_ns = clock::now_ns().saturating_sub(self.begun_ns);
        for interceptor in self.all.iter().rev() {
            interceptor.after(&self.info, failure, Duration::from_nanos(took_ns));
        }
    }
}

/// Runs a handler that returns at once between them.
#[inline(never)]
pub(crate) fn around<M: Message, T>(
    interceptors: &Interceptors,
    call: &RpcCallContext<'_, M::Reply>,
    handle: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let entered = interceptors.enter(CallInfo::new::<M>(call.sender_address()))?;
    let outcome = handle();
    entered.leave(outcome.as_ref().err());
    outcome
}

/// Runs a handler's future between them.
pub(crate) async fn around_future<M: Message, R: Payload>(
    interceptors: Option<Interceptors>,
    handle: impl Future<Output = Result<R, Failure>>,
) -> Result<R, Failure> {
    let Some(interceptors) = interceptors else {
        return handle.await;
    };
    let entered = interceptors.enter(CallInfo::new::<M>(None))?;
    let outcome = handle.await;
    entered.leave(outcome.as_ref().err());
    outcome
}
