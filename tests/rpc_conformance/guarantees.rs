//! What is guaranteed where something is full, blocked or on its way out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ringrail::conf::Conf;
use ringrail::rpc::{
    AnyCallContext, AnyMessage, Async, EndpointOptions, FnEndpoint, Handle, HandleAsync, HeldCall,
    Kept, Placement, Received, RpcAddress, RpcCallContext, RpcEndpoint, RpcEndpointRef, RpcEnv,
    RpcError, RpcTimeout, Slice, Text, View,
};
use tokio::sync::oneshot;

use crate::actors::{Echo, Recorder, Say, echo, message};
use crate::ground::{Backend, Gate, Journal, PATIENCE, block_on, eventually};

message! { #[derive(Clone)] Count { } -> u64, "guarantees.Count" }
message! { Ask { to: RpcEndpointRef } -> String, "guarantees.Ask" }
message! { Mixed { to: RpcEndpointRef } -> u64, "guarantees.Mixed" }

fn retrying() -> Conf {
    Conf::new()
        .with("ringrail.rpc.askTimeout", "300ms")
        .with("ringrail.rpc.retry.wait", "20ms")
        .with("ringrail.rpc.numRetries", "100")
}

/// An endpoint on a thread of its own whose handlers wait for `gate`, with places for `capacity` messages.
fn gated(
    env: &RpcEnv,
    gate: &Gate,
    journal: &Journal,
    capacity: usize,
) -> RpcEndpointRef<FnEndpoint> {
    let options = EndpointOptions {
        inbox_capacity: Some(capacity),
        ..EndpointOptions::isolated()
    };
    let (gate, journal) = (gate.clone(), journal.clone());
    let make = move || {
        let counts = (gate.clone(), journal.clone());
        FnEndpoint::new()
            .on::<Echo>(move |echo, call| {
                let n = echo.take()?.n;
                journal.write(format!("echo {n}"));
                assert!(n != 0 || gate.pass());
                call.reply(n);
                Ok(())
            })
            .on::<Count>(move |_, call| {
                let (gate, journal) = &counts;
                journal.write("count");
                assert!(gate.pass());
                call.reply(1);
                Ok(())
            })
    };
    env.setup_endpoint_with("gated", options, make).unwrap()
}

/// Handles by futures, of which the first waits: its thread is not blocked, and its inbox fills.
struct Slow {
    first: Option<oneshot::Receiver<()>>,
    journal: Journal,
}

impl RpcEndpoint for Slow {
    type Messages = (Async<Echo>,);
}

impl HandleAsync<Echo> for Slow {
    async fn handle(&mut self, echo: Kept<Echo>, call: HeldCall<u64>) -> Result<(), RpcError> {
        let n = echo.take()?.n;
        self.journal.write(format!("echo {n}"));
        if let Some(first) = self.first.take() {
            let _ = first.await;
        }
        call.reply(n);
        Ok(())
    }
}

/// An endpoint on a shard that is slow until the sender is used or dropped, with places for `capacity`.
fn slow(env: &RpcEnv, shard: usize, capacity: usize) -> (Journal, oneshot::Sender<()>) {
    let (go, first) = oneshot::channel();
    let journal = Journal::default();
    let of_endpoint = journal.clone();
    let options = EndpointOptions {
        inbox_capacity: Some(capacity),
        ..EndpointOptions::on_shard(shard)
    };
    let make = move || Slow {
        first: Some(first),
        journal: of_endpoint,
    };
    env.setup_endpoint_with(&format!("slow{shard}"), options, make)
        .unwrap();
    (journal, go)
}

pub(crate) fn protection_that_an_env_does_not_have_is_refused(backend: Backend) {
    for key in [
        "spark.authenticate",
        "spark.network.crypto.enabled",
        "spark.ssl.rpc.enabled",
        "spark.authenticate.enableSaslEncryption",
    ] {
        let conf = Conf::new().with(key, "true");
        for client in [false, true] {
            let builder = backend.builder_with("env", conf.clone());
            let builder = match client {
                true => builder.client_mode(),
                false => builder,
            };
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains("spark."), "{key}: {error}");
        }
    }
    let off = Conf::new().with("spark.authenticate", "false");
    backend.builder_with("env", off).build().unwrap();
}

