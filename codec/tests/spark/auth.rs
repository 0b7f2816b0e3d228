//! Both sides of a handshake against each other, and everything that must fail.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::spark::auth::*;

use crate::seeded::Seeded;

const APP: &str = "app-1";
const ENGINE: ServerMode = ServerMode::Engine {
    engine: AuthEngine {
        version: EngineVersion::V2,
        cipher: Cipher::AesGcm,
    },
    sasl_fallback: false,
};
const EITHER: ServerMode = ServerMode::Engine {
    engine: AuthEngine {
        version: EngineVersion::V1,
        cipher: Cipher::AesCtr,
    },
    sasl_fallback: true,
};

fn engine_client(version: EngineVersion, sasl_fallback: bool) -> ClientMode {
    let cipher = Cipher::AesGcm;
    ClientMode::Engine {
        engine: AuthEngine { version, cipher },
        sasl_fallback,
    }
}

fn secrets(app_id: &str) -> Option<Secret> {
    (app_id == APP).then(|| Secret::from("s3cret"))
}

/// Both ends and what went wrong, if anything did.
struct Outcome {
    client: Result<Authenticated, AuthError>,
    server: Result<Authenticated, AuthError>,
}

/// Runs a handshake; `meddle` may change what the client sends, told how many messages there were before.
fn run(
    client: ClientMode,
    server: ServerMode,
    app_id: &str,
    secret: &str,
    meddle: impl Fn(usize, &mut Vec<u8>),
) -> Outcome {
    let mut random = Seeded(42);
    let mut client = ClientAuth::new(client, app_id, Secret::from(secret));
    let mut server = ServerAuth::new(server);
    let mut asked = Vec::new();
    client.start(&mut random, &mut asked).expect("starts");
    let mut accepted = Err(AuthError::OutOfTurn("never decided"));
    for turn in 0.. {
        meddle(turn, &mut asked);
        let mut reply = Vec::new();
        let step = server.receive(&asked, &secrets, &mut random, &mut reply);
        asked.clear();
        let answer = match step {
            Ok(ServerStep::Done(done)) => {
                accepted = Ok(done);
                client.receive(&reply, &mut random, &mut asked)
            }
            Ok(ServerStep::Reply) => client.receive(&reply, &mut random, &mut asked),
            Err(error) => {
                let keeps = error.keeps_connection();
                let answer = client.failed(&error.peer_text(), &mut asked);
                if !keeps {
                    let client = answer.and(Err(AuthError::OutOfTurn("closed by the server")));
                    return Outcome {
                        client,
                        server: Err(error),
                    };
                }
                answer
            }
        };
        match answer {
            Ok(ClientStep::Send) => {}
            Ok(ClientStep::Done(done)) => {
                return Outcome {
                    client: Ok(done),
                    server: accepted,
                };
            }
            Err(error) => {
                return Outcome {
                    client: Err(error),
                    server: accepted,
                };
            }
        }
    }
    unreachable!("the turns have no end")
}

fn untouched(_: usize, _: &mut Vec<u8>) {}

#[test]
fn an_engine_s_records_are_read_by_the_other_side() {
    for (version, cipher) in [
        (EngineVersion::V1, Cipher::AesCtr),
        (EngineVersion::V1, Cipher::AesGcm),
        (EngineVersion::V2, Cipher::AesCtr),
        (EngineVersion::V2, Cipher::AesGcm),
    ] {
        let engine = AuthEngine { version, cipher };
        let client = ClientMode::Engine {
            engine,
            sasl_fallback: true,
        };
        let server = ServerMode::Engine {
            engine,
            sasl_fallback: true,
        };
        let outcome = run(client, server, APP, "s3cret", untouched);
        let (client, server) = (outcome.client.expect("good"), outcome.server.expect("good"));
        assert_eq!(server.app_id, APP);
        let mut random = Seeded(1);
        let mut ends = [client.records.expect("some"), server.records.expect("some")];
        for turn in 0..4 {
            let mut wire = Vec::new();
            let plain = [turn as u8; 100];
            let sealer = &mut ends[turn % 2].sealer;
            sealer
                .seal(&[b"head", &plain], &mut random, &mut wire)
                .expect("short");
            assert!(!wire.windows(8).any(|part| part == [turn as u8; 8]));
            let mut found = Vec::new();
            let mut rest = &mut wire[..];
            while !rest.is_empty() {
                let opened = ends[(turn + 1) % 2].opener.open(rest).expect("good");
                found.extend_from_slice(opened.plaintext);
                let used = opened.used;
                rest = &mut rest[used..];
            }
            assert_eq!(found, [&b"head"[..], &plain].concat());
        }
    }
}

