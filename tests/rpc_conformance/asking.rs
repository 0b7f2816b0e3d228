//! Asks: time, replies, retraction, lanes, bounds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ringrail::conf::Conf;
use ringrail::rpc::{
    EndpointOptions, FnEndpoint, Lane, Message, RpcEndpointRef, RpcError, RpcTimeout, View,
};
use rkyv::{Archive, Deserialize, Serialize};

use crate::actors::{Echo, Later, Recorder, Say, echo, giver, message};
use crate::ground::{Backend, Gate, Journal, PATIENCE, block_on, eventually};

pub(crate) fn a_timeout_names_address_time_and_key_once(backend: Backend) {
    let conf = Conf::new().with("spark.rpc.askTimeout", "50ms");
    let server = backend
        .builder_with("server", conf.clone())
        .build()
        .unwrap();
    let asker = backend.builder_with("asker", conf).build().unwrap();
    let (endpoint, _calls) = giver();
    let here = server.setup_endpoint("giver", endpoint).unwrap();
    let address = server.address().unwrap();
    let there = asker.ref_at(address, "giver").unwrap();
    for to in [here.any(), there] {
        for error in [
            to.ask_blocking(Later {}).unwrap_err(),
            block_on(to.ask(Later {})).unwrap_err(),
        ] {
            let text = error.to_string();
            let begin = format!("Cannot receive any reply from {address} in 50 milliseconds");
            assert!(text.starts_with(&begin), "{text}");
            let end = "This timeout is controlled by ringrail.rpc.askTimeout";
            assert!(text.ends_with(end), "{text}");
            assert_eq!(text.matches("controlled by").count(), 1, "{text}");
        }
        let own = RpcTimeout::new(Duration::from_millis(20), "my.key");
        let text = to
            .ask_timeout(Later {}, own)
            .wait()
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("20 milliseconds") && text.ends_with("my.key"),
            "{text}"
        );
    }
}

pub(crate) fn a_late_reply_is_ignored(backend: Backend) {
    let (server, asker) = backend.pair();
    let (endpoint, calls) = giver();
    let here = server.setup_endpoint("giver", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "giver").unwrap();
    for to in [here.any(), there] {
        // On a busy machine the time may be up before the endpoint has it.
        let call = loop {
            let timeout = RpcTimeout::new(Duration::from_millis(50), "k");
            let error = to.ask_timeout(Later {}, timeout).wait().unwrap_err();
            assert!(matches!(error, RpcError::TimedOut(_)), "{error}");
            if let Ok(call) = calls.try_recv() {
                break call;
            }
        };
        eventually("told that nobody waits", || call.is_retracted());
        call.reply(1);
        assert_eq!(to.ask_blocking(Echo { n: 2 }).unwrap(), 2);
    }
}

