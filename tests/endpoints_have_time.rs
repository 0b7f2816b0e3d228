//! Timers of endpoints, deadlines that nested asks inherit, and the spans around handlers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use ringrail::conf::Conf;
use ringrail::rpc::{
    EndpointContext, EndpointOptions, EndpointTimer, Failure, FailureCode, Message, Placement,
    RpcEndpoint, RpcEndpointRef, RpcEnv, RpcEnvBuilder, RpcError, time_left,
};

const BACKENDS: [&str; 2] = ["local", "ring"];

/// How long something may take that should take no time at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

fn conf() -> Conf {
    Conf::new()
        .with("ringrail.rpc.askTimeout", "20s")
        .with("ringrail.transport.poolBudget", "64m")
        .with("ringrail.transport.poolReserve", "16m")
        .with("ringrail.transport.drainTimeout", "100ms")
}

fn builder(backend: &str, name: &str, conf: Conf) -> RpcEnvBuilder {
    RpcEnv::builder(name).conf(conf).shards(1).backend(backend)
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[ringrail::interface]
trait Clock {
    #[message(one_way)]
    fn tick(&mut self, at: u64);
    /// Sets a timer from within the endpoint.
    fn set(&mut self, after_ms: u64, at: u64) -> Result<(), Failure>;
    fn cancel(&mut self);
    fn every(&mut self, ms: u64) -> Result<(), Failure>;
    fn block(&self, ms: u64);
}

struct Ticks {
    me: Option<RpcEndpointRef<Ticks>>,
    tell: mpsc::Sender<u64>,
    timer: Option<EndpointTimer>,
    count: Arc<AtomicU64>,
}

impl Ticks {
    fn new() -> (Self, mpsc::Receiver<u64>, Arc<AtomicU64>) {
        let (tell, told) = mpsc::channel();
        let count = Arc::new(AtomicU64::new(0));
        let ticks = Self {
            me: None,
            tell,
            timer: None,
            count: Arc::clone(&count),
        };
        (ticks, told, count)
    }

    fn me(&self) -> Result<&RpcEndpointRef<Self>, Failure> {
        self.me.as_ref().ok_or(Failure::text("not started"))
    }
}

impl RpcEndpoint for Ticks {
    type Messages = ClockMessages;

    fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
        self.me = Some(me.self_ref());
        Ok(())
    }
}

impl Clock for Ticks {
    fn tick(&mut self, at: u64) {
        self.count.fetch_add(1, Ordering::SeqCst);
        let _ = self.tell.send(at);
    }

    fn set(&mut self, after_ms: u64, at: u64) -> Result<(), Failure> {
        let after = Duration::from_millis(after_ms);
        self.timer = Some(self.me()?.send_after(after, ClockTick { at })?);
        Ok(())
    }

    fn cancel(&mut self) {
        if let Some(timer) = &self.timer {
            timer.cancel();
        }
    }

    fn every(&mut self, ms: u64) -> Result<(), Failure> {
        let (every, mut at) = (Duration::from_millis(ms), 0);
        let tick = move || {
            at += 1;
            ClockTick { at }
        };
        self.timer = Some(self.me()?.send_every(every, tick)?);
        Ok(())
    }

    fn block(&self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }
}

/// On a shard (or the in-process backend's thread), and on a thread of the endpoint's own.
fn placements() -> [EndpointOptions; 2] {
    [EndpointOptions::default(), EndpointOptions::isolated()]
}

/// A ref to a new endpoint of `env`, what it tells, and how many ticks it has had.
fn set_up(
    env: &RpcEnv,
    options: EndpointOptions,
) -> (RpcEndpointRef<Ticks>, mpsc::Receiver<u64>, Arc<AtomicU64>) {
    let (ticks, told, count) = Ticks::new();
    let ticks = env.setup_endpoint_with("ticks", options, move || ticks);
    (ticks.unwrap(), told, count)
}