pub(crate) fn a_request_that_an_inbox_refused_is_handled_when_it_is_repeated(backend: Backend) {
    let server = backend.env("server");
    let asker = backend.builder_with("asker", retrying()).build().unwrap();
    let (gate, journal) = (Gate::default(), Journal::default());
    let here = gated(&server, &gate, &journal, 1);
    let there = asker.ref_at(server.address().unwrap(), "gated").unwrap();
    let first = here.ask(Echo { n: 0 });
    journal.wait_line("echo 0");
    let second = here.ask(Echo { n: 1 });
    eventually("one waits", || {
        server
            .metrics()
            .iter()
            .any(|it| &*it.name == "gated" && it.depth >= 1)
    });
    let repeated = std::thread::spawn(move || there.ask_with_retry_blocking(Count {}));
    eventually("two are there", || {
        server
            .metrics()
            .iter()
            .any(|it| &*it.name == "gated" && it.depth >= 2)
    });
    gate.open();
    assert_eq!(first.wait().unwrap(), 0);
    assert_eq!(second.wait().unwrap(), 1);
    assert_eq!(repeated.join().unwrap().unwrap(), 1);
    let refused = server.metrics();
    let refused = refused
        .iter()
        .find(|it| &*it.name == "gated")
        .unwrap()
        .refused;
    assert!(refused >= 1, "the first attempt found no place");
}

pub(crate) fn a_request_that_waited_too_long_is_handled_for_its_repetition(backend: Backend) {
    let server = backend.env("server");
    let asker = backend.builder_with("asker", retrying()).build().unwrap();
    let (gate, journal) = (Gate::default(), Journal::default());
    let here = gated(&server, &gate, &journal, 8);
    let there = asker.ref_at(server.address().unwrap(), "gated").unwrap();
    let first = here.ask(Echo { n: 0 });
    journal.wait_line("echo 0");
    let repeated = std::thread::spawn(move || there.ask_with_retry_blocking(Count {}));
    // The first attempt waits behind the blocked handler until its caller has given it up.
    std::thread::sleep(Duration::from_millis(700));
    gate.open();
    assert_eq!(first.wait().unwrap(), 0);
    assert_eq!(repeated.join().unwrap().unwrap(), 1);
}

/// Takes what it has no handler for: fails the first two, counts the others.
struct CatchAll(Arc<AtomicU64>);

impl RpcEndpoint for CatchAll {
    type Messages = ();

    fn receive_and_reply(
        &mut self,
        message: AnyMessage<'_>,
        call: AnyCallContext<'_>,
    ) -> Result<(), RpcError> {
        assert!(message.is::<Count>());
        let n = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        match n {
            1 => return Err(RpcError::other("not yet")),
            2 => call.send_failure(RpcError::other("not yet")),
            n => call.reply(n),
        }
        Ok(())
    }
}

