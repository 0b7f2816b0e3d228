//! The life of endpoints: hooks, order, exclusion.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringrail::conf::Conf;
use ringrail::rpc::{
    Async, EndpointOptions, FnEndpoint, HandleAsync, HeldCall, Owned, RpcEndpoint, RpcEndpointRef,
    RpcEnv, RpcEnvBuilder, RpcError,
};

use crate::actors::{Echo, Recorder, Say, echo};
use crate::ground::{Backend, Gate, Journal, eventually};

pub(crate) fn on_start_comes_before_messages_sent_before_setup_returned(backend: Backend) {
    let env = backend.env("env");
    let (journal, gate) = (Journal::default(), Gate::default());
    let mut recorder = Recorder::new(&journal);
    recorder.start = Some(gate.clone());
    let recorder = env.setup_endpoint("recorder", recorder).unwrap();
    for n in 0..10 {
        recorder.send(Echo { n }).unwrap();
    }
    let last = recorder.ask(Echo { n: 10 });
    assert!(journal.lines().is_empty(), "on_start has not returned");
    gate.open();
    assert_eq!(last.wait().unwrap(), 10);
    let lines = journal.own_lines();
    assert_eq!(lines[0], "start");
    let echoes: Vec<_> = (0..=10).map(|n| format!("echo {n}")).collect();
    assert_eq!(lines[1..], echoes);
}

pub(crate) fn on_stop_comes_once_and_after_what_was_queued(backend: Backend) {
    let env = backend.env("env");
    let (journal, gate) = (Journal::default(), Gate::default());
    let mut recorder = Recorder::new(&journal);
    recorder.start = Some(gate.clone());
    let recorder = env.setup_endpoint("recorder", recorder).unwrap();
    let asks: Vec<_> = (0..5).map(|n| recorder.ask(Echo { n })).collect();
    env.stop(&recorder);
    env.stop(&recorder);
    gate.open();
    for (n, ask) in asks.into_iter().enumerate() {
        assert_eq!(
            ask.wait().unwrap(),
            n as u64,
            "it was queued before the stop"
        );
    }
    journal.wait_line("stop");
    env.shutdown();
    env.await_termination().unwrap();
    let lines = journal.own_lines();
    assert_eq!(lines.iter().filter(|line| *line == "stop").count(), 1);
    assert_eq!(lines.last().unwrap(), "stop");
    assert_eq!(lines.len(), 7);
}

pub(crate) fn an_endpoint_that_is_stopped_at_once_has_both_its_hooks(backend: Backend) {
    let env = backend.env("env");
    let made_and_stopped = |env: &RpcEnv, journal: &Journal| {
        let recorder = Recorder::new(journal);
        let made = env.setup_endpoint_with("short", EndpointOptions::on_shard(0), || recorder);
        env.stop(&made.unwrap());
    };
    let journal = Journal::default();
    made_and_stopped(&env, &journal);
    journal.wait_line("stop");
    assert_eq!(journal.own_lines(), ["start", "stop"]);

    let (journal, inner) = (Journal::default(), env.clone());
    let of_handler = journal.clone();
    let made = move || {
        FnEndpoint::new().on::<Echo>(move |_, call| {
            made_and_stopped(&inner, &of_handler);
            call.reply(0);
            Ok(())
        })
    };
    let driver = env.setup_endpoint_with("driver", EndpointOptions::on_shard(0), made);
    driver.unwrap().ask_blocking(Echo { n: 0 }).unwrap();
    journal.wait_line("stop");
    assert_eq!(journal.own_lines(), ["start", "stop"]);
}

