//! Models: envs of the in-process backend, run by shuttle through random interleavings of their
//! threads (mailboxes, inboxes, outboxes, replies on their way, cancels, the end of an env).
//!
//! A wake-up that is lost leaves a thread asleep for ever, which shuttle reports as a deadlock.
//! `RINGRAIL_MODEL_RUNS` says how many interleavings of each kind are run; see [`sync`](super::sync).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rkyv::{Archive, Deserialize, Serialize};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Runner, thread};

use super::{
    EndpointOptions, Handle, HandleAsync, HeldCall, Message, Owned, Received, RpcAddress,
    RpcCallContext, RpcEndpoint, RpcEndpointRef, RpcEnv, RpcError,
};
use crate::conf::Conf;

mod order;

/// Interleavings of each kind where nothing else is said.
const RUNS: usize = 200;

/// Preemptions that the second kind places where they may hurt most.
const DEPTH: usize = 3;

/// Bytes of a model's stacks: endpoints run on them.
const STACK: usize = 512 << 10;

fn explore(model: impl Fn() + Copy + Send + Sync + 'static) {
    explore_part(1, model);
}

/// Runs one in `part` interleavings of a model that has many steps.
fn explore_part(part: usize, model: impl Fn() + Copy + Send + Sync + 'static) {
    let runs = std::env::var("RINGRAIL_MODEL_RUNS");
    let runs = runs.map_or(RUNS, |runs| runs.parse().expect("a number of runs"));
    let runs = runs.div_ceil(part);
    run(RandomScheduler::new(runs), model);
    run(PctScheduler::new(DEPTH, runs), model);
}

fn run(scheduler: impl Scheduler + 'static, model: impl Fn() + Send + Sync + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    Runner::new(scheduler, config).run(model);
}

/// A message with its sender and its number among that sender's.
#[derive(Archive, Serialize, Deserialize)]
struct Numbered {
    sender: u64,
    number: u64,
}

impl Message for Numbered {
    type Reply = u64;
    const NAME: &'static str = "model.Numbered";
}

/// The observations of a [`Collector`].
#[derive(Default)]
struct Seen {
    /// By sender: its messages, in the order in which they were handled.
    numbers: HashMap<u64, Vec<u64>>,
    started: u32,
    stopped: u32,
}

/// Notes what comes, and that hooks come in their place; replies with the number.
struct Collector(Arc<Mutex<Seen>>);

impl RpcEndpoint for Collector {
    type Messages = (Numbered,);

    fn on_start(&mut self, _: &super::EndpointContext<Self>) -> Result<(), RpcError> {
        self.0.lock().expect("no panic").started += 1;
        Ok(())
    }

    fn on_stop(&mut self) -> Result<(), RpcError> {
        self.0.lock().expect("no panic").stopped += 1;
        Ok(())
    }
}

impl Handle<Numbered> for Collector {
    fn handle(
        &mut self,
        message: Received<'_, Numbered>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        let Numbered { sender, number } = message.take()?;
        let mut seen = self.0.lock().expect("no panic");
        assert_eq!((seen.started, seen.stopped), (1, 0), "between its hooks");
        seen.numbers.entry(sender).or_default().push(number);
        drop(seen);
        call.reply(number);
        Ok(())
    }
}

/// Asks the far endpoint and replies with twice what it said.
struct Between(RpcEndpointRef);

impl RpcEndpoint for Between {
    type Messages = (super::Async<Numbered>,);
}

impl HandleAsync<Numbered> for Between {
    async fn handle(
        &mut self,
        message: Owned<Numbered>,
        call: HeldCall<u64>,
    ) -> Result<(), RpcError> {
        let reply = self.0.ask(message.take()?).await?;
        call.reply(2 * reply);
        Ok(())
    }
}

/// Bounds that are reached.
fn narrow() -> Conf {
    Conf::new()
        .with("ringrail.transport.inbox", "16")
        .with("ringrail.rpc.inbox.capacity", "4")
        .with("ringrail.rpc.inbox.budget", "2")
        .with("ringrail.rpc.outbox.capacity", "4")
}

fn env(name: &str, conf: Conf) -> RpcEnv {
    let env = RpcEnv::builder(name).conf(conf).backend("local");
    env.shards(2).client_mode().build().expect("an env")
}

fn server(name: &str, conf: Conf) -> RpcEnv {
    let env = RpcEnv::builder(name).conf(conf).backend("local");
    env.shards(1).build().expect("an env")
}