pub(crate) fn catch_alls_are_asked_again_and_remembered(backend: Backend) {
    let server = backend.env("server");
    let asker = backend.builder_with("asker", retrying()).build().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    server
        .setup_endpoint("catch-all", CatchAll(Arc::clone(&count)))
        .unwrap();
    let there = asker
        .ref_at(server.address().unwrap(), "catch-all")
        .unwrap();
    assert_eq!(there.ask_with_retry_blocking(Count {}).unwrap(), 3);
    assert_eq!(there.ask_with_retry_blocking(Count {}).unwrap(), 4);
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

pub(crate) fn no_more_repeatable_requests_are_in_handling_than_allowed(backend: Backend) {
    let conf = Conf::new().with("ringrail.rpc.retry.remembered", "2");
    let server = backend.builder_with("server", conf).build().unwrap();
    let once = Conf::new().with("ringrail.rpc.numRetries", "1");
    let asker = backend.builder_with("asker", once).build().unwrap();
    let (calls, given) = mpsc::channel();
    let endpoint = FnEndpoint::new().on::<Count>(move |_, call| {
        calls.send(call.later()).unwrap();
        Ok(())
    });
    server.setup_endpoint("giver", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "giver").unwrap();
    let ask = || {
        let there = there.clone();
        std::thread::spawn(move || there.ask_with_retry_blocking(Count {}))
    };
    let asks = [ask(), ask()];
    let held: Vec<_> = (0..2)
        .map(|_| given.recv_timeout(PATIENCE).unwrap())
        .collect();
    let error = ask().join().unwrap().unwrap_err().to_string();
    assert!(error.contains("ringrail.rpc.retry.remembered"), "{error}");
    for call in held {
        call.reply(7);
    }
    for ask in asks {
        assert_eq!(ask.join().unwrap().unwrap(), 7);
    }
    // Remembered replies make room for new requests.
    for _ in 0..4 {
        let again = ask();
        given.recv_timeout(PATIENCE).unwrap().reply(8);
        assert_eq!(again.join().unwrap().unwrap(), 8);
    }
}

/// Losses that a listener was told.
fn listening(backend: Backend, name: &str, conf: Conf) -> (RpcEnv, Arc<Mutex<Vec<String>>>) {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let of_listener = Arc::clone(&told);
    let builder = backend.builder_with(name, conf);
    let builder = builder.on_lost(move |lost| of_listener.lock().unwrap().push(lost.to_string()));
    (builder.build().unwrap(), told)
}

pub(crate) fn what_send_took_is_handled_or_told_as_lost(backend: Backend) {
    let (env, told) = listening(backend, "env", Conf::new());
    let (gate, journal) = (Gate::default(), Journal::default());
    let here = gated(&env, &gate, &journal, 4);
    here.send(Echo { n: 0 }).unwrap();
    journal.wait_line("echo 0");
    let mut taken = 1;
    for n in 1..=20 {
        taken += u64::from(here.send(Echo { n }).is_ok());
    }
    gate.open();
    let echoed =
        |lines: &[String]| lines.iter().filter(|line| line.starts_with("echo")).count() as u64;
    journal.wait_for("all are accounted for", |lines| {
        echoed(lines) + env.messages_lost() == taken
    });
    let told = told.lock().unwrap();
    assert_eq!(told.len() as u64, env.messages_lost());
    assert!(!told.is_empty(), "four of twenty had places");
    for text in &*told {
        assert!(text.contains("ringrail.rpc.inbox.capacity"), "{text}");
        assert!(text.contains("test.Echo"), "{text}");
    }
}

pub(crate) fn a_send_that_waits_loses_nothing(backend: Backend) {
    let (server, asker) = backend.pair();
    let (gate, journal) = (Gate::default(), Journal::default());
    let here = gated(&server, &gate, &journal, 2);
    let there = asker.ref_at(server.address().unwrap(), "gated").unwrap();
    gate.open();
    let far = std::thread::spawn(move || {
        for n in 1001..=1100 {
            there.send_blocking(Echo { n }).unwrap();
        }
    });
    block_on(async {
        for n in 1..=100 {
            here.send_async(Echo { n }).await.unwrap();
        }
    });
    far.join().unwrap();
    let lines = journal.wait_for("all have come", |lines| lines.len() == 200);
    let numbers = |far: bool| {
        let numbers = lines.iter().map(|line| line[5..].parse::<u64>().unwrap());
        numbers.filter(|n| (*n > 1000) == far).collect::<Vec<_>>()
    };
    assert_eq!(numbers(false), (1..=100).collect::<Vec<_>>());
    assert_eq!(numbers(true), (1001..=1100).collect::<Vec<_>>());
    assert_eq!((server.messages_lost(), asker.messages_lost()), (0, 0));
}

pub(crate) fn a_send_that_waits_ends_with_its_env_and_can_be_let_go(backend: Backend) {
    let env = backend
        .builder_with(
            "env",
            Conf::new().with("ringrail.transport.drainTimeout", "1s"),
        )
        .build()
        .unwrap();
    let (gate, journal) = (Gate::default(), Journal::default());
    let here = gated(&env, &gate, &journal, 1);
    here.send(Echo { n: 0 }).unwrap();
    journal.wait_line("echo 0");
    // Not polled: not sent.
    drop(here.send_async(Echo { n: 1 }));
    let waiting = here.clone();
    let waiting = std::thread::spawn(move || waiting.send_blocking(Echo { n: 2 }));
    eventually("it waits", || env.metrics().iter().any(|it| it.depth >= 1));
    env.shutdown();
    env.await_termination().unwrap();
    assert!(waiting.join().unwrap().is_err(), "nobody took it");
    gate.open();
}

pub(crate) fn a_full_inbox_holds_up_its_peer_and_loses_nothing(backend: Backend) {
    let (server, asker) = backend.pair();
    // On the connection's shard, and on another one.
    for shard in 0..2 {
        let (journal, go) = slow(&server, shard, 4);
        let there = asker.ref_at(server.address().unwrap(), &format!("slow{shard}"));
        let there = there.unwrap();
        there.send(Echo { n: 0 }).unwrap();
        journal.wait_line("echo 0");
        let mut taken = vec![0];
        for n in 1..=500 {
            if there.send(Echo { n }).is_ok() {
                taken.push(n);
            }
        }
        std::thread::sleep(Duration::from_millis(50));
        go.send(()).unwrap();
        let lines = journal.wait_for("all that was taken", |lines| lines.len() >= taken.len());
        let expected: Vec<_> = taken.iter().map(|n| format!("echo {n}")).collect();
        assert_eq!(lines, expected, "in order");
        assert_eq!((server.messages_lost(), asker.messages_lost()), (0, 0));
        // The connection goes on.
        eventually("answered again", || {
            there.ask_blocking(Echo { n: 501 }).is_ok()
        });
    }
}

pub(crate) fn an_endpoint_hears_of_the_end_behind_messages_that_waited_for_room(backend: Backend) {
    let server = backend.env("server");
    let (journal, go) = slow(&server, 0, 2);
    let events = Journal::default();
    let recorder = Recorder::new(&events);
    let placed = EndpointOptions::on_shard(0);
    server
        .setup_endpoint_with("recorder", placed, move || recorder)
        .unwrap();
    let peer = backend.client("peer");
    let there = peer.ref_at(server.address().unwrap(), "slow0").unwrap();
    for n in 0..4 {
        there.send(Echo { n }).unwrap();
        journal.wait_line("echo 0");
    }
    let recorder = peer.ref_at(server.address().unwrap(), "recorder").unwrap();
    recorder.send(Echo { n: 9 }).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    go.send(()).unwrap();
    events.wait_line("echo 9");
    drop(peer);
    let lines = events.wait_for("disconnected", |lines| {
        lines.iter().any(|line| line.starts_with("disconnected"))
    });
    let at = |start: &str| {
        lines
            .iter()
            .position(|line| line.starts_with(start))
            .unwrap()
    };
    assert!(
        at("connected") < at("echo 9") && at("echo 9") < at("disconnected"),
        "{lines:?}"
    );
}

pub(crate) fn what_waits_too_long_for_room_is_told_to_both_sides(backend: Backend) {
    let conf = Conf::new().with("ringrail.rpc.inbox.maxStall", "50ms");
    let (server, _) = listening(backend, "server", conf);
    let (asker, told) = listening(backend, "asker", Conf::new());
    let (journal, go) = slow(&server, 0, 1);
    server.setup_endpoint("echo", echo()).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "slow0").unwrap();
    for n in 0..4 {
        there.send(Echo { n }).unwrap();
        journal.wait_line("echo 0");
    }
    eventually("both know", || {
        asker.messages_lost() == 2 && server.messages_lost() == 2
    });
    // Others are served although that endpoint is stuck.
    let echo = asker.ref_at(server.address().unwrap(), "echo").unwrap();
    assert_eq!(echo.ask_blocking(Echo { n: 5 }).unwrap(), 5);
    go.send(()).unwrap();
    journal.wait_line("echo 1");
    let told = told.lock().unwrap();
    assert!(told[0].contains("slow0"), "{told:?}");
    assert!(told[0].contains("test.Echo"), "{told:?}");
    assert!(told[0].contains("ringrail.rpc.inbox.capacity"), "{told:?}");
}

