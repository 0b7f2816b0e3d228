//! Delivery of errors, panics, and messages without a handler.

use ringrail::RpcFailure;
use ringrail::codec::native::FailureCode;
use ringrail::conf::Conf;
use ringrail::rpc::{FnEndpoint, RpcEndpoint, RpcError};

use crate::actors::{Drop, Echo, Fail, Panic, Recorder, Unknown, echo};
use crate::ground::{Backend, Journal};

pub(crate) fn errors_of_hooks_and_handlers_reach_on_error(backend: Backend) {
    let env = backend.env("env");
    for (at, fail_in) in ["on_start", "on_stop"].into_iter().enumerate() {
        let journal = Journal::default();
        let mut recorder = Recorder::new(&journal);
        recorder.fail_in = fail_in;
        let recorder = env.setup_endpoint(&format!("r{at}"), recorder).unwrap();
        // An error in on_start does not take the endpoint away.
        assert_eq!(recorder.ask_blocking(Echo { n: 1 }).unwrap(), 1);
        let fail = recorder.ask_blocking(Fail {
            text: "no such luck".into(),
        });
        assert!(fail.unwrap_err().to_string().contains("no such luck"));
        recorder
            .send(Fail {
                text: "one way".into(),
            })
            .unwrap();
        env.stop(&recorder);
        let lines = journal.wait_line("stop");
        for wanted in [
            "error: no such luck (Internal)",
            "error: one way (Internal)",
        ] {
            assert!(
                lines.iter().any(|line| line == wanted),
                "{wanted}: {lines:?}"
            );
        }
        journal.wait_line(&format!("error: {fail_in} fails (Internal)"));
    }
}

pub(crate) fn an_error_in_on_error_is_swallowed_and_the_endpoint_goes_on(backend: Backend) {
    let env = backend.env("env");
    let journal = Journal::default();
    let mut recorder = Recorder::new(&journal);
    recorder.fail_in = "on_error";
    let recorder = env.setup_endpoint("recorder", recorder).unwrap();
    for _ in 0..3 {
        let fail = recorder.ask_blocking(Fail { text: "x".into() });
        assert!(fail.is_err());
    }
    assert_eq!(recorder.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    let errors = journal.lines();
    let errors = errors.iter().filter(|line| line.starts_with("error: "));
    assert_eq!(
        errors.count(),
        3,
        "the errors of on_error do not come back to it"
    );
}

pub(crate) fn a_panic_fails_its_call_and_reaches_on_error(backend: Backend) {
    let (server, asker) = backend.pair();
    let journal = Journal::default();
    let here = server
        .setup_endpoint("recorder", Recorder::new(&journal))
        .unwrap();
    let there = asker.ref_at(server.address().unwrap(), "recorder").unwrap();
    for outcome in [here.ask_blocking(Panic {}), there.ask_blocking(Panic {})] {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), FailureCode::HandlerPanicked, "{error}");
        assert!(error.to_string().contains("as it was told to"), "{error}");
    }
    assert_eq!(there.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    let lines = journal.lines();
    let panics = lines.iter().filter(|line| line.contains("panicked"));
    assert_eq!(panics.count(), 2, "{lines:?}");
}

struct Mute(Journal);

impl RpcEndpoint for Mute {
    type Messages = ();

    fn on_error(&mut self, error: RpcError) -> Result<(), RpcError> {
        self.0.write(error.to_string());
        Ok(())
    }
}

pub(crate) fn an_endpoint_without_handlers_refuses_as_spark_does(backend: Backend) {
    let (server, asker) = backend.pair();
    let journal = Journal::default();
    let here = server
        .setup_endpoint("mute", Mute(journal.clone()))
        .unwrap();
    let text = here.to_string();
    let there = asker.ref_at(server.address().unwrap(), "mute").unwrap();
    for to in [here.any(), there] {
        let error = to.ask_blocking(Echo { n: 1 }).unwrap_err();
        assert_eq!(error.code(), FailureCode::Unsupported);
        let wanted = format!("{text} won't reply anything");
        assert!(error.to_string().contains(&wanted), "{error}");
        journal.wait_line(&wanted);
        to.send(Echo { n: 1 }).unwrap();
    }
    let wanted = format!("{text} does not implement 'receive'");
    journal.wait_for("told of both", |lines| {
        lines.iter().filter(|line| **line == wanted).count() == 2
    });
}

