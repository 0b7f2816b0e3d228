//! A future on a shard that waits for another shard's endpoint is woken by its own thread, which costs its
//! runtime no system call; and however many there are, each is woken.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use ringrail::rpc::{EndpointOptions, FnEndpoint, Message, RpcEndpointRef, RpcEnv, RpcError};
use ringrail_transport::{Engine, ParkMode, TransportConf};
use rkyv::{Archive, Deserialize, Serialize};

#[derive(Archive, Serialize, Deserialize)]
struct Twice(u64);

impl Message for Twice {
    type Reply = u64;
    const NAME: &'static str = "test.Twice";
}

fn doubler() -> FnEndpoint {
    FnEndpoint::new().on::<Twice>(|number, call| {
        let number = number.take()?.0;
        call.reply(2 * number);
        Ok(())
    })
}

/// Tells which thread woke it.
struct Told(mpsc::Sender<ThreadId>);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        // The test may have seen enough.
        let _ = self.0.send(std::thread::current().id());
    }
}

/// Two shards, a doubler on the second.
fn two_shards() -> (Engine, RpcEnv, RpcEndpointRef<FnEndpoint>) {
    let engine = Engine::builder(TransportConf::default());
    let engine = engine.shards(2).unpinned().park(ParkMode::Bare).start();
    let engine = engine.expect("io_uring works here");
    let env = RpcEnv::builder("wakes")
        .engine(engine.clone())
        .client_mode();
    let env = env.build().expect("an env");
    let doubler = env.setup_endpoint_with("doubler", EndpointOptions::on_shard(1), doubler);
    (engine, env, doubler.expect("an endpoint"))
}

/// Asks from shard 0 so many times at once. The shard's thread; who woke it.
fn wakes_of(asks: u64) -> (ThreadId, Vec<ThreadId>) {
    let (engine, env, doubler) = two_shards();
    let (told, wakes) = mpsc::channel();
    let home = engine.run_on(0, move |_| {
        for number in 0..asks {
            let mut ask = Box::pin(doubler.ask(Twice(number)));
            let waker = Waker::from(Arc::new(Told(told.clone())));
            if let Poll::Ready(reply) = ask.as_mut().poll(&mut Context::from_waker(&waker)) {
                // The other shard was quicker than this poll.
                assert_eq!(reply.expect("a reply"), 2 * number);
                waker.wake();
            } else {
                // Dropped, it would be retracted.
                std::mem::forget(ask);
            }
        }
        std::thread::current().id()
    });
    let home = home.expect("the shard runs");
    let next = || wakes.recv_timeout(Duration::from_secs(20));
    let woken = (0..asks).map(|_| next().expect("every ask is answered"));
    let woken = woken.collect();
    env.shutdown();
    (home, woken)
}

#[test]
fn a_future_is_woken_by_the_thread_that_polled_it() {
    let (home, woken) = wakes_of(100);
    assert!(woken.iter().all(|thread| *thread == home));
}

#[test]
fn more_futures_than_there_are_places_are_woken_all_the_same() {
    let (_, woken) = wakes_of(5000);
    assert_eq!(woken.len(), 5000);
}

#[test]
fn one_that_moved_to_a_thread_without_endpoints_is_woken_there_too() {
    let (_engine, env, doubler) = two_shards();
    let (told, wakes) = mpsc::channel();
    let waker = Waker::from(Arc::new(Told(told)));
    let mut ask = pin!(doubler.ask(Twice(4)));
    let mut context = Context::from_waker(&waker);
    let reply: Result<u64, RpcError> = loop {
        match ask.as_mut().poll(&mut context) {
            Poll::Ready(reply) => break reply,
            Poll::Pending => {
                let woken = wakes.recv_timeout(Duration::from_secs(20));
                woken.expect("woken");
            }
        }
    };
    assert_eq!(reply.expect("a reply"), 8);
    env.shutdown();
}