pub(crate) fn messages_to_nobody_are_told_to_their_sender(backend: Backend) {
    let (server, asker) = backend.pair();
    let there = asker.ref_at(server.address().unwrap(), "nobody").unwrap();
    there.send(Echo { n: 1 }).unwrap();
    eventually("told", || asker.messages_lost() == 1);
    let nowhere = asker.ref_at(&RpcAddress::new("127.0.0.1", 9), "x").unwrap();
    nowhere.send(Echo { n: 2 }).unwrap();
    eventually("there is no connection", || asker.messages_lost() == 2);
}

pub(crate) fn connections_and_messages_come_in_their_order_on_every_thread(backend: Backend) {
    let server = backend.env("server");
    let journals: Vec<_> = (0..3)
        .map(|at| {
            let journal = Journal::default();
            let recorder = Recorder::new(&journal);
            let placement = match at {
                2 => Placement::Isolated,
                at => Placement::Shard(at),
            };
            let options = EndpointOptions {
                placement,
                ..EndpointOptions::default()
            };
            let name = format!("recorder{at}");
            let recorder = server.setup_endpoint_with(&name, options, move || recorder);
            recorder.unwrap().ask_blocking(Echo { n: 0 }).unwrap();
            journal
        })
        .collect();
    for round in 1..=30 {
        let peer = backend.env("peer");
        let own = peer.address().unwrap().clone();
        for at in 0..3 {
            let there = peer.ref_at(server.address().unwrap(), &format!("recorder{at}"));
            let there = there.unwrap();
            for _ in 0..20 {
                there.send(Echo { n: round }).unwrap();
            }
            let text = format!("{round}");
            assert_eq!(
                there.ask_blocking(Say { text: text.clone() }).unwrap(),
                text
            );
        }
        drop(peer);
        for journal in &journals {
            journal.wait_line(&format!("disconnected: {own}"));
            let lines = journal.lines();
            let at = |line: &str| lines.iter().rposition(|it| it == line).unwrap();
            let connected = at(&format!("connected: {own}"));
            let first = lines
                .iter()
                .position(|it| *it == format!("echo {round}"))
                .unwrap();
            let last = at(&format!("say {round}"));
            let disconnected = at(&format!("disconnected: {own}"));
            assert!(connected < first, "round {round}: {lines:?}");
            assert!(last < disconnected, "round {round}: {lines:?}");
        }
    }
}