pub(crate) fn a_message_without_a_handler_is_unsupported_by_name_and_sender(backend: Backend) {
    let (server, asker) = backend.pair();
    let journal = Journal::default();
    let here = server
        .setup_endpoint("recorder", Recorder::new(&journal))
        .unwrap();
    let there = asker.ref_at(server.address().unwrap(), "recorder").unwrap();
    let cases = [
        (here.any(), server.address().unwrap()),
        (there, asker.address().unwrap()),
    ];
    for (to, sender) in cases {
        let error = to.ask_blocking(Unknown {}).unwrap_err();
        let wanted = format!("Unsupported message test.Unknown from {sender}");
        assert!(error.to_string().contains(&wanted), "{error}");
        assert_eq!(error.code(), FailureCode::Unsupported);
        journal.wait_line(&format!("error: {wanted}"));
    }
}

pub(crate) fn a_failure_keeps_its_code_chain_and_retryability(backend: Backend) {
    let (server, asker) = backend.pair();
    let endpoint = FnEndpoint::new().on::<Echo>(|_, call| {
        let failure = RpcFailure::new(FailureCode::SourceIo, "no disk")
            .caused_by("the cable")
            .caused_by("the cat")
            .with_retryable(true);
        call.send_failure(failure.into());
        Ok(())
    });
    let here = server.setup_endpoint("failing", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "failing").unwrap();
    for error in [
        here.ask_blocking(Echo { n: 1 }).unwrap_err(),
        there.ask_blocking(Echo { n: 1 }).unwrap_err(),
    ] {
        assert_eq!(error.code(), FailureCode::SourceIo);
        assert!(error.is_retryable());
        let (RpcError::Failure(failure) | RpcError::Remote { failure, .. }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(failure.message(), "no disk");
        assert_eq!(failure.causes(), ["the cable", "the cat"]);
    }
}

pub(crate) fn a_call_that_is_let_go_fails_at_once(backend: Backend) {
    let (server, asker) = backend.pair();
    let journal = Journal::default();
    let here = server
        .setup_endpoint("recorder", Recorder::new(&journal))
        .unwrap();
    let there = asker.ref_at(server.address().unwrap(), "recorder").unwrap();
    for outcome in [here.ask_blocking(Drop {}), there.ask_blocking(Drop {})] {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), FailureCode::NoReply, "{error}");
    }
    let quiet = server.setup_endpoint("echo", echo()).unwrap();
    assert_eq!(quiet.ask_blocking(Echo { n: 1 }).unwrap(), 1);
}

pub(crate) fn a_message_longer_than_allowed_is_refused_with_the_key_named(backend: Backend) {
    let server = backend.env("server");
    let journal = Journal::default();
    let recorder = Recorder::new(&journal);
    server.setup_endpoint("recorder", recorder).unwrap();
    let conf = Conf::new().with("ringrail.rpc.message.maxSize", "64k");
    let asker = backend.builder_with("asker", conf).build().unwrap();
    let address = server.address().unwrap();
    let uri = server.uri_of(address, "recorder");
    let recorder = asker.setup_endpoint_ref_by_uri_blocking(&uri).unwrap();
    for (len, fits) in [(60 << 10, true), (66 << 10, false), (2 << 20, false)] {
        let text = "x".repeat(len);
        let error = recorder.ask_blocking(Fail { text }).unwrap_err();
        if fits {
            assert!(matches!(error, RpcError::Remote { .. }), "{error}");
            continue;
        }
        assert!(matches!(error, RpcError::Encode { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("ringrail.rpc.message.maxSize"), "{text}");
        assert!(text.contains("65536"), "{text}");
        assert!(!error.is_retryable());
    }
    // The connection goes on.
    assert_eq!(recorder.ask_blocking(Echo { n: 7 }).unwrap(), 7);
}
