//! The endpoint that has the items of one stream, and makes them as they are pulled.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use ringrail_codec::native::FailureCode;

use crate::rpc::body::Scratch;
use crate::rpc::call::{HeldCall, RpcCallContext};
use crate::rpc::counted::Counted;
use crate::rpc::endpoint::{EndpointContext, Handle, RpcEndpoint};
use crate::rpc::handler::Handler;
use crate::rpc::received::Received;
use crate::rpc::shared::next_serial;
use crate::rpc::{EndpointOptions, Failure, RpcEndpointRef, RpcEnv, RpcError, clock};

use super::wire::{Batch, Close, GoOn, Look, Pull};
use super::{BATCH_BYTES, LOOK, MAX_CREDIT, MAX_STREAMS, STREAM_IDLE, StreamItem, StreamRef};

/// The number of open streams of this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A future of the next item.
type Next<T> = Pin<Box<dyn Future<Output = Option<Result<T, Failure>>> + Send>>;

/// Produces items.
enum Producer<T> {
    Iterator(Box<dyn Iterator<Item = Result<T, Failure>> + Send>),
    Futures {
        make: Box<dyn FnMut() -> Next<T> + Send>,
        /// The future that is pending.
        next: Option<Next<T>>,
    },
}

impl<T> Producer<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Failure>>> {
        match self {
            Producer::Iterator(items) => Poll::Ready(items.next()),
            Producer::Futures { make, next } => {
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
        self.open(Producer::Iterator(Box::new(items)))
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
        self.open(Producer::Futures {
            make: Box::new(move || Box::pin(next())),
            next: None,
        })
    }

    fn open<T: StreamItem>(&self, producer: Producer<T>) -> Result<StreamRef<T>, RpcError> {
        let counted = Counted::new(&OPEN, MAX_STREAMS, "the table of open streams")?;
        let source = move || Source {
            producer,
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

/// The endpoint that has the items of one stream. Its handlers never await, so `Close` is handled while a pull waits.
struct Source<T: StreamItem> {
    producer: Producer<T>,
    me: Option<Me<T>>,
    pulled_ns: u64,
    /// The pull that waits for items, and its credit.
    waiting: Option<(HeldCall<Batch<T>>, usize)>,
    /// Items produced for that pull.
    items: Vec<T>,
    /// The end of the items; reported once all items before it were sent.
    end: Option<Result<(), Failure>>,
    _counted: Counted,
}

struct Me<T: StreamItem> {
    env: RpcEnv,
    myself: RpcEndpointRef<Source<T>>,
    wake: Arc<Wakes>,
}

/// The waker of a producer's futures: sends the source a message, so that it polls on its own thread.
struct Wakes {
    source: RpcEndpointRef,
    is_sent: AtomicBool,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        // If the message is refused, the next `Look` polls instead.
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

    /// Answers the waiting pull if there are items, or the end.
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

    /// Polls the producer for up to `credit` items.
    fn fill(&mut self, credit: usize) {
        let Some(me) = &self.me else {
            return;
        };
        me.wake.is_sent.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&me.wake));
        let mut context = Context::from_waker(&waker);
        let mut bytes: usize = self.items.iter().map(archived_len).sum();
        while self.items.len() < credit && bytes < BATCH_BYTES && self.end.is_none() {
            match self.producer.poll(&mut context) {
                Poll::Ready(Some(Ok(item))) => {
                    bytes += archived_len(&item);
                    self.items.push(item);
                }
                Poll::Ready(Some(Err(failure))) => self.end = Some(Err(failure)),
                Poll::Ready(None) => self.end = Some(Ok(())),
                Poll::Pending => return,
            }
        }
    }
}

/// The length of an item's archive, in bytes.
fn archived_len<T: StreamItem>(item: &T) -> usize {
    let fixed = size_of::<T::Archived>();
    if !std::mem::needs_drop::<T>() {
        // It owns nothing beside itself.
        return fixed;
    }
    // An item that cannot be serialised fails its batch.
    Scratch::encode(item).map_or(fixed, |archive| archive.bytes().len())
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

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

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
        let end = Instant::now() + Duration::from_secs(20);
        while env.open_stream(0..1u64).is_err() {
            assert!(Instant::now() < end, "never any room");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