pub(crate) fn the_first_of_two_replies_counts(backend: Backend) {
    let (server, asker) = backend.pair();
    let endpoint = FnEndpoint::new().on::<Echo>(|echo, call| {
        call.reply(echo.take()?.n);
        // The caller has its answer; this goes to on_error alone.
        Err(RpcError::other("too late to matter"))
    });
    let here = server.setup_endpoint("twice", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "twice").unwrap();
    assert_eq!(here.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    assert_eq!(there.ask_blocking(Echo { n: 2 }).unwrap(), 2);
}

pub(crate) fn an_aborted_ask_is_retracted(backend: Backend) {
    let (server, asker) = backend.pair();
    let (endpoint, calls) = giver();
    let here = server.setup_endpoint("giver", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "giver").unwrap();
    for to in [here.any(), there] {
        let (ask, handle) = to.ask_abortable(Later {});
        let call = calls.recv_timeout(PATIENCE).unwrap();
        assert!(!call.is_retracted());
        handle.abort("changed my mind");
        let error = ask.wait().unwrap_err();
        assert_eq!(error.to_string(), "the ask was aborted: changed my mind");
        eventually("told that nobody waits", || call.is_retracted());
        handle.abort("twice does nothing");
    }
}

pub(crate) fn a_dropped_ask_is_retracted(backend: Backend) {
    let (server, asker) = backend.pair();
    let (endpoint, calls) = giver();
    let here = server.setup_endpoint("giver", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "giver").unwrap();
    for to in [here.any(), there] {
        let ask = to.ask(Later {});
        let call = calls.recv_timeout(PATIENCE).unwrap();
        drop(ask);
        eventually("told that nobody waits", || call.is_retracted());
    }
}

pub(crate) fn replies_can_come_later_from_any_thread(backend: Backend) {
    let (server, asker) = backend.pair();
    let (endpoint, calls) = giver();
    let here = server.setup_endpoint("giver", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "giver").unwrap();
    for to in [here.any(), there] {
        let asks: Vec<_> = (0..10).map(|_| to.ask(Later {})).collect();
        let given: Vec<_> = (0..10)
            .map(|_| calls.recv_timeout(PATIENCE).unwrap())
            .collect();
        for (n, call) in given.into_iter().enumerate() {
            match n {
                3 => call.send_failure(RpcError::other("not this one")),
                4 => drop(call),
                _ => call.reply(n as u64),
            }
        }
        for (n, ask) in asks.into_iter().enumerate() {
            match ask.wait() {
                Ok(reply) => assert_eq!(reply, n as u64),
                Err(error) => assert!(n == 3 || n == 4, "{n}: {error}"),
            }
        }
    }
}

pub(crate) fn local_values_are_not_serialised(backend: Backend) {
    let env = backend.env("env");
    let (seen, see) = mpsc::channel();
    let endpoint = FnEndpoint::new().on::<Say>(move |say, call| {
        assert!(matches!(say.view(), View::Local(_)));
        // An archive all the same, for those who want one.
        assert_eq!(say.access()?.text.as_str(), "the very same string");
        let text = say.take()?.text;
        seen.send(text.as_ptr() as usize).unwrap();
        call.reply(text);
        Ok(())
    });
    let here = env.setup_endpoint("say", endpoint).unwrap();
    let text = String::from("the very same string");
    let before = text.as_ptr() as usize;
    let reply = here.ask_blocking(Say { text }).unwrap();
    assert_eq!(see.recv().unwrap(), before);
    assert_eq!(reply.as_ptr() as usize, before);
}

pub(crate) fn remote_values_are_archives_that_can_be_kept(backend: Backend) {
    let (server, asker) = backend.pair();
    let (keep, kept) = mpsc::channel();
    let endpoint = FnEndpoint::new().on::<Say>(move |say, call| {
        let View::Archived(view) = say.view() else {
            return Err(RpcError::other("not an archive"));
        };
        let reply = view.text.as_str().to_uppercase();
        keep.send(say.keep()).unwrap();
        call.reply(reply);
        Ok(())
    });
    server.setup_endpoint("say", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "say").unwrap();
    let text = String::from("a text that is too long to be stored inline");
    let reply = there
        .ask(Say { text: text.clone() })
        .archived()
        .wait()
        .unwrap();
    assert!(reply.is_remote());
    let View::Archived(view) = reply.borrow().unwrap() else {
        panic!("not an archive");
    };
    assert_eq!(view.as_str(), text.to_uppercase());
    let kept = kept.recv().unwrap();
    // Other messages come into the same buffers.
    for n in 0..100 {
        let text = format!("something else, {n}, and just as long as it");
        there.ask_blocking(Say { text }).unwrap();
    }
    assert_eq!(kept.take().unwrap().text, text);
}

#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    n: u64,
}

impl Message for Heartbeat {
    type Reply = u64;
    const NAME: &'static str = "test.Heartbeat";
    const LANE: Lane = Lane::Liveness;
}

/// An endpoint on a thread of its own, which waits at a gate first, and has few places.
fn gated(
    env: &ringrail::rpc::RpcEnv,
    gate: &Gate,
    journal: &Journal,
) -> RpcEndpointRef<FnEndpoint> {
    let options = EndpointOptions {
        inbox_capacity: Some(4),
        ..EndpointOptions::isolated()
    };
    let (gate, journal) = (gate.clone(), journal.clone());
    let make = move || {
        let beats = journal.clone();
        FnEndpoint::new()
            .on::<Echo>(move |echo, call| {
                let n = echo.take()?.n;
                journal.write(format!("echo {n}"));
                assert!(n != 0 || gate.pass());
                call.reply(n);
                Ok(())
            })
            .on::<Heartbeat>(move |beat, call| {
                beats.write("beat");
                call.reply(beat.take()?.n);
                Ok(())
            })
    };
    env.setup_endpoint_with("gated", options, make).unwrap()
}

pub(crate) fn liveness_messages_overtake(backend: Backend) {
    let (server, asker) = backend.pair();
    let (gate, journal) = (Gate::default(), Journal::default());
    let here = gated(&server, &gate, &journal);
    let there = asker.ref_at(server.address().unwrap(), "gated").unwrap();
    for to in [here.any(), there] {
        let first = to.ask(Echo { n: 0 });
        journal.wait_line("echo 0");
        let queued: Vec<_> = (1..3).map(|n| to.ask(Echo { n })).collect();
        let beat = to.ask(Heartbeat { n: 9 });
        // All have arrived when this has: it takes the same way.
        std::thread::sleep(Duration::from_millis(50));
        gate.open();
        assert_eq!(beat.wait().unwrap(), 9);
        first.wait().unwrap();
        for ask in queued {
            ask.wait().unwrap();
        }
    }
    let lines = journal.lines();
    assert_eq!(lines[..4], ["echo 0", "beat", "echo 1", "echo 2"]);
}

