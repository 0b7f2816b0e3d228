//! Streams give every item once and in order, no further than their reader asks, and end with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringrail::conf::Conf;
use ringrail::rpc::{
    EndpointContext, Failure, FailureCode, RpcEndpoint, RpcEnv, RpcError, StreamRef,
};
use tokio::sync::mpsc;

const BACKENDS: [&str; 2] = ["local", "ring"];

/// How long something may take that should take no time at all.
const PATIENCE: Duration = Duration::from_secs(20);

fn env(backend: &str, name: &str, client: bool) -> RpcEnv {
    let conf = Conf::new()
        .with("ringrail.rpc.askTimeout", "20s")
        .with("ringrail.transport.poolBudget", "64m")
        .with("ringrail.transport.poolReserve", "16m")
        .with("ringrail.transport.drainTimeout", "100ms");
    let builder = RpcEnv::builder(name).conf(conf).shards(1).backend(backend);
    match client {
        true => builder.client_mode().build().unwrap(),
        false => builder.build().unwrap(),
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[ringrail::payload]
#[derive(Debug, PartialEq)]
struct Item {
    at: u64,
    text: String,
}

fn item(at: u64) -> Item {
    let text = "x".repeat(at as usize % 100);
    Item { at, text }
}

#[ringrail::interface]
trait Streams {
    fn count(&self, to: u64) -> Result<StreamRef<Item>, Failure>;
    fn failing(&self, after: u64) -> Result<StreamRef<u64>, Failure>;
    fn fed(&mut self) -> Result<StreamRef<u64>, Failure>;
    fn empty(&self) -> Result<StreamRef<()>, Failure>;
    fn large(&self, count: u64) -> Result<StreamRef<Vec<u8>>, Failure>;
}

/// Is dropped with what it is part of.
struct Alive(Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Server {
    env: Option<RpcEnv>,
    made: Arc<AtomicU64>,
    alive: Arc<AtomicBool>,
    feed: Option<mpsc::Receiver<u64>>,
}

impl Server {
    fn env(&self) -> Result<&RpcEnv, Failure> {
        self.env.as_ref().ok_or(Failure::text("not started"))
    }

    fn alive(&self) -> Alive {
        self.alive.store(true, Ordering::SeqCst);
        Alive(Arc::clone(&self.alive))
    }
}

impl RpcEndpoint for Server {
    type Messages = StreamsMessages;

    fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
        self.env = Some(me.env());
        Ok(())
    }
}

impl Streams for Server {
    fn count(&self, to: u64) -> Result<StreamRef<Item>, Failure> {
        let (made, alive) = (Arc::clone(&self.made), self.alive());
        let items = (0..to).map(move |at| {
            let _ = &alive;
            made.fetch_add(1, Ordering::SeqCst);
            item(at)
        });
        Ok(self.env()?.open_stream(items)?)
    }

    fn failing(&self, after: u64) -> Result<StreamRef<u64>, Failure> {
        let mut at = 0;
        let items = move || {
            at += 1;
            let item = match at <= after {
                true => Ok(at),
                false => Err(Failure::new(FailureCode::SourceIo, "no more of it")),
            };
            std::future::ready(Some(item))
        };
        Ok(self.env()?.open_stream_with(items)?)
    }

    fn fed(&mut self) -> Result<StreamRef<u64>, Failure> {
        let feed = self.feed.take().ok_or(Failure::text("taken"))?;
        let feed = Arc::new(tokio::sync::Mutex::new(feed));
        let alive = Arc::new(self.alive());
        let items = move || {
            let (feed, alive) = (Arc::clone(&feed), Arc::clone(&alive));
            async move {
                let _alive = alive;
                feed.lock().await.recv().await.map(Ok)
            }
        };
        Ok(self.env()?.open_stream_with(items)?)
    }

    fn large(&self, count: u64) -> Result<StreamRef<Vec<u8>>, Failure> {
        let made = Arc::clone(&self.made);
        let items = (0..count).map(move |_| {
            made.fetch_add(1, Ordering::SeqCst);
            vec![7; 100_000]
        });
        Ok(self.env()?.open_stream(items)?)
    }

    fn empty(&self) -> Result<StreamRef<()>, Failure> {
        Ok(self.env()?.open_stream([])?)
    }
}

/// A server, and a client of it in another env.
fn pair(backend: &str, server: Server) -> (RpcEnv, RpcEnv, StreamsClient) {
    let here = env(backend, "server", false);
    let uri = here
        .setup_endpoint("streams", server)
        .unwrap()
        .uri()
        .to_string();
    let there = env(backend, "asker", true);
    let streams = StreamsClient::connect_blocking(&there, &uri).unwrap();
    (here, there, streams)
}

#[test]
fn every_item_comes_once_and_in_order() {
    for backend in BACKENDS {
        let (here, _there, streams) = pair(backend, Server::default());
        for (to, credit) in [(0, 1), (1, 1), (64, 64), (65, 64), (1000, 7), (1000, 5000)] {
            let items = streams.count(to).wait().unwrap().read_by(credit);
            let items = items.map(Result::unwrap);
            assert!(items.eq((0..to).map(item)), "{to} by {credit}");
        }
        let mut none = streams.empty().wait().unwrap().read();
        assert!(none.next().is_none());
        assert!(none.next().is_none());
        // Streams that have ended leave nothing.
        eventually("one endpoint is left", || {
            let metrics = here.metrics();
            metrics.iter().all(|it| !it.name.starts_with("stream-"))
        });
    }
}

#[test]
fn nothing_is_made_that_is_not_asked_for() {
    for backend in BACKENDS {
        let server = Server::default();
        let (made, alive) = (Arc::clone(&server.made), Arc::clone(&server.alive));
        let (_here, _there, streams) = pair(backend, server);
        let mut items = streams.count(1_000_000).wait().unwrap().read_by(10);
        for at in 0..25 {
            assert_eq!(items.next().unwrap().unwrap().at, at);
        }
        // The batch that is read, and the one behind it.
        eventually("two batches", || made.load(Ordering::SeqCst) == 40);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(made.load(Ordering::SeqCst), 40);
        assert!(alive.load(Ordering::SeqCst));
        drop(items);
        eventually("it is closed", || !alive.load(Ordering::SeqCst));
    }
}

#[test]
fn a_batch_is_bounded_in_bytes_whatever_its_reader_asks_for() {
    for backend in BACKENDS {
        let server = Server::default();
        let made = Arc::clone(&server.made);
        let (_here, _there, streams) = pair(backend, server);
        let mut items = streams.large(50).wait().unwrap().read_by(u32::MAX);
        assert_eq!(items.next().unwrap().unwrap().len(), 100_000);
        // Two batches of three each: 256 KiB are passed with the third.
        eventually("two batches", || made.load(Ordering::SeqCst) == 6);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(made.load(Ordering::SeqCst), 6);
        assert_eq!(items.count(), 49);
    }
}

#[test]
fn a_failure_comes_after_the_items_before_it() {
    for backend in BACKENDS {
        let (_here, _there, streams) = pair(backend, Server::default());
        for after in [0, 1, 10, 11] {
            let mut items = streams.failing(after).wait().unwrap().read_by(10);
            for at in 1..=after {
                assert_eq!(items.next().unwrap().unwrap(), at);
            }
            let error = items.next().unwrap().unwrap_err();
            assert_eq!(error.code(), FailureCode::SourceIo);
            assert!(items.next().is_none());
        }
    }
}

#[test]
fn items_that_take_their_time_come_when_they_are_there() {
    for backend in BACKENDS {
        let (feed, fed) = mpsc::channel(100);
        let server = Server {
            feed: Some(fed),
            ..Server::default()
        };
        let alive = Arc::clone(&server.alive);
        let (_here, _there, streams) = pair(backend, server);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut items = streams.fed().await.unwrap().read();
            // One at a time, although the credit is more.
            for at in 0..20 {
                feed.send(at).await.unwrap();
                assert_eq!(items.next_item().await.unwrap().unwrap(), at);
            }
            assert!(alive.load(Ordering::SeqCst));
            // The reader goes away while it waits for an item that never comes.
            drop(items);
        });
        eventually("it is closed", || !alive.load(Ordering::SeqCst));
    }
}

