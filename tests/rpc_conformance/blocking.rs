//! Handlers that block, and who waits for them.

use ringrail::conf::Conf;
use ringrail::rpc::{
    EndpointOptions, FnEndpoint, Handle, Received, RpcCallContext, RpcEndpoint, RpcEndpointRef,
    RpcError, RpcTimeout,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::actors::{Echo, echo, message};
use crate::ground::{Backend, Gate, Journal, PATIENCE, block_on, eventually};
use crate::slow::Count;

message! { Ask { to: RpcEndpointRef } -> String, "guarantees.Ask" }

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
