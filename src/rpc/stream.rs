//! Replies that are streams: the handler returns a [`StreamRef`], whoever asked reads its items as they come.
//!
//! ```text
//! handler ─ open_stream(items) ─► an endpoint of its own, which has the items
//!                                   ▲ Pull: so many, please         │ Batch: up to as many
//! asker ── StreamRef::read ───────► Items: one batch is read while the next one is on its way
//! ```
//!
//! Nothing is made that is not asked for: at most two batches of items are on their way or wait at the reader. A reader that
//! is dropped closes the stream; one that is gone without a word, or reads nothing for [`STREAM_IDLE`], is let go.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ringrail_codec::native::FailureCode;
use rkyv::{Archive, Deserialize, Serialize};

use super::ask::block_on;
use super::call::{HeldCall, RpcCallContext};
use super::endpoint::{EndpointContext, Handle, RpcEndpoint};
use super::env::next_serial;
use super::fingerprint::{Fingerprint, Schema, message_schema};
use super::handler::Handler;
use super::message::{Message, Payload};
use super::received::Received;
use super::{Ask, EndpointOptions, Failure, RpcEndpointRef, RpcEnv, RpcError, clock};

/// Streams that a process has open at a time, at most.
pub const MAX_STREAMS: usize = 4096;

/// A stream from which nothing was read for so long is closed.
pub const STREAM_IDLE: Duration = Duration::from_secs(120);

/// How often a stream looks whether anybody still reads it.
const LOOK: Duration = Duration::from_secs(1);

/// Items of one batch, at most.
const MAX_CREDIT: u32 = 65_536;

/// Items of one batch, unless the reader says otherwise.
const USUAL_CREDIT: u32 = 64;

/// A stream of items, in a reply or message. [`read`](Self::read) reads it; one that is never read is closed after
/// [`STREAM_IDLE`].
///
/// ```
/// use ringrail::rpc::{EndpointContext, Failure, RpcEndpoint, RpcEnv, RpcError, StreamRef};
///
/// #[ringrail::interface]
/// trait Primes {
///     fn below(&self, end: u64) -> Result<StreamRef<u64>, Failure>;
/// }
///
/// #[derive(Default)]
/// struct Sieve(Option<RpcEnv>);
///
/// impl RpcEndpoint for Sieve {
///     type Messages = PrimesMessages;
///     fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
///         self.0 = Some(me.env());
///         Ok(())
///     }
/// }
///
/// impl Primes for Sieve {
///     fn below(&self, end: u64) -> Result<StreamRef<u64>, Failure> {
///         let env = self.0.as_ref().ok_or(Failure::text("not started"))?;
///         let is_prime = |n: &u64| (2..*n).all(|by| n % by != 0);
///         Ok(env.open_stream((2..end).filter(is_prime))?) // made as they are read
///     }
/// }
///
/// let env = RpcEnv::builder("primes").backend("local").build()?;
/// let primes = PrimesClient::new(&env.setup_endpoint("primes", Sieve::default())?);
/// let below = primes.below(20).wait()?.read().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(below, [2, 3, 5, 7, 11, 13, 17, 19]);
/// # Ok::<(), RpcError>(())
/// ```
#[derive(Archive, Serialize, Deserialize)]
pub struct StreamRef<T: 'static> {
    source: RpcEndpointRef,
    items: PhantomData<fn() -> T>,
}

impl<T: Schema> Schema for StreamRef<T> {
    const FINGERPRINT: u64 = Fingerprint::new("StreamRef")
        .number(T::FINGERPRINT)
        .finish();
}

impl<T> fmt::Debug for StreamRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamRef({})", self.source)
    }
}

/// What a stream may consist of: whatever messages may.
pub trait StreamItem: Payload + Schema {
    /// The name of the message that asks for items of this type: items of other types have another one.
    #[doc(hidden)]
    const PULL: &'static str;
}

/// In front of the fingerprint.
const PREFIX: &[u8; 16] = b"rpc.stream.Pull.";

/// `rpc.stream.Pull.` and the fingerprint in hexadecimal.
const fn pull_name(fingerprint: u64) -> [u8; 32] {
    let mut name = [0; 32];
    let mut at = 0;
    while at < 16 {
        name[at] = PREFIX[at];
        let digit = (fingerprint >> (60 - 4 * at)) as usize & 15;
        name[16 + at] = b"0123456789abcdef"[digit];
        at += 1;
    }
    name
}

struct PullName<T>(PhantomData<T>);

