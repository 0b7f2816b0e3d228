//! The end of an env, and of a peer.

use ringrail::rpc::{EndpointOptions, RpcError};

use crate::actors::{Echo, Later, Recorder, echo, giver};
use crate::ground::{Backend, Journal, PATIENCE};

pub(crate) fn after_shutdown_everything_fails_with_sparks_words(backend: Backend) {
    let env = backend.env("env");
    let journal = Journal::default();
    let recorder = env
        .setup_endpoint("recorder", Recorder::new(&journal))
        .unwrap();
    let peer = backend.env("peer");
    let there = env.ref_at(peer.address().unwrap(), "anybody").unwrap();
    env.shutdown();
    env.shutdown();
    env.await_termination().unwrap();
    assert!(env.is_terminated());
    assert_eq!(journal.lines(), ["start", "stop"]);
    let already = "RpcEnv already stopped.";
    for error in [
        recorder.ask_blocking(Echo { n: 1 }).unwrap_err(),
        recorder.send(Echo { n: 1 }).unwrap_err(),
        there.ask_blocking(Echo { n: 1 }).unwrap_err(),
        there.send(Echo { n: 1 }).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), already);
    }
    let error = env.setup_endpoint("late", echo()).unwrap_err();
    assert_eq!(error.to_string(), "RpcEnv has been stopped");
}

pub(crate) fn shutdown_with_work_in_flight_resolves_every_future(backend: Backend) {
    let (server, asker) = backend.pair();
    let (endpoint, calls) = giver();
    let here = server.setup_endpoint("giver", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "giver").unwrap();
    let mut asks = Vec::new();
    for _ in 0..20 {
        asks.push(here.ask(Later {}));
        asks.push(there.ask(Later {}));
    }
    let _given: Vec<_> = (0..40)
        .map(|_| calls.recv_timeout(PATIENCE).unwrap())
        .collect();
    // Somewhere that never answers the door.
    let nowhere = asker
        .ref_at(&ringrail::rpc::RpcAddress::new("127.0.0.1", 9), "x")
        .unwrap();
    asks.extend((0..5).map(|_| nowhere.ask(Later {})));
    server.shutdown();
    asker.shutdown();
    server.await_termination().unwrap();
    asker.await_termination().unwrap();
    for ask in asks {
        let error = ask.wait().unwrap_err();
        assert!(!matches!(error, RpcError::TimedOut(_)), "{error}");
    }
}

pub(crate) fn a_peer_that_dies_fails_what_it_was_asked(backend: Backend) {
    let (server, asker) = backend.pair();
    let (endpoint, calls) = giver();
    server.setup_endpoint("giver", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "giver").unwrap();
    let asks: Vec<_> = (0..20).map(|_| there.ask(Later {})).collect();
    let given: Vec<_> = (0..20)
        .map(|_| calls.recv_timeout(PATIENCE).unwrap())
        .collect();
    drop(server);
    for ask in asks {
        let error = ask.wait().unwrap_err();
        assert!(!matches!(error, RpcError::TimedOut(_)), "{error}");
    }
    // Late answers are dropped.
    for call in given {
        call.reply(1);
    }
}

pub(crate) fn asks_made_while_envs_shut_down_all_resolve(backend: Backend) {
    for round in 0..10 {
        let (server, asker) = backend.pair();
        let here = server.setup_endpoint("echo", echo()).unwrap().any();
        let there = asker.ref_at(server.address().unwrap(), "echo").unwrap();
        assert_eq!(there.ask_blocking(Echo { n: 1 }).unwrap(), 1);
        let askers: Vec<_> = (0..6)
            .map(|at| {
                let to = if at % 2 == 0 { &here } else { &there }.clone();
                std::thread::spawn(move || {
                    // Until the end, and some more after it.
                    let mut failed = 0;
                    while failed < 50 {
                        match to.ask_blocking(Echo { n: 7 }) {
                            Ok(n) => assert_eq!(n, 7),
                            Err(RpcError::TimedOut(error)) => panic!("{error}"),
                            Err(_) => failed += 1,
                        }
                    }
                })
            })
            .collect();
        for _ in 0..round {
            there.send(Echo { n: 0 }).unwrap();
        }
        server.shutdown();
        asker.shutdown();
        for asker in askers {
            asker.join().unwrap();
        }
        server.await_termination().unwrap();
        asker.await_termination().unwrap();
    }
}

pub(crate) fn an_isolated_endpoint_that_is_being_stopped_ends_before_its_env(backend: Backend) {
    let env = backend.env("env");
    let journal = Journal::default();
    let recorder = Recorder::new(&journal);
    let isolated = EndpointOptions::isolated();
    let recorder = env
        .setup_endpoint_with("recorder", isolated, move || recorder)
        .unwrap();
    for n in 0..100 {
        recorder.send(Echo { n }).unwrap();
    }
    env.stop(&recorder);
    env.shutdown();
    env.await_termination().unwrap();
    let lines = journal.lines();
    assert_eq!(lines.len(), 102, "{lines:?}");
    assert_eq!(lines.last().unwrap(), "stop");
}