pub(crate) fn after_stop_sends_are_dropped_and_asks_fail_at_once(backend: Backend) {
    let (server, asker) = backend.pair();
    let journal = Journal::default();
    let recorder = server
        .setup_endpoint("recorder", Recorder::new(&journal))
        .unwrap();
    let remote = asker.ref_at(server.address().unwrap(), "recorder").unwrap();
    assert_eq!(remote.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    server.stop(&recorder);
    journal.wait_line("stop");
    for error in [
        recorder.ask_blocking(Echo { n: 2 }).unwrap_err(),
        remote.ask_blocking(Echo { n: 2 }).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("Could not find recorder."), "{text}");
    }
    // No handler receives it.
    recorder.send(Echo { n: 3 }).unwrap();
    remote.send(Echo { n: 3 }).unwrap();
    // The name is free.
    let again = server.setup_endpoint("recorder", echo()).unwrap();
    assert_eq!(again.ask_blocking(Echo { n: 4 }).unwrap(), 4);
    assert_eq!(remote.ask_blocking(Echo { n: 5 }).unwrap(), 5);
    assert_eq!(journal.own_lines().last().unwrap(), "stop");
}

/// The instance that handled each number.
type Handled = Arc<Mutex<Vec<(u64, u64)>>>;

/// An endpoint on the first shard that records the messages it handles.
fn instance(env: &RpcEnv, number: u64, handled: &Handled) -> RpcEndpointRef {
    let handled = Arc::clone(handled);
    let made = move || {
        FnEndpoint::new().on::<Echo>(move |echo, call| {
            let n = echo.take()?.n;
            handled.lock().unwrap().push((number, n));
            call.reply(n);
            Ok(())
        })
    };
    let made = env.setup_endpoint_with("phoenix", EndpointOptions::on_shard(0), made);
    made.unwrap().any()
}

/// Every instance handled what was sent while the name was its own, in order.
fn each_had_its_own(env: &RpcEnv, handled: &Handled, rounds: u64) {
    env.shutdown();
    env.await_termination().unwrap();
    let expected = (0..rounds).flat_map(|round| (0..4).map(move |n| (round, 10 * round + n)));
    let mut handled = handled.lock().unwrap();
    handled.sort_by_key(|(instance, _)| *instance);
    assert!(handled.iter().copied().eq(expected), "{handled:?}");
}

pub(crate) fn a_name_set_up_again_leads_to_the_new_endpoint_at_once(backend: Backend) {
    const ROUNDS: u64 = 300;
    let env = backend.env("env");
    let handled = Handled::default();
    let mut first = None;
    for round in 0..ROUNDS {
        let fresh = instance(&env, round, &handled);
        let first = first.get_or_insert_with(|| fresh.clone());
        for n in 0..4 {
            let to = if n % 2 == 0 { &fresh } else { &*first };
            to.send(Echo { n: 10 * round + n }).unwrap();
        }
        env.stop(&fresh);
    }
    each_had_its_own(&env, &handled, ROUNDS);
}

pub(crate) fn a_name_set_up_again_by_a_handler_leads_to_the_new_endpoint_at_once(backend: Backend) {
    const ROUNDS: u64 = 20;
    let env = backend.env("env");
    let handled = Handled::default();
    let (inner, of_handler) = (env.clone(), Arc::clone(&handled));
    let made = move || {
        FnEndpoint::new().on::<Echo>(move |_, call| {
            for round in 0..ROUNDS {
                let fresh = instance(&inner, round, &of_handler);
                for n in 0..4 {
                    let message = Echo { n: 10 * round + n };
                    match fresh.as_local().filter(|_| round % 2 == 0) {
                        Some(here) => here.send(message)?,
                        None => fresh.send(message)?,
                    }
                }
                inner.stop(&fresh);
            }
            call.reply(ROUNDS);
            Ok(())
        })
    };
    let driver = env.setup_endpoint_with("driver", EndpointOptions::on_shard(0), made);
    assert_eq!(driver.unwrap().ask_blocking(Echo { n: 0 }).unwrap(), ROUNDS);
    each_had_its_own(&env, &handled, ROUNDS);
}

