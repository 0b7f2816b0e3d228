//! Messages that want no reply, where something is full or gone.

use ringrail::conf::Conf;
use ringrail::rpc::{EndpointOptions, RpcAddress, RpcEnv};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::actors::{Echo, Recorder, echo};
use crate::ground::{Backend, Gate, Journal, block_on, eventually};
use crate::slow::{gated, slow};

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
