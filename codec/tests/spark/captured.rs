//! The handshakes captured between a real executor and its shuffle service.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ringrail_codec::spark::auth::*;
use ringrail_codec::spark::{Frame, FrameReader, Kind, Limits, Step, decode_head};
use serde_json::Value;

use crate::seeded::{Given, Seeded};
use crate::stored::{self, bytes, list};

const SASL_APP: &str = "app-20261120055815-0000";
const ENGINE_APP: &str = "app-20261120055827-0000";

fn secret(_: &str) -> Option<Secret> {
    Some(Secret::from("job-secret"))
}

/// The bodies of the RPCs of one capture, requests and responses in turn.
fn bodies(capture: &Value, name: &str) -> Vec<Vec<u8>> {
    let frames = list(capture, name).iter().enumerate();
    let bodies = frames.map(|(i, frame)| {
        let wire = bytes(frame, "hex");
        let Ok(Step::Head(head)) = decode_head(&wire, &Limits::DEFAULT) else {
            panic!("no frame");
        };
        let kind = [Kind::RpcRequest, Kind::RpcResponse][i % 2];
        assert_eq!(head.frame.kind(), kind);
        assert_eq!(head.body().end, wire.len() as u64);
        wire[head.len..].to_vec()
    });
    bodies.collect()
}

/// The bytes that the nonce behind `name` is made of.
fn nonce(token: &[u8], name: &str) -> Given {
    let text = String::from_utf8_lossy(token);
    let (_, behind) = text.split_once(&format!("{name}=\"")).expect("a nonce");
    let (nonce, _) = behind.split_once('"').expect("quoted");
    Given(BASE64_STANDARD.decode(nonce).expect("base64"))
}

#[test]
fn the_captured_client_is_answered_as_spark_answers_it() {
    let capture = stored::handshakes();
    let said = bodies(&capture, "SaslBootstrap");
    let mut random = nonce(&said[1], "nonce");
    let mut server = ServerAuth::new(ServerMode::Sasl);
    let mut reply = Vec::new();
    let step = server.receive(&said[0], &secret, &mut random, &mut reply);
    assert!(matches!(step, Ok(ServerStep::Reply)));
    assert_eq!(reply, said[1]);
    reply.clear();
    let step = server.receive(&said[2], &secret, &mut random, &mut reply);
    assert!(matches!(step, Ok(ServerStep::Done(client)) if client.app_id == SASL_APP));
    assert_eq!(reply, said[3]);
}

#[test]
fn the_captured_server_is_asked_as_spark_asks_it() {
    let capture = stored::handshakes();
    let said = bodies(&capture, "SaslBootstrap");
    let mut random = nonce(&said[2], "cnonce");
    let mut client = ClientAuth::new(ClientMode::Sasl, SASL_APP, Secret::from("job-secret"));
    let mut out = Vec::new();
    client.start(&mut random, &mut out).expect("starts");
    assert_eq!(out, said[0]);
    out.clear();
    let step = client.receive(&said[1], &mut random, &mut out);
    assert!(matches!(step, Ok(ClientStep::Send)));
    assert_eq!(out, said[2]);
    out.clear();
    let step = client.receive(&said[3], &mut random, &mut out);
    assert!(matches!(
        step,
        Ok(ClientStep::Done(Authenticated { records: None, .. }))
    ));
    assert!(out.is_empty());
}

/// The private keys were not captured, so the challenge can be opened and answered, and no more.
#[test]
fn the_captured_challenge_is_taken_with_its_secret_alone() {
    let capture = stored::handshakes();
    let said = bodies(&capture, "AuthBootstrap");
    let mode = ServerMode::Engine {
        engine: AuthEngine::default(),
        sasl_fallback: true,
    };
    let mut random = Seeded(1);
    let mut reply = Vec::new();
    let step = ServerAuth::new(mode).receive(&said[0], &secret, &mut random, &mut reply);
    assert!(matches!(step, Ok(ServerStep::Done(client)) if client.app_id == ENGINE_APP));
    assert_eq!(reply.len(), said[1].len());

    let other = |_: &str| Some(Secret::from("another secret"));
    let mut reply = Vec::new();
    let error = ServerAuth::new(mode).receive(&said[0], &other, &mut random, &mut reply);
    let app_id = ENGINE_APP.to_owned();
    assert_eq!(
        error.expect_err("another key"),
        AuthError::WrongSecret { app_id }
    );
    assert!(reply.is_empty());
}

/// Behind a handshake the frames go on: the capture as one stream of each direction.
#[test]
fn the_captured_frames_are_a_stream() {
    let capture = stored::handshakes();
    for name in ["SaslBootstrap", "AuthBootstrap"] {
        let wire: Vec<u8> = list(&capture, name)
            .iter()
            .filter(|frame| frame["dir"] == "c2s")
            .flat_map(|frame| bytes(frame, "hex"))
            .collect();
        let mut reader = FrameReader::new(Limits::DEFAULT);
        let mut rest = &wire[..];
        let mut requests = 0;
        while !rest.is_empty() {
            let (used, event) = reader.read(rest).expect("frames");
            if let ringrail_codec::spark::Event::Head(head) = event {
                assert!(matches!(head.frame, Frame::RpcRequest(_)));
                requests += 1;
            }
            rest = &rest[used..];
        }
        assert_eq!(requests, list(&capture, name).len() / 2);
    }
}
