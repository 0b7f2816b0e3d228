//! Handshakes and records that were exchanged with Spark itself, replayed.

use ringrail_codec::spark::auth::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::seeded::{Seeded, pattern};
use crate::stored::{self, bytes, list, number, text};

const APP: &str = "app-1";

fn secret() -> Secret {
    Secret::from("job-secret")
}

fn seed(of: &Value) -> Seeded {
    Seeded(u64::from_str_radix(text(of, "seed").trim_start_matches("0x"), 16).expect("a seed"))
}

fn engine(of: &Value) -> AuthEngine {
    let version = match number(of, "version") {
        1 => EngineVersion::V1,
        _ => EngineVersion::V2,
    };
    let cipher = text(of, "cipher").parse().expect("a cipher");
    AuthEngine { version, cipher }
}

/// Replays this side's part of a handshake and gives the records of the session.
fn handshake(of: &Value, random: &mut Seeded) -> Records {
    let (engine, sasl_fallback) = (engine(of), false);
    let (challenge, response) = (bytes(of, "challenge"), bytes(of, "response"));
    let mut out = Vec::new();
    let done = if text(of, "we_are") == "client" {
        let mode = ClientMode::Engine {
            engine,
            sasl_fallback,
        };
        let mut client = ClientAuth::new(mode, APP, secret());
        client.start(random, &mut out).expect("starts");
        assert_eq!(out, challenge, "what Spark has answered");
        match client.receive(&response, random, &mut Vec::new()) {
            Ok(ClientStep::Done(done)) => done,
            step => panic!("{step:?}"),
        }
    } else {
        let mut server = ServerAuth::new(ServerMode::Engine {
            engine,
            sasl_fallback,
        });
        let step = server.receive(&challenge, &|_| Some(secret()), random, &mut out);
        assert_eq!(out, response, "what Spark has accepted");
        match step {
            Ok(ServerStep::Done(done)) => done,
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(done.app_id, APP);
    done.records.expect("an encrypted connection")
}

/// Decrypts pieces of `step` bytes.
fn open(opener: &mut Opener, wire: &[u8], step: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    for piece in wire.chunks(step) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            let opened = opener.open(rest).expect("good records");
            plain.extend_from_slice(opened.plaintext);
            let used = opened.used;
            rest = &mut rest[used..];
        }
    }
    plain
}

fn plain(of: &Value) -> Vec<u8> {
    match of["pattern"].as_u64() {
        Some(len) => pattern(len as usize),
        None => bytes(of, "plain"),
    }
}

#[test]
fn the_engine_agrees_with_spark_on_keys_and_records() {
    let stored = stored::peers();
    let cases = list(&stored, "engine");
    assert_eq!(cases.len(), 8, "versions, ciphers and sides");
    for (i, case) in cases.iter().enumerate() {
        let mut random = seed(case);
        let mut records = handshake(case, &mut random);
        for received in list(case, "received") {
            let wire = bytes(received, "wire");
            let step = [1, 100, 40_000][i % 3];
            let found = open(&mut records.opener, &wire, step);
            assert!(found == plain(received), "{}", case["name"]);
        }
        for sent in list(case, "sent") {
            let (head, body) = (bytes(sent, "head"), plain(sent));
            let mut out = Vec::new();
            let parts = [&head[..], &body];
            records
                .sealer
                .seal(&parts, &mut random, &mut out)
                .expect("short");
            assert_eq!(out.len() as i64, number(sent, "wire_len"));
            let digest: [u8; 32] = Sha256::digest(&out).into();
            assert_eq!(digest[..], bytes(sent, "wire_sha256"), "{}", case["name"]);
        }
    }
}

#[test]
fn sasl_agrees_with_spark() {
    let stored = stored::peers();
    let [as_client, as_server] = list(&stored, "sasl") else {
        panic!("two sides are stored");
    };
    let mut random = seed(as_client);
    let mut client = ClientAuth::new(ClientMode::Sasl, APP, secret());
    let mut out = Vec::new();
    client.start(&mut random, &mut out).expect("starts");
    let mut done = false;
    for step in list(as_client, "steps") {
        assert!(!done);
        assert_eq!(out, bytes(step, "ours"));
        out.clear();
        let step = client.receive(&bytes(step, "theirs"), &mut random, &mut out);
        done = matches!(
            step.expect("goes on"),
            ClientStep::Done(Authenticated { records: None, .. })
        );
    }
    assert!(done);

    let mut random = seed(as_server);
    let mut server = ServerAuth::new(ServerMode::Sasl);
    let mut app_id = None;
    for step in list(as_server, "steps") {
        let mut reply = Vec::new();
        let theirs = bytes(step, "theirs");
        let found = server.receive(&theirs, &|_| Some(secret()), &mut random, &mut reply);
        assert_eq!(reply, bytes(step, "ours"));
        if let ServerStep::Done(done) = found.expect("goes on") {
            app_id = Some(done.app_id);
        }
    }
    assert_eq!(app_id.as_deref(), Some(APP));
}