/// Sends to an endpoint of its own thread, by turns through a ref and directly.
struct Alternating;

impl RpcEndpoint for Alternating {
    type Messages = (Mixed,);
}

impl Handle<Mixed> for Alternating {
    fn handle(
        &mut self,
        mixed: Received<'_, Mixed>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        let to = mixed.take()?.to;
        let direct = to.here();
        for n in 1..=100 {
            match &direct {
                Some(direct) if n % 2 == 0 => direct.send(Echo { n })?,
                _ => to.send(Echo { n })?,
            }
        }
        call.reply(u64::from(direct.is_some()));
        Ok(())
    }
}

pub(crate) fn a_sender_keeps_its_order_whichever_way_it_sends(backend: Backend) {
    let (env, peer) = backend.pair();
    let journal = Journal::default();
    let recorder = Recorder::new(&journal);
    let made = env.setup_endpoint_with("recorder", EndpointOptions::on_shard(0), move || recorder);
    let here = made.unwrap().any();
    let far = Journal::default();
    peer.setup_endpoint("recorder", Recorder::new(&far))
        .unwrap();
    let there = env.ref_at(peer.address().unwrap(), "recorder").unwrap();
    assert_eq!(there.ask_blocking(Echo { n: 0 }).unwrap(), 0);
    let expected: Vec<_> = (1..=100).map(|n| format!("echo {n}")).collect();
    let mut direct = 0;
    for shard in 0..2 {
        let name = format!("sender{shard}");
        let options = EndpointOptions::on_shard(shard);
        let sender = env.setup_endpoint_with(&name, options, || Alternating);
        let sender = sender.unwrap();
        for (to, journal) in [(&here, &journal), (&there, &far)] {
            let echoes = || {
                let mut lines = journal.own_lines();
                lines.retain(|line| line.starts_with("echo ") && line != "echo 0");
                lines
            };
            let before = echoes().len();
            direct += sender.ask_blocking(Mixed { to: to.clone() }).unwrap();
            eventually("all have come", || echoes().len() == before + 100);
            assert_eq!(echoes()[before..], expected);
        }
    }
    assert_eq!(
        direct, 2,
        "each was sent to directly from one of the shards"
    );
}