#[test]
fn a_message_comes_later_and_once() {
    for backend in BACKENDS {
        for options in placements() {
            let env = builder(backend, "env", conf()).build().unwrap();
            let (ticks, told, _) = set_up(&env, options);
            let clock = ClockClient::new(&ticks);
            // From within, the later one first; and from this thread.
            let first = Instant::now();
            clock.set(60, 3).wait().unwrap();
            clock.set(30, 2).wait().unwrap();
            let begun = Instant::now();
            let after = Duration::from_millis(5);
            ticks.send_after(after, ClockTick { at: 1 }).unwrap();
            // On a machine that stalls, the timers may be due in another order.
            let stalled = first.elapsed() > Duration::from_millis(20);
            let mut came = [(); 3].map(|()| told.recv_timeout(PATIENCE).unwrap());
            assert!(begun.elapsed() >= after);
            if stalled {
                came.sort_unstable();
            }
            assert_eq!(came, [1, 2, 3]);
            assert!(told.recv_timeout(Duration::from_millis(30)).is_err());
        }
    }
}

#[test]
fn a_timer_that_is_cancelled_sends_nothing() {
    for backend in BACKENDS {
        for options in placements() {
            let env = builder(backend, "env", conf()).build().unwrap();
            let (ticks, told, _) = set_up(&env, options);
            let clock = ClockClient::new(&ticks);
            let begun = Instant::now();
            clock.set(30, 1).wait().unwrap();
            clock.cancel().wait().unwrap();
            if begun.elapsed() > Duration::from_millis(30) {
                // This machine stalled: the timer was due before it was cancelled.
                let _ = told.recv_timeout(Duration::from_millis(30));
            }
            let here = ticks
                .send_after(Duration::from_millis(30), ClockTick { at: 2 })
                .unwrap();
            here.cancel();
            assert!(here.is_cancelled());
            assert!(told.recv_timeout(Duration::from_millis(80)).is_err());
            // An interval, from within and from here.
            clock.every(1).wait().unwrap();
            told.recv_timeout(PATIENCE).unwrap();
            clock.cancel().wait().unwrap();
            let interval = ticks.send_every(Duration::from_millis(1), || ClockTick { at: 7 });
            eventually("it ticks", || told.try_recv() == Ok(7));
            interval.unwrap().cancel();
            clock.block(0).wait().unwrap();
            eventually("it is silent", || {
                told.recv_timeout(Duration::from_millis(50)).is_err()
            });
        }
    }
}

#[test]
fn an_interval_goes_on_until_the_endpoint_stops() {
    for backend in BACKENDS {
        for options in placements() {
            // There is room for few futures: those of timers that have ended must be gone.
            let conf = conf().with("ringrail.transport.maxFutures", "4");
            let env = builder(backend, "env", conf).build().unwrap();
            for _ in 0..12 {
                let (ticks, told, count) = set_up(&env, options);
                let clock = ClockClient::new(&ticks);
                clock.every(1).wait().unwrap();
                for at in 1..=5 {
                    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), at);
                }
                env.stop(&ticks);
                drop(ticks);
                eventually("it is stopped", || Arc::strong_count(&count) == 1);
                std::thread::sleep(Duration::from_millis(5));
            }
            if backend == "ring" && options.placement == Placement::Any {
                // The timer is on the endpoint's own thread: nothing comes in between.
                assert_eq!(env.messages_lost(), 0);
            }
        }
    }
}

#[test]
fn as_many_timers_as_futures_on_a_shard() {
    let conf = conf().with("ringrail.transport.maxFutures", "3");
    let env = builder("ring", "env", conf).build().unwrap();
    let (ticks, _told, _) = Ticks::new();
    let clock = ClockClient::new(&env.setup_endpoint("ticks", ticks).unwrap());
    let refused = (0..4).map(|at| clock.set(3_600_000, at).wait());
    let refused: Vec<_> = refused.filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    for error in &refused {
        assert_eq!(error.code(), FailureCode::Busy);
        let text = error.to_string();
        assert!(text.contains("ringrail.transport.maxFutures"), "{text}");
    }
    // One that is cancelled makes room.
    clock.cancel().wait().unwrap();
    eventually("there is room", || clock.set(3_600_000, 9).wait().is_ok());
}

