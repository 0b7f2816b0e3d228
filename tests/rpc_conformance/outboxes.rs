//! Messages that wait for a connection.

use ringrail::rpc::{RpcAddress, RpcError};

use crate::actors::{Echo, Recorder};
use crate::ground::{Backend, Journal};

pub(crate) fn messages_that_wait_for_a_connection_are_sent_in_order(backend: Backend) {
    let (server, asker) = backend.pair();
    let journal = Journal::default();
    server
        .setup_endpoint("recorder", Recorder::new(&journal))
        .unwrap();
    let there = asker.ref_at(server.address().unwrap(), "recorder").unwrap();
    // None of them finds a connection.
    let asks: Vec<_> = (0..200)
        .filter_map(|n| {
            if n % 2 == 0 {
                there.send(Echo { n }).unwrap();
                return None;
            }
            Some(there.ask(Echo { n }))
        })
        .collect();
    for ask in asks {
        ask.wait().unwrap();
    }
    let echoes: Vec<_> = (0..200).map(|n| format!("echo {n}")).collect();
    assert_eq!(journal.own_lines()[1..], echoes);
}

pub(crate) fn a_failed_connection_fails_all_that_waited_and_the_next_message_connects_again(
    backend: Backend,
) {
    let asker = backend.env("asker");
    // The address of an env that has just ended.
    let gone = backend.env("gone");
    let address: RpcAddress = gone.address().unwrap().clone();
    drop(gone);
    let there = asker.ref_at(&address, "recorder").unwrap();
    let asks: Vec<_> = (0..20).map(|n| there.ask(Echo { n })).collect();
    for ask in asks {
        let error = ask.wait().unwrap_err();
        assert!(!matches!(error, RpcError::TimedOut(_)), "{error}");
    }
    let server = backend
        .builder("server")
        .port(address.port())
        .build()
        .unwrap();
    assert_eq!(server.address(), Some(&address));
    let journal = Journal::default();
    server
        .setup_endpoint("recorder", Recorder::new(&journal))
        .unwrap();
    assert_eq!(there.ask_blocking(Echo { n: 77 }).unwrap(), 77);
    assert_eq!(
        journal.own_lines(),
        ["start", "echo 77"],
        "what failed is not sent later"
    );
}