impl<T: Schema> PullName<T> {
    const BYTES: &'static [u8; 32] = &pull_name(T::FINGERPRINT);
}

impl<T: Payload + Schema> StreamItem for T {
    const PULL: &'static str = match std::str::from_utf8(PullName::<T>::BYTES) {
        Ok(name) => name,
        Err(_) => panic!("hexadecimal digits are text"),
    };
}

/// Asks for up to so many items.
#[derive(Archive, Serialize, Deserialize)]
struct Pull<T: 'static> {
    credit: u32,
    items: PhantomData<fn() -> T>,
}

/// Items, at least one unless they are the last.
#[derive(Archive, Serialize, Deserialize)]
struct Batch<T> {
    items: Vec<T>,
    is_last: bool,
}

impl<T: Schema> Schema for Pull<T> {
    const FINGERPRINT: u64 = Fingerprint::new("Pull").field::<u32>("credit").finish();
}

impl<T: Schema> Schema for Batch<T> {
    const FINGERPRINT: u64 = Fingerprint::new("Batch")
        .field::<Vec<T>>("items")
        .field::<bool>("is_last")
        .finish();
}

impl<T: StreamItem> Message for Pull<T> {
    type Reply = Batch<T>;
    const NAME: &'static str = T::PULL;
    const SCHEMA: u64 = message_schema::<Self, Batch<T>>();
}

/// The reader wants no more.
#[derive(Archive, Serialize, Deserialize)]
struct Close;

impl Message for Close {
    type Reply = ();
    const NAME: &'static str = "rpc.stream.Close";
}

/// The next item may be there; from the stream's own waker.
#[derive(Archive, Serialize, Deserialize)]
struct GoOn;

impl Message for GoOn {
    type Reply = ();
    const NAME: &'static str = "rpc.stream.GoOn";
}

/// Time has passed; from the stream's own timer.
#[derive(Archive, Serialize, Deserialize)]
struct Look;

impl Message for Look {
    type Reply = ();
    const NAME: &'static str = "rpc.stream.Look";
}

/// Streams of this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct Counted;

impl Counted {
    /// # Errors
    /// There are as many as there may be.
    fn new() -> Result<Self, RpcError> {
        let counted = Self;
        if OPEN.fetch_add(1, Ordering::Relaxed) < MAX_STREAMS {
            return Ok(counted);
        }
        Err(RpcError::Busy {
            what: "the table of open streams",
            limit: MAX_STREAMS as u64,
            key: "nothing: it is fixed",
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The next item, some time.
type Next<T> = Pin<Box<dyn Future<Output = Option<Result<T, Failure>>> + Send>>;

/// Where items come from.
enum From<T> {
    Iterator(Box<dyn Iterator<Item = Result<T, Failure>> + Send>),
    Futures {
        make: Box<dyn FnMut() -> Next<T> + Send>,
        /// One that is under way.
        next: Option<Next<T>>,
    },
}

impl<T> From<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Failure>>> {
        match self {
            From::Iterator(items) => Poll::Ready(items.next()),
            From::Futures { make, next } => {
                let item = next.get_or_insert_with(make).as_mut().poll(cx);
                if item.is_ready() {
                    *next = None;
                }
                item
            }
        }
    }
}

impl RpcEnv {
    /// A stream of these items, which are made as they are read, on a thread of the env: making one must not block.
    ///
    /// # Errors
    /// The env is stopped, or the process has [`MAX_STREAMS`] streams.
    pub fn open_stream<T: StreamItem>(
        &self,
        items: impl IntoIterator<Item = T, IntoIter: Send + 'static>,
    ) -> Result<StreamRef<T>, RpcError> {
        let items = items.into_iter().map(Ok);
        self.open(From::Iterator(Box::new(items)))
    }

    /// A stream of the items that futures give, one after the other, until one gives `None`, or a failure, which the reader
    /// gets as the last.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub fn open_stream_with<T, F>(
        &self,
        mut next: impl FnMut() -> F + Send + 'static,
    ) -> Result<StreamRef<T>, RpcError>
    where
        T: StreamItem,
        F: Future<Output = Option<Result<T, Failure>>> + Send + 'static,
    {
        self.open(From::Futures {
            make: Box::new(move || Box::pin(next())),
            next: None,
        })
    }

    fn open<T: StreamItem>(&self, from: From<T>) -> Result<StreamRef<T>, RpcError> {
        let counted = Counted::new()?;
        let source = move || Source {
            from,
            me: None,
            pulled_ns: clock::now_ns(),
            waiting: None,
            items: Vec::new(),
            end: None,
            _counted: counted,
        };
        let name = format!("stream-{}", next_serial());
        let source = self.setup_endpoint_with(&name, EndpointOptions::default(), source)?;
        Ok(StreamRef {
            source: source.any(),
            items: PhantomData,
        })
    }
}

/// The endpoint that has the items of one stream. None of its handlers waits: a reader that goes away is heard at once.
struct Source<T: StreamItem> {
    from: From<T>,
    me: Option<Me<T>>,
    pulled_ns: u64,
    /// Whoever waits for items, and how many it wants.
    waiting: Option<(HeldCall<Batch<T>>, usize)>,
    /// Items for it.
    items: Vec<T>,
    /// How the items ended; told when all of them have been read.
    end: Option<Result<(), Failure>>,
    _counted: Counted,
}

struct Me<T: StreamItem> {
    env: RpcEnv,
    myself: RpcEndpointRef<Source<T>>,
    wake: Arc<Wakes>,
}

/// Has a source go on when its next item may be there: by a message, so that it goes on in its own turn.
struct Wakes {
    source: RpcEndpointRef,
    is_sent: AtomicBool,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        // A message that is not taken is made up for by the next look.
        if !self.is_sent.swap(true, Ordering::AcqRel) && self.source.send(GoOn).is_err() {
            self.is_sent.store(false, Ordering::Release);
        }
    }
}

impl<T: StreamItem> RpcEndpoint for Source<T> {
    type Messages = (Pull<T>, GoOn, Close, Look);

    fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
        let wakes = Wakes {
            source: me.self_ref().any(),
            is_sent: AtomicBool::new(false),
        };
        self.me = Some(Me {
            env: me.env(),
            myself: me.self_ref(),
            wake: Arc::new(wakes),
        });
        me.send_every(LOOK, || Look)?;
        Ok(())
    }
}

impl<T: StreamItem> Source<T> {
    fn stop(&self) {
        if let Some(me) = &self.me {
            me.env.stop(&me.myself);
        }
    }

    /// Answers whoever waits, if there is something to say.
    fn go_on(&mut self) {
        let Some((call, credit)) = self.waiting.take() else {
            return;
        };
        if call.is_retracted() {
            return self.stop();
        }
        self.fill(credit);
        match &self.end {
            None if self.items.is_empty() => self.waiting = Some((call, credit)),
            Some(Err(failure)) if self.items.is_empty() => {
                call.send_failure(failure.clone().into_error());
                self.stop();
            }
            end => {
                let is_last = matches!(end, Some(Ok(())));
                let items = std::mem::take(&mut self.items);
                call.reply(Batch { items, is_last });
                self.pulled_ns = clock::now_ns();
                if is_last {
                    self.stop();
                }
            }
        }
    }

    /// Takes the items that are there, up to `credit`.
    fn fill(&mut self, credit: usize) {
        let Some(me) = &self.me else {
            return;
        };
        me.wake.is_sent.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&me.wake));
        let mut context = Context::from_waker(&waker);
        while self.items.len() < credit && self.end.is_none() {
            match self.from.poll(&mut context) {
                Poll::Ready(Some(Ok(item))) => self.items.push(item),
                Poll::Ready(Some(Err(failure))) => self.end = Some(Err(failure)),
                Poll::Ready(None) => self.end = Some(Ok(())),
                Poll::Pending => return,
            }
        }
    }
}

impl<T: StreamItem> Handle<Pull<T>> for Source<T> {
    fn handle(
        &mut self,
        pull: Received<'_, Pull<T>>,
        call: RpcCallContext<'_, Batch<T>>,
    ) -> Result<(), RpcError> {
        let credit = pull.take()?.credit.clamp(1, MAX_CREDIT) as usize;
        self.pulled_ns = clock::now_ns();
        if let Some((other, _)) = &self.waiting
            && !other.is_retracted()
        {
            let text = "somebody else reads this stream";
            return Err(RpcError::failure(FailureCode::InvalidArgument, text));
        }
        self.waiting = Some((call.hold(), credit));
        self.go_on();
        Ok(())
    }
}

impl<T: StreamItem> Handler<GoOn> for Source<T> {
    fn handle(&mut self, _: Received<'_, GoOn>) -> Result<(), Failure> {
        self.go_on();
        Ok(())
    }
}

impl<T: StreamItem> Handler<Close> for Source<T> {
    fn handle(&mut self, _: Received<'_, Close>) -> Result<(), Failure> {
        self.stop();
        Ok(())
    }
}