fn end(env: &RpcEnv) {
    env.shutdown();
    env.await_termination().expect("no host's thread");
}

/// A ref to the collector of another env, which has not been asked whether it is there.
fn ref_at(env: &RpcEnv, address: RpcAddress) -> RpcEndpointRef {
    let target = env.shared().ref_at(address, "collector".into());
    RpcEndpointRef::new(target.expect("the env runs"))
}

/// Whether trying again can help: a bound was reached.
fn is_busy(error: &RpcError) -> bool {
    matches!(error, RpcError::Busy { .. })
        || matches!(error, RpcError::Remote { failure, .. } if failure.retryable())
}

/// Sends numbers by `send` until each was taken.
fn send_all(count: u64, mut send: impl FnMut(u64) -> Result<(), RpcError>) {
    for number in 0..count {
        while let Err(error) = send(number) {
            assert!(is_busy(&error), "{error}");
            thread::yield_now();
        }
    }
}

fn collector(env: &RpcEnv) -> (RpcEndpointRef<Collector>, Arc<Mutex<Seen>>) {
    named(env, "collector")
}

fn named(env: &RpcEnv, name: &str) -> (RpcEndpointRef<Collector>, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let of_endpoint = Arc::clone(&seen);
    let made = move || Collector(of_endpoint);
    let collector = env.setup_endpoint_with(name, EndpointOptions::on_shard(0), made);
    (collector.expect("an endpoint"), seen)
}

/// Every sender's numbers were handled once each, in order.
fn check(seen: &Mutex<Seen>, senders: u64, count: u64) {
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.numbers.len() as u64, senders);
    for numbers in seen.numbers.values() {
        assert!(numbers.iter().copied().eq(0..count), "{numbers:?}");
    }
    assert_eq!((seen.started, seen.stopped), (1, 1));
}