#[test]
fn a_stream_ends_with_its_source() {
    let (feed, fed) = mpsc::channel(100);
    let server = Server {
        feed: Some(fed),
        ..Server::default()
    };
    let (_here, _there, streams) = pair("ring", server);
    let items = streams.fed().wait().unwrap().read();
    for at in 0..3 {
        feed.blocking_send(at).unwrap();
    }
    drop(feed);
    assert!(items.map(Result::unwrap).eq(0..3));
}

#[test]
fn a_reader_is_told_where_the_other_env_ends() {
    let (here, _there, streams) = pair("ring", Server::default());
    let mut items = streams.count(1_000_000).wait().unwrap().read_by(10);
    items.next().unwrap().unwrap();
    here.shutdown();
    here.await_termination().unwrap();
    let rest = items.by_ref().skip_while(Result::is_ok).collect::<Vec<_>>();
    assert_eq!(rest.len(), 1, "an error, and the end");
}

#[test]
fn a_stream_whose_reader_is_gone_is_closed() {
    let (feed, fed) = mpsc::channel::<u64>(100);
    let server = Server {
        feed: Some(fed),
        ..Server::default()
    };
    let alive = Arc::clone(&server.alive);
    let (_here, there, streams) = pair("ring", server);
    let items = streams.fed().wait().unwrap().read();
    // Its env ends, and tells nobody of the stream.
    std::mem::forget(items);
    there.shutdown();
    there.await_termination().unwrap();
    eventually("it is closed", || !alive.load(Ordering::SeqCst));
    drop(feed);
}
