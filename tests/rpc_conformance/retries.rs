//! Invalid roles of an env, and repeated requests.

use ringrail::conf::Conf;
use ringrail::rpc::{AnyCallContext, AnyMessage, FnEndpoint, RpcEndpoint, RpcError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::actors::Echo;
use crate::ground::{Backend, Gate, Journal, PATIENCE, eventually};
use crate::slow::{Count, gated};

fn retrying() -> Conf {
    Conf::new()
        .with("ringrail.rpc.askTimeout", "300ms")
        .with("ringrail.rpc.retry.wait", "20ms")
        .with("ringrail.rpc.numRetries", "100")
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
        calls.send(call.defer()).unwrap();
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