#[test]
fn a_timer_that_panics_ends_alone() {
    for backend in BACKENDS {
        let env = builder(backend, "env", conf()).build().unwrap();
        let (ticks, told, _) = Ticks::new();
        let ticks = env.setup_endpoint("ticks", ticks).unwrap();
        let mut at = 0;
        let every = Duration::from_millis(1);
        let panics = ticks.send_every(every, move || {
            at += 1;
            assert!(at < 3, "on purpose");
            ClockTick { at }
        });
        panics.unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 1);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 2);
        assert!(told.recv_timeout(Duration::from_millis(20)).is_err());
        // Others go on, on the same thread.
        ticks.send_after(every, ClockTick { at: 9 }).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 9);
    }
}

#[test]
fn timers_that_cannot_be_are_refused() {
    let env = builder("local", "env", conf()).build().unwrap();
    let (ticks, _told, _) = Ticks::new();
    let ticks = env.setup_endpoint("ticks", ticks).unwrap();
    let short = Duration::from_micros(999);
    let refused = ticks.send_every(short, || ClockTick { at: 1 }).unwrap_err();
    assert_eq!(refused.code(), FailureCode::InvalidArgument);
    assert!(
        refused.to_string().contains("999µs: the shortest is 1ms"),
        "{refused}"
    );
    env.shutdown();
    let refused = ticks.send_after(LONG, ClockTick { at: 1 }).unwrap_err();
    assert_eq!(refused.code(), FailureCode::ShuttingDown);
}

#[test]
fn an_env_ends_in_spite_of_its_timers() {
    for backend in BACKENDS {
        for options in placements() {
            let env = builder(backend, "env", conf()).build().unwrap();
            let (ticks, _told, count) = set_up(&env, options);
            let clock = ClockClient::new(&ticks);
            clock.set(3_600_000, 1).wait().unwrap();
            ticks.send_every(LONG, || ClockTick { at: 1 }).unwrap();
            env.shutdown();
            env.await_termination().unwrap();
            assert_eq!(Arc::strong_count(&count), 1, "the endpoint is dropped");
        }
    }
}

#[test]
fn a_message_that_finds_no_room_is_told_as_lost() {
    let conf = conf()
        .with("ringrail.rpc.inbox.capacity", "2")
        .with("ringrail.transport.inbox", "2");
    let env = builder("local", "env", conf).build().unwrap();
    let (ticks, _told, _) = set_up(&env, EndpointOptions::isolated());
    let clock = ClockClient::new(&ticks);
    let blocking = clock.block(200);
    ticks
        .send_every(Duration::from_millis(1), || ClockTick { at: 1 })
        .unwrap();
    eventually("some are lost", || env.messages_lost() > 0);
    blocking.wait().unwrap();
}

// Deadlines.

#[ringrail::interface]
trait Relay {
    /// How long the last of so many endpoints is given, in ms.
    async fn time(&self, hops: u64) -> Result<Option<u64>, Failure>;
    fn time_now(&self) -> Option<u64>;
    #[message(one_way)]
    fn note(&self);
}

#[derive(Default)]
struct Hop {
    next: Option<RelayClient>,
    noted: Option<mpsc::Sender<Option<Duration>>>,
}

impl RpcEndpoint for Hop {
    type Messages = RelayMessages;
}

fn left_ms() -> Option<u64> {
    time_left().map(|left| left.as_millis() as u64)
}

impl Relay for Hop {
    async fn time(&self, hops: u64) -> Result<Option<u64>, Failure> {
        match &self.next {
            Some(next) if hops > 0 => {
                // Also of what it awaits in between.
                std::future::ready(()).await;
                Ok(next.time(hops - 1).await?)
            }
            _ => Ok(left_ms()),
        }
    }