#[test]
fn a_wrong_secret_is_refused_on_both_sides_without_telling_more() {
    for (client, server) in [
        (ClientMode::Sasl, ServerMode::Sasl),
        (engine_client(EngineVersion::V2, false), ENGINE),
    ] {
        for (app_id, secret) in [(APP, "wrong"), (APP, ""), ("app-2", "s3cret")] {
            let outcome = run(client, server, app_id, secret, untouched);
            let error = outcome.server.expect_err("refused");
            let expected = match app_id {
                APP => AuthError::WrongSecret {
                    app_id: APP.to_owned(),
                },
                other => AuthError::UnknownApp {
                    app_id: other.to_owned(),
                },
            };
            assert_eq!(error, expected);
            let told = "java.lang.IllegalArgumentException: Authentication failed.";
            assert_eq!(error.peer_text(), told);
            let text = told.to_owned();
            assert_eq!(
                outcome.client.expect_err("refused"),
                AuthError::Refused { text }
            );
        }
    }
}

#[test]
fn sasl_takes_the_engine_s_place_where_both_allow_it() {
    let client = engine_client(EngineVersion::V1, true);
    // A server without the engine says what Spark says, and goes on.
    let outcome = run(client, ServerMode::Sasl, APP, "s3cret", untouched);
    assert!(outcome.client.expect("good").records.is_none());
    assert!(outcome.server.expect("good").records.is_none());
    let outcome = run(ClientMode::Sasl, EITHER, APP, "s3cret", untouched);
    assert!(outcome.server.expect("good").records.is_none());

    let client = engine_client(EngineVersion::V1, false);
    let error = run(client, ServerMode::Sasl, APP, "s3cret", untouched).client;
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("Expected SaslMessage")
    );
    let outcome = run(ClientMode::Sasl, ENGINE, APP, "s3cret", untouched);
    let error = outcome.server.expect_err("refused");
    assert_eq!(error, AuthError::UnknownChallenge);
    assert!(error.peer_text().contains("Unknown challenge message."));
    assert!(!error.keeps_connection());
}

#[test]
fn a_request_without_a_handshake_is_refused_and_the_connection_stays() {
    for mode in [ServerMode::Sasl, EITHER] {
        let mut server = ServerAuth::new(mode);
        let mut random = Seeded(3);
        for body in [&b""[..], b"\x00request", b"\x03"] {
            let mut reply = Vec::new();
            let error = server.receive(body, &secrets, &mut random, &mut reply);
            let error = error.expect_err("not authenticated");
            assert_eq!(error, AuthError::ExpectedSasl);
            assert!(error.keeps_connection() && reply.is_empty());
            assert!(error.peer_text().contains(
                "Expected SaslMessage, received something else (maybe your client does not have SASL \
                 enabled?)"
            ));
        }
    }
}

#[test]
fn there_is_one_attempt() {
    let mut random = Seeded(4);
    let mut server = ServerAuth::new(ServerMode::Sasl);
    let mut client = ClientAuth::new(ClientMode::Sasl, APP, Secret::from("wrong"));
    let (mut asked, mut reply) = (Vec::new(), Vec::new());
    client.start(&mut random, &mut asked).expect("starts");
    assert!(client.start(&mut random, &mut asked).is_err());
    server
        .receive(&asked, &secrets, &mut random, &mut reply)
        .expect("a challenge");
    let first = std::mem::take(&mut asked);
    client
        .receive(&reply, &mut random, &mut asked)
        .expect("an answer");
    assert!(
        server
            .receive(&asked, &secrets, &mut random, &mut reply)
            .is_err()
    );
    for again in [&asked, &first] {
        let error = server.receive(again, &secrets, &mut random, &mut reply);
        assert_eq!(
            error.expect_err("over"),
            AuthError::OutOfTurn("a connection has one attempt")
        );
    }
    assert!(
        client
            .receive(b"rspauth=0", &mut random, &mut asked)
            .is_err()
    );
    assert!(client.receive(&reply, &mut random, &mut asked).is_err());
}