pub(crate) fn a_full_inbox_says_so(backend: Backend) {
    let (server, asker) = backend.pair();
    let (gate, journal) = (Gate::default(), Journal::default());
    let here = gated(&server, &gate, &journal);
    let there = asker.ref_at(server.address().unwrap(), "gated").unwrap();
    let first = here.ask(Echo { n: 0 });
    journal.wait_line("echo 0");
    let queued: Vec<_> = (1..=6)
        .map(|n| {
            if n % 2 == 0 {
                there.ask(Echo { n })
            } else {
                here.ask(Echo { n })
            }
        })
        .collect();
    let beat = there.ask(Heartbeat { n: 9 });
    eventually("all have come to its thread", || {
        let metrics = server.metrics();
        let gated = metrics.iter().find(|one| &*one.name == "gated");
        gated.is_some_and(|gated| gated.depth == 7)
    });
    gate.open();
    first.wait().unwrap();
    assert_eq!(beat.wait().unwrap(), 9, "it has places of its own");
    let mut refused = 0;
    for ask in queued {
        if let Err(error) = ask.wait() {
            refused += 1;
            assert!(error.is_retryable(), "{error}");
            let text = error.to_string();
            assert!(text.contains("ringrail.rpc.inbox.capacity"), "{text}");
        }
    }
    assert_eq!(refused, 2, "four of six have places");
    assert_eq!(here.ask_blocking(Echo { n: 7 }).unwrap(), 7);
    let metrics = server.metrics();
    let gated = metrics.iter().find(|one| &*one.name == "gated").unwrap();
    assert_eq!((gated.refused, gated.depth), (2, 0));
    assert!(gated.depth_max >= 4);
}

message! { BlockHere { to: RpcEndpointRef } -> String, "test.BlockHere" }

pub(crate) fn blocking_calls_are_refused_where_endpoints_run(backend: Backend) {
    let env = backend.env("env");
    let endpoint = FnEndpoint::new().on::<BlockHere>(|message, call| {
        let env = call.env();
        let to = message.take()?.to;
        let mut texts = vec![to.ask_blocking(Echo { n: 1 }).unwrap_err().to_string()];
        texts.push(to.ask(Echo { n: 1 }).wait().unwrap_err().to_string());
        let uri = to.uri().to_string();
        let lookup = env.setup_endpoint_ref_by_uri_blocking(&uri);
        texts.push(lookup.unwrap_err().to_string());
        texts.push(env.await_termination().unwrap_err().to_string());
        call.reply(texts.join("\n"));
        Ok(())
    });
    let here = env.setup_endpoint("here", endpoint).unwrap();
    let to = env.setup_endpoint("echo", echo()).unwrap().any();
    let texts = here.ask_blocking(BlockHere { to }).unwrap();
    assert_eq!(texts.matches("would block a thread").count(), 4, "{texts}");
}

pub(crate) fn messages_of_one_sender_keep_their_order(backend: Backend) {
    let (server, asker) = backend.pair();
    let journal = Journal::default();
    let here = server
        .setup_endpoint("recorder", Recorder::new(&journal))
        .unwrap();
    let there = asker.ref_at(server.address().unwrap(), "recorder").unwrap();
    for to in [here.any(), there] {
        let before = journal.own_lines().len();
        let asks = Arc::new(AtomicUsize::new(0));
        for n in 0..1000 {
            if n % 10 == 0 {
                // Not awaited, and not dropped before the end: sent, and answered some time.
                let ask = to.ask(Echo { n });
                let asks = Arc::clone(&asks);
                std::thread::spawn(move || {
                    ask.wait().unwrap();
                    asks.fetch_add(1, Ordering::SeqCst);
                });
            } else if n % 10 == 5 {
                to.send(Say {
                    text: n.to_string(),
                })
                .unwrap();
            } else {
                to.send(Echo { n }).unwrap();
            }
        }
        to.ask_blocking(Echo { n: 1000 }).unwrap();
        let lines = journal.own_lines();
        let numbers: Vec<u64> = lines[before..]
            .iter()
            .filter_map(|line| line.split_once(' ')?.1.parse().ok())
            .collect();
        assert_eq!(numbers, (0..=1000).collect::<Vec<_>>());
        eventually("all asks are answered", || {
            asks.load(Ordering::SeqCst) == 100
        });
    }
}

pub(crate) fn the_deadline_is_known_on_whichever_shard_the_endpoint_lives(backend: Backend) {
    let (server, asker) = backend.pair();
    for shard in 0..2 {
        let name = format!("watch-{shard}");
        let made = || {
            FnEndpoint::new().on::<Echo>(|_, call| {
                let known = call.deadline_ns() != u64::MAX;
                call.reply(known.into());
                Ok(())
            })
        };
        let options = EndpointOptions::on_shard(shard);
        server.setup_endpoint_with(&name, options, made).unwrap();
        let address = server.address().unwrap();
        let uri = server.uri_of(address, &name);
        let watch = asker.setup_endpoint_ref_by_uri_blocking(&uri).unwrap();
        assert_eq!(watch.ask_blocking(Echo { n: 0 }).unwrap(), 1, "{name}");
    }
}
