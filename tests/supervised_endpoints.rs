//! Isolated endpoints that panic: stopped or made anew, as their options say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringrail::conf::Conf;
use ringrail::rpc::{
    EndpointContext, EndpointOptions, Failure, FailureCode, RpcEndpoint, RpcEndpointRef, RpcEnv,
    RpcError, Supervision,
};

const BACKENDS: [&str; 2] = ["local", "ring"];

/// How long something may take that should take no time at all.
const PATIENCE: Duration = Duration::from_secs(20);

fn env(backend: &str) -> RpcEnv {
    let conf = Conf::new()
        .with("ringrail.rpc.askTimeout", "20s")
        .with("ringrail.transport.poolBudget", "64m")
        .with("ringrail.transport.poolReserve", "16m");
    let builder = RpcEnv::builder("env").conf(conf).shards(1);
    builder.backend(backend).build().unwrap()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[ringrail::interface]
trait Work {
    /// The number of this instance.
    fn which(&self) -> u64;
    fn fall(&mut self);
    async fn fall_later(&mut self);
    fn refuse(&self) -> Result<(), Failure>;
}

#[derive(Default)]
struct Seen {
    made: AtomicU64,
    started: AtomicU64,
    stopped: AtomicU64,
}

struct Worker {
    number: u64,
    falls_at_start: bool,
    seen: Arc<Seen>,
}

impl RpcEndpoint for Worker {
    type Messages = WorkMessages;

    fn on_start(&mut self, _: &EndpointContext<Self>) -> Result<(), RpcError> {
        self.seen.started.fetch_add(1, Ordering::SeqCst);
        assert!(!self.falls_at_start, "it falls at once");
        Ok(())
    }

    fn on_stop(&mut self) -> Result<(), RpcError> {
        self.seen.stopped.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Work for Worker {
    fn which(&self) -> u64 {
        self.number
    }

    fn fall(&mut self) {
        panic!("as it was told to");
    }

    async fn fall_later(&mut self) {
        let mut polled = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return std::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
        panic!("as it was told to");
    }

    fn refuse(&self) -> Result<(), Failure> {
        Err(Failure::text("no"))
    }
}

fn restarts(at_most: u32, pause: Duration) -> Supervision {
    Supervision::Restart { at_most, pause }
}

fn set_up(
    env: &RpcEnv,
    supervision: Supervision,
    falls_at_start: bool,
) -> (RpcEndpointRef<Worker>, WorkClient, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let of_maker = Arc::clone(&seen);
    let make = move || Worker {
        number: of_maker.made.fetch_add(1, Ordering::SeqCst) + 1,
        falls_at_start,
        seen: Arc::clone(&of_maker),
    };
    let options = EndpointOptions {
        supervision,
        ..EndpointOptions::isolated()
    };
    let worker = env.setup_supervised("worker", options, make).unwrap();
    let client = WorkClient::new(&worker);
    (worker, client, seen)
}

#[test]
fn a_new_one_takes_the_place_of_one_that_panicked() {
    for backend in BACKENDS {
        let env = env(backend);
        let (_, worker, seen) = set_up(&env, restarts(10, Duration::ZERO), false);
        assert_eq!(worker.which().wait().unwrap(), 1);
        let error = worker.fall().wait().unwrap_err();
        assert_eq!(error.code(), FailureCode::HandlerPanicked, "{error}");
        assert_eq!(worker.which().wait().unwrap(), 2);
        let error = worker.fall_later().wait().unwrap_err();
        assert_eq!(error.code(), FailureCode::HandlerPanicked, "{error}");
        assert_eq!(worker.which().wait().unwrap(), 3);
        // A failure is no panic.
        worker.refuse().wait().unwrap_err();
        assert_eq!(worker.which().wait().unwrap(), 3);
        env.shutdown();
        env.await_termination().unwrap();
        assert_eq!(seen.started.load(Ordering::SeqCst), 3);
        assert_eq!(seen.stopped.load(Ordering::SeqCst), 1, "the last one alone");
    }
}

#[test]
fn what_waits_is_handled_by_the_new_one() {
    for backend in BACKENDS {
        let env = env(backend);
        let (_, worker, _) = set_up(&env, restarts(1, Duration::from_millis(50)), false);
        let fall = worker.fall();
        let waiting: Vec<_> = (0..100).map(|_| worker.which()).collect();
        fall.wait().unwrap_err();
        for which in waiting {
            assert_eq!(which.wait().unwrap(), 2);
        }
    }
}

#[test]
fn restarts_are_bounded_and_then_the_endpoint_is_stopped() {
    for backend in BACKENDS {
        for (supervision, instances) in [
            (restarts(2, Duration::ZERO), 3),
            (restarts(0, Duration::ZERO), 1),
            (Supervision::Stop, 1),
        ] {
            let env = env(backend);
            let (_, worker, seen) = set_up(&env, supervision, false);
            let falls: Vec<_> = (0..10).map(|_| worker.fall()).collect();
            let errors = falls.into_iter().map(|fall| fall.wait().unwrap_err());
            let codes: Vec<_> = errors.map(|error| error.code()).collect();
            let panicked = |code: &&FailureCode| **code == FailureCode::HandlerPanicked;
            assert_eq!(codes.iter().filter(panicked).count(), instances);
            let refused = &codes[instances..];
            assert!(refused.iter().all(|code| *code == FailureCode::NotFound));
            assert_eq!(seen.made.load(Ordering::SeqCst), instances as u64);
            assert_eq!(seen.stopped.load(Ordering::SeqCst), 0);
            eventually("free", || env.endpoint_ref("worker").is_err());
            // The name is free.
            let (_, again, _) = set_up(&env, Supervision::GoOn, false);
            assert_eq!(again.which().wait().unwrap(), 1);
            again.fall().wait().unwrap_err();
            assert_eq!(again.which().wait().unwrap(), 1, "it goes on");
        }
    }
}

#[test]
fn one_that_panics_whenever_it_starts_is_given_up() {
    let env = env("local");
    let (_, worker, seen) = set_up(&env, restarts(3, Duration::from_millis(1)), true);
    let error = worker.which().wait().unwrap_err();
    assert_eq!(error.code(), FailureCode::NotFound, "{error}");
    assert_eq!(seen.started.load(Ordering::SeqCst), 4);
}

#[test]
fn the_end_of_the_env_does_not_wait_for_a_restart() {
    for backend in BACKENDS {
        let env = env(backend);
        let (_, worker, seen) = set_up(&env, restarts(3, Duration::from_secs(3600)), false);
        worker.fall().wait().unwrap_err();
        let waiting = worker.which();
        let begun = Instant::now();
        env.shutdown();
        env.await_termination().unwrap();
        assert!(begun.elapsed() < PATIENCE);
        waiting.wait().unwrap_err();
        assert_eq!(seen.made.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn one_that_waits_for_its_restart_can_be_stopped() {
    for backend in BACKENDS {
        let env = env(backend);
        let (worker, client, seen) = set_up(&env, restarts(3, Duration::from_secs(3600)), false);
        client.fall().wait().unwrap_err();
        let waiting = client.which();
        env.stop(&worker);
        let error = waiting.wait().unwrap_err();
        assert_eq!(error.code(), FailureCode::NotFound, "{error}");
        assert_eq!(seen.made.load(Ordering::SeqCst), 1);
        let (_, again, _) = set_up(&env, Supervision::GoOn, false);
        assert_eq!(again.which().wait().unwrap(), 1);
    }
}

#[test]
fn supervision_needs_a_thread_and_a_maker_of_its_own() {
    let env = env("local");
    let seen = Arc::new(Seen::default());
    let make = move || Worker {
        number: 0,
        falls_at_start: false,
        seen: Arc::clone(&seen),
    };
    let on_shard = EndpointOptions {
        supervision: Supervision::Stop,
        ..EndpointOptions::default()
    };
    let error = env
        .setup_supervised("worker", on_shard, make.clone())
        .unwrap_err();
    assert_eq!(error.code(), FailureCode::InvalidArgument);
    assert!(error.to_string().contains("EndpointOptions::isolated"));
    let error = env
        .setup_endpoint_with("worker", on_shard, make)
        .unwrap_err();
    assert_eq!(error.code(), FailureCode::InvalidArgument);
    assert!(error.to_string().contains("setup_supervised"));
}