/// Replaces a part of the second message of a SASL handshake.
fn sasl_with(from: &'static str, to: &'static str) -> AuthError {
    let meddle = move |turn: usize, asked: &mut Vec<u8>| {
        if turn == 1 {
            let at = asked
                .windows(from.len())
                .position(|part| part == from.as_bytes());
            let at = at.expect("it is in the message");
            asked.splice(at..at + from.len(), to.bytes());
        }
    };
    let outcome = run(ClientMode::Sasl, ServerMode::Sasl, APP, "s3cret", meddle);
    outcome.server.expect_err("refused")
}

#[test]
fn every_part_of_an_answer_is_checked() {
    let digest = |what| AuthError::Digest(what);
    assert_eq!(
        sasl_with("nonce=\"", "nonce=\"x"),
        digest("an answer to another challenge")
    );
    assert_eq!(
        sasl_with("c3Bhcmt", "C3bhcmt"),
        digest("a user other than sparkSaslUser")
    );
    assert_eq!(
        sasl_with("realm=\"default\"", "realm=\"other\""),
        digest("a realm other than default")
    );
    assert_eq!(
        sasl_with("nc=00000001", "nc=00000002"),
        digest("a nonce that is used again")
    );
    assert_eq!(
        sasl_with("null/default", "hdfs/default"),
        digest("a service other than null/default")
    );
    assert_eq!(
        sasl_with("qop=auth", "qop=auth-conf"),
        AuthError::SaslEncryptionWanted
    );
    assert_eq!(
        sasl_with(",maxbuf=65536", ",nc=00000001"),
        digest("a directive that comes twice")
    );
    assert_eq!(
        sasl_with("cnonce=", "anonce="),
        digest("an answer without all that it must have")
    );
    assert_eq!(
        sasl_with("charset=utf-8", "charset"),
        digest("a token that is not a list of name=value")
    );
    let app_id = APP.to_owned();
    assert_eq!(
        sasl_with("cnonce=\"", "cnonce=\"x"),
        AuthError::WrongSecret { app_id }
    );
    let (first, then) = (APP.to_owned(), "app-9".to_owned());
    assert_eq!(
        sasl_with("app-1", "app-9"),
        AuthError::OtherApp { first, then }
    );
}

#[test]
fn sasl_encryption_is_refused_clearly() {
    let error = sasl_with("qop=auth", "qop=auth-conf");
    assert!(
        error
            .peer_text()
            .contains("spark.network.crypto.enabled=true"),
        "{}",
        error.peer_text()
    );
    // A server that offers nothing else.
    let mut random = Seeded(5);
    let mut client = ClientAuth::new(ClientMode::Sasl, APP, Secret::from("s3cret"));
    client.start(&mut random, &mut Vec::new()).expect("starts");
    let challenge =
        br#"realm="default",nonce="abc",qop="auth-conf",charset=utf-8,algorithm=md5-sess"#;
    let error = client.receive(challenge, &mut random, &mut Vec::new());
    assert_eq!(
        error.expect_err("refused"),
        AuthError::SaslEncryptionRequired
    );
}

