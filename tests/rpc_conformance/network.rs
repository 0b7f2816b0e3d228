//! Connections: notifications about them, and state that survives their end.

use crate::actors::{Echo, Recorder, echo};
use crate::ground::{Backend, Journal, eventually};

fn count(lines: &[String], start: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(start)).count()
}

pub(crate) fn every_endpoint_is_told_of_connections_once_per_address(backend: Backend) {
    let server = backend.env("server");
    let journals = [Journal::default(), Journal::default(), Journal::default()];
    for (at, journal) in journals.iter().enumerate() {
        server
            .setup_endpoint(&format!("recorder{at}"), Recorder::new(journal))
            .unwrap()
            .ask_blocking(Echo { n: 0 })
            .unwrap();
    }
    let address = server.address().unwrap().clone();
    // A peer that listens causes two events of each kind; one that does not, one.
    for (listens, events) in [(true, 2), (false, 1)] {
        let before: Vec<_> = journals
            .iter()
            .map(|journal| journal.lines().len())
            .collect();
        let peer = if listens {
            backend.env("peer")
        } else {
            backend.client("peer")
        };
        let own = peer.address().cloned();
        let of_peer = Journal::default();
        let recorder = peer
            .setup_endpoint("recorder", Recorder::new(&of_peer))
            .unwrap();
        recorder.ask_blocking(Echo { n: 0 }).unwrap();
        let there = peer.ref_at(&address, "recorder0").unwrap();
        for n in 0..5 {
            there.ask_blocking(Echo { n }).unwrap();
        }
        of_peer.wait_line(&format!("connected: {address}"));
        for (journal, before) in journals.iter().zip(&before) {
            let lines = journal.wait_for("connected", |lines| {
                count(&lines[*before..], "connected: ") >= events
            });
            if let Some(own) = &own {
                assert_eq!(count(&lines[*before..], &format!("connected: {own}")), 1);
            }
        }
        drop((there, recorder));
        drop(peer);
        for (journal, before) in journals.iter().zip(&before) {
            let lines = journal.wait_for("disconnected", |lines| {
                count(&lines[*before..], "disconnected: ") >= events
            });
            assert_eq!(count(&lines[*before..], "connected: "), events, "{lines:?}");
            assert_eq!(
                count(&lines[*before..], "disconnected: "),
                events,
                "{lines:?}"
            );
        }
    }
}

pub(crate) fn refs_survive_the_loss_of_their_connection(backend: Backend) {
    let asker = backend.env("asker");
    let server = backend.env("server");
    let address = server.address().unwrap().clone();
    server.setup_endpoint("echo", echo()).unwrap();
    let there = asker.ref_at(&address, "echo").unwrap();
    assert_eq!(there.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    drop(server);
    let error = there.ask_blocking(Echo { n: 2 }).unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let server = backend
        .builder("server")
        .port(address.port())
        .build()
        .unwrap();
    assert_eq!(server.address(), Some(&address), "the port is free again");
    server.setup_endpoint("echo", echo()).unwrap();
    eventually("answered again", || {
        there.ask_blocking(Echo { n: 3 }).is_ok_and(|n| n == 3)
    });
}