    fn time_now(&self) -> Option<u64> {
        left_ms()
    }

    fn note(&self) {
        if let Some(noted) = &self.noted {
            let _ = noted.send(time_left());
        }
    }
}

#[test]
fn nested_asks_inherit_the_deadline() {
    for backend in BACKENDS {
        let far = builder(backend, "far", conf()).build().unwrap();
        let near = builder(backend, "near", conf()).build().unwrap();
        let (tell, noted) = mpsc::channel();
        let last = Hop {
            next: None,
            noted: Some(tell),
        };
        let last = far.setup_endpoint("last", last).unwrap().uri().to_string();
        // The second hop is in the same env, so it asks within its thread.
        let second = Hop {
            next: Some(RelayClient::connect_blocking(&near, &last).unwrap()),
            noted: None,
        };
        let second = near.setup_endpoint("second", second).unwrap();
        let first = Hop {
            next: Some(RelayClient::new(&second)),
            noted: None,
        };
        let first = near
            .setup_endpoint("first", first)
            .unwrap()
            .uri()
            .to_string();
        let asker = builder(backend, "asker", conf())
            .client_mode()
            .build()
            .unwrap();
        let relay = RelayClient::connect_blocking(&asker, &first).unwrap();
        let patient = relay.with_timeout(Duration::from_secs(10));
        for hops in 0..3 {
            let given = patient.time(hops).wait().unwrap();
            assert!(given.is_some_and(|ms| ms <= 10_000), "{hops}: {given:?}");
        }
        assert!(
            patient
                .time_now()
                .wait()
                .unwrap()
                .is_some_and(|ms| ms <= 10_000)
        );
        // Nobody waits for a message that wants no reply.
        RelayClient::connect_blocking(&asker, &last)
            .unwrap()
            .note()
            .unwrap();
        assert_eq!(noted.recv_timeout(PATIENCE).unwrap(), None);
        assert_eq!(time_left(), None);
    }
}

// Spans.

/// Counts spans by the message that they name.
#[derive(Default)]
struct Spans {
    counts: Mutex<HashMap<String, u64>>,
}

struct SpansOf(Arc<Spans>);

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}").trim_matches('"').to_owned();
        }
    }
}

impl tracing::Subscriber for SpansOf {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == "ringrail::rpc"
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut fields = Fields(String::new());
        span.record(&mut fields);
        let name = format!("{} {}", span.metadata().name(), fields.0);
        *self.0.counts.lock().unwrap().entry(name).or_default() += 1;
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[ringrail::interface(name = "spans")]
trait Spanned {
    fn now(&self);
    async fn by_future(&self);
}

struct Spanner;

impl RpcEndpoint for Spanner {
    type Messages = SpannedMessages;
}

impl Spanned for Spanner {
    fn now(&self) {}
    async fn by_future(&self) {}
}

#[test]
fn a_handled_message_has_a_span() {
    let spans: Arc<Spans> = Arc::default();
    tracing::subscriber::set_global_default(SpansOf(Arc::clone(&spans))).unwrap();
    let server = builder("ring", "server", conf()).build().unwrap();
    let uri = server
        .setup_endpoint("spanner", Spanner)
        .unwrap()
        .uri()
        .to_string();
    let asker = builder("ring", "asker", conf())
        .client_mode()
        .build()
        .unwrap();
    let spanner = SpannedClient::connect_blocking(&asker, &uri).unwrap();
    for _ in 0..3 {
        spanner.now().wait().unwrap();
    }
    spanner.by_future().wait().unwrap();
    let counts = spans.counts.lock().unwrap();
    assert_eq!(SpannedNow::NAME, "spans.now");
    assert_eq!(counts.get("handle spans.now"), Some(&3), "{counts:?}");
    assert_eq!(counts.get("handle spans.by_future"), Some(&1), "{counts:?}");
}