#[test]
fn a_server_that_does_not_know_the_secret_is_found_out() {
    let mut random = Seeded(6);
    let challenge = br#"realm="default",nonce="abc",qop="auth",charset=utf-8,algorithm=md5-sess"#;
    for (proof, error) in [
        (
            "rspauth=ba098329497f9ef359407378e598ef55",
            AuthError::WrongSecret {
                app_id: APP.to_owned(),
            },
        ),
        (
            "rspauth=",
            AuthError::WrongSecret {
                app_id: APP.to_owned(),
            },
        ),
        ("", AuthError::Digest("the server proves nothing")),
    ] {
        let mut client = ClientAuth::new(ClientMode::Sasl, APP, Secret::from("s3cret"));
        client.start(&mut random, &mut Vec::new()).expect("starts");
        client
            .receive(challenge, &mut random, &mut Vec::new())
            .expect("an answer");
        let found = client.receive(proof.as_bytes(), &mut random, &mut Vec::new());
        assert_eq!(found.expect_err("refused"), error);
    }
    for (challenge, what) in [
        (
            &br#"nonce="a",algorithm=md5"#[..],
            "a challenge of another algorithm than md5-sess",
        ),
        (b"algorithm=md5-sess", "a challenge without a nonce"),
        (b"nonce=\xff", "a token that is not UTF-8"),
    ] {
        let mut client = ClientAuth::new(ClientMode::Sasl, APP, Secret::from("s3cret"));
        client.start(&mut random, &mut Vec::new()).expect("starts");
        let found = client.receive(challenge, &mut random, &mut Vec::new());
        assert_eq!(found.expect_err("refused"), AuthError::Digest(what));
    }
}

#[test]
fn a_handshake_has_a_length() {
    let mut random = Seeded(7);
    let mut body = b"\xea\0\0\0\x05app-1\0\0\0\0".to_vec();
    body.resize(MAX_HANDSHAKE_LEN, b',');
    let receive = |body: &[u8]| {
        let mut server = ServerAuth::new(ServerMode::Sasl);
        server.receive(body, &secrets, &mut Seeded(7), &mut Vec::new())
    };
    assert_eq!(
        receive(&body).expect_err("not empty"),
        AuthError::Digest("the first token is not empty")
    );
    body.push(b',');
    let (len, limit) = (body.len(), MAX_HANDSHAKE_LEN);
    assert_eq!(
        receive(&body).expect_err("too long"),
        AuthError::TooLong { len, limit }
    );
    let mut client = ClientAuth::new(ClientMode::Sasl, APP, Secret::from("s3cret"));
    client.start(&mut random, &mut Vec::new()).expect("starts");
    let error = client.receive(&body, &mut random, &mut Vec::new());
    assert_eq!(
        error.expect_err("too long"),
        AuthError::TooLong { len, limit }
    );
}

#[test]
fn secrets_are_not_printed() {
    let client = ClientAuth::new(ClientMode::Sasl, APP, Secret::from("s3cret"));
    assert!(!format!("{client:?} {:?}", Secret::from("s3cret")).contains("s3cret"));
}

proptest! {
    #[test]
    fn a_changed_challenge_is_refused(at in 0..86usize, bit in 0..8u32) {
        let meddle = |turn: usize, asked: &mut Vec<u8>| {
            if turn == 0 {
                asked[at] ^= 1 << bit;
            }
        };
        let client = engine_client(EngineVersion::V2, false);
        let outcome = run(client, ENGINE, APP, "s3cret", meddle);
        prop_assert!(outcome.server.is_err() && outcome.client.is_err());
    }

    #[test]
    fn a_changed_response_is_refused(at in 0..94usize, bit in 0..8u32) {
        let mut random = Seeded(8);
        let mode = engine_client(EngineVersion::V2, false);
        let mut client = ClientAuth::new(mode, APP, Secret::from("s3cret"));
        let (mut asked, mut reply) = (Vec::new(), Vec::new());
        client.start(&mut random, &mut asked).expect("starts");
        let mut server = ServerAuth::new(ENGINE);
        server.receive(&asked, &secrets, &mut random, &mut reply).expect("good");
        prop_assert_eq!(reply.len(), 94);
        reply[at] ^= 1 << bit;
        prop_assert!(client.receive(&reply, &mut random, &mut Vec::new()).is_err());
    }

    #[test]
    fn garbage_is_no_handshake(
        tag in prop::sample::select(&[0xea, 0xfb, 0][..]),
        bytes in vec(prop_oneof![Just(0u8), 0..20u8, any::<u8>()], 0..150),
    ) {
        let mut body = vec![tag];
        body.extend(bytes);
        for mode in [ServerMode::Sasl, ENGINE, EITHER] {
            let mut server = ServerAuth::new(mode);
            let step = server.receive(&body, &secrets, &mut Seeded(9), &mut Vec::new());
            prop_assert!(!matches!(step, Ok(ServerStep::Done(_))));
        }
    }
}