pub(crate) fn shutdown_ends_what_a_blocked_endpoint_was_asked(backend: Backend) {
    let conf = Conf::new()
        .with("ringrail.transport.drainTimeout", "100ms")
        .with("ringrail.rpc.askTimeout", "1h");
    let env = backend.builder_with("env", conf).build().unwrap();
    let journal = Journal::default();
    let (gate, of_endpoint) = (Gate::default(), journal.clone());
    let held = gate.clone();
    let make = move || Blocked(held, of_endpoint);
    let blocked = env
        .setup_endpoint_with("blocked", EndpointOptions::isolated(), make)
        .unwrap();
    let (told, tells) = mpsc::channel();
    let waits: Vec<_> = (0..3)
        .map(|n| {
            let (blocked, told) = (blocked.clone(), told.clone());
            std::thread::spawn(move || {
                let ask = blocked.ask(Echo { n });
                let outcome = match n {
                    2 => ask.wait(),
                    _ => block_on(ask),
                };
                told.send(outcome.unwrap_err().to_string()).unwrap();
            })
        })
        .collect();
    journal.wait_for("it is blocked", |lines| !lines.is_empty());
    eventually("all are there", || {
        env.metrics()
            .iter()
            .any(|it| &*it.name == "blocked" && it.depth == 2)
    });
    env.shutdown();
    env.await_termination().unwrap();
    for _ in 0..3 {
        let text = tells.recv_timeout(PATIENCE).unwrap();
        assert_eq!(text, "RpcEnv already stopped.");
    }
    for wait in waits {
        wait.join().unwrap();
    }
    assert_eq!(
        env.blocked_threads(),
        ["env-blocked"],
        "its absence is told"
    );
    gate.open();
    journal.wait_line("stop");
    eventually("its thread has ended", || env.blocked_threads().is_empty());
    assert_eq!(
        journal.lines().len(),
        2,
        "what waited is not handled after the end: {:?}",
        journal.lines()
    );
}

/// Blocks its thread until a gate opens.
struct Blocked(Gate, Journal);

impl RpcEndpoint for Blocked {
    type Messages = (Echo,);

    fn on_stop(&mut self) -> Result<(), RpcError> {
        self.1.write("stop");
        Ok(())
    }
}

impl Handle<Echo> for Blocked {
    fn handle(
        &mut self,
        _: Received<'_, Echo>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        self.1.write("blocked");
        assert!(self.0.pass());
        call.reply(0);
        Ok(())
    }
}

pub(crate) fn isolated_endpoints_may_wait_for_others_but_not_for_themselves(backend: Backend) {
    let (env, peer) = backend.pair();
    let here = env.setup_endpoint("echo", echo()).unwrap().any();
    peer.setup_endpoint("echo", echo()).unwrap();
    let there = env.ref_at(peer.address().unwrap(), "echo").unwrap();
    let uri = there.uri().to_string();
    let make = move || {
        FnEndpoint::new().on::<Ask>(move |ask, call| {
            let (env, to) = (call.env(), ask.take()?.to);
            let own = to.name() == "isolated";
            let found = env.setup_endpoint_ref_by_uri_blocking(&uri)?;
            assert_eq!(found.ask_blocking(Echo { n: 4 })?, 4);
            assert!(
                env.await_termination().is_err(),
                "the end waits for this thread"
            );
            let outcome = to.ask_blocking(Echo { n: 3 });
            let waited = to.ask(Echo { n: 3 }).wait();
            assert_eq!(outcome.is_err(), own);
            assert_eq!(waited.is_err(), own);
            let sent = to.send_blocking(Echo { n: 5 });
            assert_eq!(sent.is_err(), own);
            call.reply(outcome.map_or_else(|error| error.to_string(), |n| n.to_string()));
            Ok(())
        })
    };
    let isolated = env
        .setup_endpoint_with("isolated", EndpointOptions::isolated(), make)
        .unwrap();
    for to in [here, there] {
        assert_eq!(isolated.ask_blocking(Ask { to }).unwrap(), "3");
    }
    let text = isolated.ask_blocking(Ask { to: isolated.any() }).unwrap();
    assert!(text.contains("would block a thread"), "{text}");
}