pub(crate) fn refs_follow_a_name_whose_isolated_endpoint_has_ended(backend: Backend) {
    let env = backend.env("env");
    let journal = Journal::default();
    let recorder = Recorder::new(&journal);
    let made = move || recorder;
    let isolated = env.setup_endpoint_with("heir", EndpointOptions::isolated(), made);
    let isolated = isolated.unwrap();
    assert_eq!(isolated.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    env.stop(&isolated);
    journal.wait_line("stop");
    let error = isolated.ask_blocking(Echo { n: 2 }).unwrap_err();
    assert!(
        error.to_string().contains("Could not find heir."),
        "{error}"
    );
    env.setup_endpoint("heir", echo()).unwrap();
    assert_eq!(isolated.ask_blocking(Echo { n: 3 }).unwrap(), 3);
}

pub(crate) fn an_endpoint_is_never_entered_twice_and_loses_nothing_from_64_senders(
    backend: Backend,
) {
    const SENDERS: u64 = 64;
    const EACH: u64 = 200;
    let (server, asker) = backend.pair();
    let inside = Arc::new(AtomicBool::new(false));
    let sum = Arc::new(AtomicU64::new(0));
    let (entered, total) = (Arc::clone(&inside), Arc::clone(&sum));
    // The latest count of each sender.
    let mut last = vec![0; SENDERS as usize];
    let endpoint = FnEndpoint::new().on::<Echo>(move |echo, call| {
        assert!(!entered.swap(true, Ordering::SeqCst), "entered twice");
        let n = echo.take()?.n;
        let (sender, count) = ((n / 10_000) as usize, n % 10_000);
        assert_eq!(last[sender] + 1, count, "out of order");
        last[sender] = count;
        total.fetch_add(1, Ordering::SeqCst);
        entered.store(false, Ordering::SeqCst);
        call.reply(n);
        Ok(())
    });
    let here = server.setup_endpoint("counter", endpoint).unwrap().any();
    let there = asker.ref_at(server.address().unwrap(), "counter").unwrap();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let to = if sender % 2 == 0 { &here } else { &there }.clone();
            std::thread::spawn(move || {
                for count in 1..=EACH {
                    let n = sender * 10_000 + count;
                    if count % 50 == 0 {
                        assert_eq!(to.ask_blocking(Echo { n }).unwrap(), n);
                    } else {
                        to.send(Echo { n }).unwrap();
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    eventually("all have arrived", || {
        sum.load(Ordering::SeqCst) == SENDERS * EACH
    });
}

pub(crate) fn instances_of_a_replicated_endpoint_run_at_the_same_time(backend: Backend) {
    let env = backend.env("env");
    let (inside, together) = (Arc::new(AtomicU64::new(0)), Gate::default());
    let make = move || {
        let (inside, together) = (Arc::clone(&inside), together.clone());
        FnEndpoint::new().on::<Echo>(move |echo, call| {
            if inside.fetch_add(1, Ordering::SeqCst) == 1 {
                together.open();
            }
            // Opened only if another instance is in here too.
            assert!(together.pass());
            inside.fetch_sub(1, Ordering::SeqCst);
            call.reply(echo.take()?.n);
            Ok(())
        })
    };
    let options = EndpointOptions::default();
    let replicated = env.setup_replicated("replicated", options, make).unwrap();
    let asks: Vec<_> = (0..32)
        .map(|n| {
            let to = replicated.clone();
            std::thread::spawn(move || to.ask_blocking(Echo { n }).unwrap())
        })
        .collect();
    for (n, ask) in asks.into_iter().enumerate() {
        assert_eq!(ask.join().unwrap(), n as u64);
    }
    let instances = env.metrics();
    let of_name = instances.iter().filter(|one| &*one.name == "replicated");
    assert_eq!(of_name.count(), 2);
}

pub(crate) fn an_isolated_endpoint_may_block_without_holding_up_others(backend: Backend) {
    let (server, asker) = backend.pair();
    let gate = Gate::default();
    let wait = gate.clone();
    let make = move || {
        FnEndpoint::new().on::<Echo>(move |echo, call| {
            assert!(wait.pass());
            call.reply(echo.take()?.n);
            Ok(())
        })
    };
    let slow = server
        .setup_endpoint_with("slow", EndpointOptions::isolated(), make)
        .unwrap();
    let others: Vec<_> = (0..4)
        .map(|at| {
            server
                .setup_endpoint(&format!("quick{at}"), echo())
                .unwrap()
        })
        .collect();
    let remote = asker.ref_at(server.address().unwrap(), "slow").unwrap();
    let asks = [slow.ask(Echo { n: 1 }), remote.ask(Echo { n: 2 })];
    for (n, other) in others.iter().enumerate() {
        let n = n as u64;
        assert_eq!(other.ask_blocking(Echo { n }).unwrap(), n);
    }
    gate.open();
    for (n, ask) in asks.into_iter().enumerate() {
        assert_eq!(ask.wait().unwrap(), n as u64 + 1);
    }
    server.stop(&slow);
}

struct Sleeper {
    other: RpcEndpointRef<FnEndpoint>,
    journal: Journal,
}

impl RpcEndpoint for Sleeper {
    type Messages = (Async<Echo>, Async<Say>);
}

impl HandleAsync<Echo> for Sleeper {
    async fn handle(&mut self, echo: Owned<Echo>, call: HeldCall<u64>) -> Result<(), RpcError> {
        let n = echo.take()?.n;
        self.journal.write(format!("begin {n}"));
        let reply = self.other.ask(Echo { n }).await?;
        self.journal.write(format!("end {n}"));
        call.reply(reply);
        Ok(())
    }
}

impl HandleAsync<Say> for Sleeper {
    async fn handle(&mut self, _: Owned<Say>, _: HeldCall<String>) -> Result<(), RpcError> {
        // An await, so that the failure comes from the future.
        self.other.ask(Echo { n: 0 }).await?;
        Err(RpcError::other("not in the mood"))
    }
}

pub(crate) fn handlers_that_are_futures_keep_the_next_message_waiting(backend: Backend) {
    let (server, asker) = backend.pair();
    let gate = Gate::default();
    let wait = gate.clone();
    let slow = FnEndpoint::new().on::<Echo>(move |echo, call| {
        let (n, call) = (echo.take()?.n, call.defer());
        let wait = wait.clone();
        std::thread::spawn(move || {
            assert!(wait.pass());
            std::thread::sleep(Duration::from_millis(5));
            call.reply(n);
        });
        Ok(())
    });
    let other = server.setup_endpoint("other", slow).unwrap();
    let journal = Journal::default();
    let sleeper = Sleeper {
        other,
        journal: journal.clone(),
    };
    let here = server.setup_endpoint("sleeper", sleeper).unwrap();
    let there = asker
        .ref_at(server.address().unwrap(), "sleeper")
        .unwrap()
        .typed::<Sleeper>();
    let first = here.ask(Echo { n: 1 });
    journal.wait_line("begin 1");
    let second = there.ask(Echo { n: 2 });
    let third = here.ask(Say {
        text: String::new(),
    });
    gate.open();
    assert_eq!(first.wait().unwrap(), 1);
    assert_eq!(second.wait().unwrap(), 2);
    let refusal = third.wait().unwrap_err().to_string();
    assert!(refusal.contains("not in the mood"), "{refusal}");
    let lines = journal.own_lines();
    assert_eq!(lines, ["begin 1", "end 1", "begin 2", "end 2"]);
}

pub(crate) fn a_role_has_threads_of_its_own_number(backend: Backend) {
    let conf = Conf::new()
        .with("spark.rpc.io.serverThreads", "1")
        .with("spark.driver.rpc.io.serverThreads", "3")
        .with("spark.executor.rpc.io.serverThreads", "many");
    let name = match backend {
        Backend::Local => "local",
        Backend::Ring => "ring",
    };
    let builder = || RpcEnv::builder("env").conf(conf.clone()).backend(name);
    let threads = |builder: RpcEnvBuilder| builder.build().map(|env| env.shards());
    assert_eq!(threads(builder()).unwrap(), 1);
    assert_eq!(threads(builder().role("driver")).unwrap(), 3);
    assert_eq!(threads(builder().role("driver").shards(2)).unwrap(), 2);
    assert_eq!(threads(builder().role("worker")).unwrap(), 1);
    let error = threads(builder().role("executor")).unwrap_err().to_string();
    assert!(
        error.contains("spark.executor.rpc.io.serverThreads"),
        "{error}"
    );
}