#[test]
fn shuttle_64_senders_lose_nothing_keep_their_order_and_pass_no_bound() {
    explore_part(30, || {
        let env = env("crowd", narrow());
        let (collector, seen) = collector(&env);
        let senders: Vec<_> = (0..64)
            .map(|sender| {
                let collector = collector.clone();
                thread::spawn(move || {
                    send_all(3, |number| {
                        let message = Numbered { sender, number };
                        // An ask is refused by a full inbox as well, and told so.
                        let reply = collector.ask(message).wait()?;
                        assert_eq!(reply, number);
                        Ok(())
                    });
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("no panic");
        }
        for endpoint in env.metrics() {
            assert!(endpoint.depth_max <= 4, "{endpoint:?}");
        }
        end(&env);
        check(&seen, 64, 3);
    });
}

#[test]
fn shuttle_a_name_set_up_again_leads_to_the_new_endpoint() {
    explore_part(2, || {
        let env = env("phoenix", narrow());
        // Another fills the mailbox of the thread: a stop may find no room there.
        let (busy, _) = named(&env, "busy");
        let other = thread::spawn(move || {
            send_all(20, |number| busy.send(Numbered { sender: 0, number }));
        });
        let instances: Vec<_> = (0..3)
            .map(|sender| {
                let (instance, seen) = collector(&env);
                send_all(2, |number| instance.send(Numbered { sender, number }));
                env.stop(&instance);
                seen
            })
            .collect();
        other.join().expect("no panic");
        end(&env);
        for (sender, seen) in instances.iter().enumerate() {
            check(seen, 1, 2);
            let seen = seen.lock().expect("no panic");
            assert!(seen.numbers.contains_key(&(sender as u64)), "its own");
        }
    });
}

#[test]
fn shuttle_one_way_messages_to_a_stopping_env_are_handled_or_refused() {
    explore(|| {
        let env = env("stopping", Conf::new());
        let (collector, seen) = collector(&env);
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let collector = collector.clone();
                thread::spawn(move || {
                    let mut taken = 0;
                    while taken < 4
                        && collector
                            .send(Numbered {
                                sender,
                                number: taken,
                            })
                            .is_ok()
                    {
                        taken += 1;
                    }
                    taken
                })
            })
            .collect();
        thread::yield_now();
        end(&env);
        let taken: Vec<u64> = senders
            .into_iter()
            .map(|sender| sender.join().expect("no panic"))
            .collect();
        let seen = seen.lock().expect("no panic");
        assert_eq!((seen.started, seen.stopped), (1, 1));
        for (sender, taken) in taken.into_iter().enumerate() {
            // Messages taken while the env stopped may be dropped, but only from the end.
            let handled = seen.numbers.get(&(sender as u64));
            let handled = handled.map_or(0, |numbers| {
                assert!(
                    numbers.iter().copied().eq(0..numbers.len() as u64),
                    "{numbers:?}"
                );
                numbers.len() as u64
            });
            assert!(handled <= taken, "{handled} of {taken}");
        }
    });
}

#[test]
fn shuttle_every_ask_ends_once_whoever_lets_go_first() {
    explore(|| {
        let env = env("hasty", Conf::new());
        let (collector, seen) = collector(&env);
        let aborting = collector.clone();
        let aborted = thread::spawn(move || {
            let (ask, handle) = aborting.ask_abortable(Numbered {
                sender: 0,
                number: 0,
            });
            let other = thread::spawn(move || handle.abort("changed our mind"));
            let outcome = ask.wait();
            other.join().expect("no panic");
            match outcome {
                Ok(number) => assert_eq!(number, 0),
                Err(error) => assert!(matches!(error, RpcError::Aborted { .. }), "{error}"),
            }
        });
        let dropping = collector.clone();
        let dropped = thread::spawn(move || {
            let ask = dropping.ask(Numbered {
                sender: 1,
                number: 0,
            });
            thread::yield_now();
            drop(ask);
        });
        let asking = collector.clone();
        let asked = thread::spawn(move || {
            let outcome = asking
                .ask(Numbered {
                    sender: 2,
                    number: 0,
                })
                .wait();
            assert!(outcome.is_ok() || outcome.is_err_and(|error| !is_busy(&error)));
        });
        for thread in [aborted, dropped] {
            thread.join().expect("no panic");
        }
        end(&env);
        asked.join().expect("no panic");
        let seen = seen.lock().expect("no panic");
        for numbers in seen.numbers.values() {
            assert_eq!(numbers, &[0], "at most once");
        }
        assert!(env.metrics().is_empty(), "nothing is left");
    });
}

#[test]
fn shuttle_futures_on_a_host_are_woken_by_replies_of_another() {
    explore(|| {
        let env = env("relay", Conf::new());
        let (collector, seen) = collector(&env);
        let far = collector.any();
        let made = move || Between(far);
        let between = env.setup_endpoint_with("between", EndpointOptions::on_shard(1), made);
        let between = between.expect("an endpoint");
        let askers: Vec<_> = (0..2)
            .map(|sender| {
                let between = between.clone();
                thread::spawn(move || {
                    for number in 0..2 {
                        let reply = between.ask(Numbered { sender, number }).wait();
                        assert_eq!(reply.expect("a reply"), 2 * number);
                    }
                })
            })
            .collect();
        for asker in askers {
            asker.join().expect("no panic");
        }
        end(&env);
        check(&seen, 2, 2);
    });
}

#[test]
fn shuttle_an_outbox_keeps_the_order_of_its_senders_while_it_connects() {
    explore(|| {
        let server = server("far", Conf::new());
        let (_, seen) = collector(&server);
        let address = server.address().expect("it listens").clone();
        let client = env("near", Conf::new());
        let far = ref_at(&client, address);
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let far = far.clone();
                thread::spawn(move || {
                    for number in 0..2 {
                        far.send(Numbered { sender, number }).expect("taken");
                    }
                    let reply = far.ask(Numbered { sender, number: 2 }).wait();
                    assert_eq!(reply.expect("a reply"), 2);
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("no panic");
        }
        end(&client);
        end(&server);
        check(&seen, 3, 3);
    });
}

#[test]
fn shuttle_asks_over_a_connection_that_ends_all_end() {
    explore(|| {
        let server = server("leaving", Conf::new());
        let (_, seen) = collector(&server);
        let address = server.address().expect("it listens").clone();
        let client = env("left", Conf::new());
        let far = ref_at(&client, address);
        let answered = Arc::new(AtomicU64::new(0));
        let askers: Vec<_> = (0..2)
            .map(|sender| {
                let (far, answered) = (far.clone(), Arc::clone(&answered));
                thread::spawn(move || {
                    if far.ask(Numbered { sender, number: 0 }).wait().is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        end(&server);
        for asker in askers {
            asker.join().expect("no panic");
        }
        end(&client);
        let handled = seen.lock().expect("no panic").numbers.len() as u64;
        assert!(answered.load(Ordering::Relaxed) <= handled);
    });
}