pub(crate) fn a_blocked_shard_does_not_hold_up_timeouts(backend: Backend) {
    let env = backend.env("env");
    let (gate, blocked) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (held, is_blocked) = (gate.clone(), Arc::clone(&blocked));
    let make = move || {
        echo().on::<Count>(move |_, call| {
            is_blocked.store(true, Ordering::SeqCst);
            // It must not, but it does.
            assert!(held.pass());
            call.reply(1);
            Ok(())
        })
    };
    let options = EndpointOptions::on_shard(0);
    let shard = env.setup_endpoint_with("shard", options, make).unwrap();
    let long = shard.ask(Count {});
    eventually("the shard is blocked", || blocked.load(Ordering::SeqCst));
    let short = || RpcTimeout::new(Duration::from_millis(50), "short.key");
    let waiting = shard.ask_timeout(Echo { n: 1 }, short()).wait();
    let awaited = block_on(shard.ask_timeout(Echo { n: 2 }, short()));
    for outcome in [waiting, awaited] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, RpcError::TimedOut(_)), "{error}");
        assert!(error.to_string().ends_with("short.key"), "{error}");
    }
    gate.open();
    assert_eq!(long.wait().unwrap(), 1);
}

pub(crate) fn stopping_a_remote_namesake_stops_nothing_here(backend: Backend) {
    let (env, peer) = backend.pair();
    let here = env.setup_endpoint("echo", echo()).unwrap();
    peer.setup_endpoint("echo", echo()).unwrap();
    let there = env.ref_at(peer.address().unwrap(), "echo").unwrap();
    env.stop(&there);
    assert_eq!(here.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    assert_eq!(there.ask_blocking(Echo { n: 2 }).unwrap(), 2);
    peer.stop(&here);
    assert_eq!(
        there.ask_blocking(Echo { n: 3 }).unwrap(),
        3,
        "a ref of another env's"
    );
}

pub(crate) fn isolated_endpoints_set_up_during_shutdown_leave_no_thread(backend: Backend) {
    for _ in 0..10 {
        let env = backend.env("leaving");
        let setting_up = env.clone();
        let setter = std::thread::spawn(move || {
            for n in 0..1000 {
                let name = format!("iso{n}");
                let options = EndpointOptions::isolated();
                if setting_up
                    .setup_endpoint_with(&name, options, echo)
                    .is_err()
                {
                    return;
                }
                if n > 20 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        std::thread::sleep(Duration::from_millis(2));
        env.shutdown();
        env.await_termination().unwrap();
        setter.join().unwrap();
    }
    let named = |thread: std::io::Result<std::fs::DirEntry>| {
        let name = std::fs::read_to_string(thread.ok()?.path().join("comm")).ok()?;
        name.starts_with("leaving-iso").then_some(())
    };
    eventually("no thread is left", || {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        threads.filter_map(named).count() == 0
    });
}

message! { Bytes { bytes: Vec<u8> } -> Vec<u8>, "guarantees.Bytes" }
message! { Words { text: String } -> String, "guarantees.Words" }

pub(crate) fn replies_may_borrow_what_was_received(backend: Backend) {
    let (server, asker) = backend.pair();
    let endpoint = FnEndpoint::new()
        .on::<Bytes>(|bytes, call| {
            call.reply_as(match bytes.view() {
                View::Archived(it) => Slice(&it.bytes),
                View::Local(it) => Slice(&it.bytes),
            });
            Ok(())
        })
        .on::<Words>(|words, call| {
            call.reply_as(match words.view() {
                View::Archived(it) => Text(&it.text),
                View::Local(it) => Text(&it.text),
            });
            Ok(())
        });
    let here = server.setup_endpoint("echo", endpoint).unwrap().any();
    let there = asker.ref_at(server.address().unwrap(), "echo").unwrap();
    for to in [here, there] {
        let bytes: Vec<u8> = (0..200).collect();
        let reply = to
            .ask_blocking(Bytes {
                bytes: bytes.clone(),
            })
            .unwrap();
        assert_eq!(reply, bytes);
        let text = String::from("a text that is no short string");
        assert_eq!(to.ask_blocking(Words { text: text.clone() }).unwrap(), text);
    }
}

message! { Mine { n: u64 } -> u64, "guarantees.Shared" }
message! { Yours { n: u64 } -> u64, "guarantees.Shared" }

pub(crate) fn one_name_for_two_messages_is_refused(backend: Backend) {
    let env = backend.env("env");
    let mine = FnEndpoint::new().on::<Mine>(|_, _| Ok(()));
    env.setup_endpoint("mine", mine).unwrap();
    let yours = FnEndpoint::new().on::<Yours>(|_, _| Ok(()));
    let text = env.setup_endpoint("yours", yours).unwrap_err().to_string();
    for part in ["guarantees.Shared", "Mine", "Yours"] {
        assert!(text.contains(part), "{text}");
    }
    env.setup_endpoint("yours", echo()).unwrap();
}

/// Two programs' definitions of one message: the reader's, and a sender's with another field.
mod theirs {
    use ringrail::rpc::Message;
    use rkyv::{Archive, Deserialize, Serialize};

    #[derive(Archive, Serialize, Deserialize)]
    pub(super) struct Order {
        pub(super) n: u64,
    }

    impl Message for Order {
        type Reply = u64;
        const NAME: &'static str = "guarantees.Order";
    }

    #[derive(Archive, Serialize, Deserialize)]
    pub(super) struct OldOrder {
        pub(super) n: u64,
        pub(super) m: u64,
    }

    impl Message for OldOrder {
        type Reply = u64;
        const NAME: &'static str = "guarantees.Order";
    }
}

pub(crate) fn a_message_that_is_another_type_to_its_sender_is_refused(backend: Backend) {
    let (server, asker) = backend.pair();
    let orders = FnEndpoint::new().on::<theirs::Order>(|order, call| {
        call.reply(order.take()?.n);
        Ok(())
    });
    server.setup_endpoint("orders", orders).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "orders").unwrap();
    let error = there
        .ask_blocking(theirs::OldOrder { n: 1, m: 2 })
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("guarantees.Order"), "{text}");
    assert!(text.contains("is another type there than here"), "{text}");
    // Another sender's of the right type are read.
    let other = backend.env("other");
    let there = other.ref_at(server.address().unwrap(), "orders").unwrap();
    assert_eq!(there.ask_blocking(theirs::Order { n: 3 }).unwrap(), 3);
}

/// Counts how often the future of its handler is polled until it is let go.
struct Polled(Arc<AtomicU64>, Option<oneshot::Receiver<()>>);

impl RpcEndpoint for Polled {
    type Messages = (Async<Echo>,);
}

impl HandleAsync<Echo> for Polled {
    async fn handle(&mut self, echo: Kept<Echo>, call: HeldCall<u64>) -> Result<(), RpcError> {
        let (polls, mut wait) = (Arc::clone(&self.0), self.1.take());
        std::future::poll_fn(|cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            match &mut wait {
                Some(wait) => std::pin::Pin::new(wait).poll(cx).map(drop),
                None => std::task::Poll::Ready(()),
            }
        })
        .await;
        call.reply(echo.take()?.n);
        Ok(())
    }
}

pub(crate) fn a_handlers_future_is_polled_when_it_is_woken_and_not_before(backend: Backend) {
    let env = backend.env("env");
    let polls = Arc::new(AtomicU64::new(0));
    let (go, wait) = oneshot::channel();
    let endpoint = Polled(Arc::clone(&polls), Some(wait));
    let polled = env.setup_endpoint("polled", endpoint).unwrap();
    // Queued while the endpoint starts, so it goes through the inbox.
    let ask = polled.ask(Echo { n: 1 });
    eventually("it is polled", || polls.load(Ordering::SeqCst) > 0);
    let others: Vec<_> = (0..3).map(|n| polled.send(Echo { n })).collect();
    assert!(others.iter().all(Result::is_ok));
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(polls.load(Ordering::SeqCst), 1);
    go.send(()).unwrap();
    assert_eq!(ask.wait().unwrap(), 1);
}