impl<T: StreamItem> Handler<Look> for Source<T> {
    fn handle(&mut self, _: Received<'_, Look>) -> Result<(), Failure> {
        let idle_ns = clock::now_ns().saturating_sub(self.pulled_ns);
        match &self.waiting {
            Some(_) => self.go_on(),
            None if idle_ns >= clock::ns(STREAM_IDLE) => self.stop(),
            None => {}
        }
        Ok(())
    }
}

impl<T: StreamItem> StreamRef<T> {
    /// Reads the items, in batches of 64.
    pub fn read(self) -> Items<T> {
        self.read_by(USUAL_CREDIT)
    }

    /// Reads the items in batches of so many, 1 to 65,536: of large items fewer, so that two batches fit into memory and one
    /// into a message (`ringrail.rpc.message.maxSize`).
    pub fn read_by(self, credit: u32) -> Items<T> {
        let mut items = Items {
            source: self.source,
            ready: VecDeque::new(),
            asked: None,
            is_over: false,
            credit: credit.clamp(1, MAX_CREDIT),
        };
        items.pull();
        items
    }
}

/// The items of a stream, as they come: by [`next_item`](Self::next_item) in any runtime, or as an iterator, which blocks its
/// thread. Ends after the last item, or after an error.
///
/// Dropping it closes the stream.
pub struct Items<T: StreamItem> {
    source: RpcEndpointRef,
    ready: VecDeque<T>,
    /// The batch after those that are ready.
    asked: Option<Ask<Batch<T>>>,
    is_over: bool,
    credit: u32,
}

impl<T: StreamItem> Items<T> {
    /// The next item; `None` after the last, and after an error.
    ///
    /// # Cancel safety
    /// Dropping the future loses no item.
    pub async fn next_item(&mut self) -> Option<Result<T, RpcError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next_item`](Self::next_item), for those that poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, RpcError>>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            let Some(asked) = &mut self.asked else {
                return Poll::Ready(None);
            };
            let batch = std::task::ready!(Pin::new(asked).poll(cx));
            self.asked = None;
            match batch {
                Ok(batch) => {
                    self.ready.extend(batch.items);
                    self.is_over = batch.is_last;
                    self.pull();
                }
                Err(error) => {
                    self.close();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Asks for the next batch, while this one is read.
    fn pull(&mut self) {
        if !self.is_over {
            self.asked = Some(self.source.ask(Pull {
                credit: self.credit,
                items: PhantomData,
            }));
        }
    }

    fn close(&mut self) {
        self.asked = None;
        if !std::mem::replace(&mut self.is_over, true)
            && let Err(error) = self.source.send(Close)
        {
            tracing::debug!(target: "ringrail::rpc", %error, "a stream is closed later, by itself");
        }
    }
}

impl<T: StreamItem> Drop for Items<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T: StreamItem> Iterator for Items<T> {
    type Item = Result<T, RpcError>;

    /// The next item. [`RpcError::WouldBlock`] on a thread that runs endpoints.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.ready.pop_front() {
            return Some(Ok(item));
        }
        match super::node::may_wait_for(None, "the next item of a stream") {
            Ok(()) => block_on(self.next_item()),
            Err(error) => {
                self.close();
                Some(Err(error))
            }
        }
    }
}

impl<T: StreamItem> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Items(of {}, {} ready)", self.source, self.ready.len())
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn items_of_other_types_are_asked_for_by_other_messages() {
        assert_eq!(u64::PULL.len(), 32);
        assert!(u64::PULL.starts_with("rpc.stream.Pull."));
        let digits = &u64::PULL[16..];
        assert_eq!(u64::from_str_radix(digits, 16), Ok(u64::FINGERPRINT));
        assert_ne!(u64::PULL, <Vec<u64>>::PULL);
    }

    #[test]
    fn there_are_so_many_streams_at_most() {
        let env = RpcEnv::builder("many").backend("local").build().unwrap();
        let mut open: Vec<_> = (0..MAX_STREAMS)
            .map(|_| env.open_stream(0..10u64).unwrap())
            .collect();
        let error = env.open_stream(0..10u64).unwrap_err();
        assert_eq!(error.code(), FailureCode::Busy);
        assert!(
            error.to_string().contains(&MAX_STREAMS.to_string()),
            "{error}"
        );
        // One that is read makes room.
        let read = open.pop().unwrap().read();
        assert_eq!(read.map(Result::unwrap).sum::<u64>(), 45);
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while env.open_stream(0..1u64).is_err() {
            assert!(std::time::Instant::now() < end, "never any room");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
