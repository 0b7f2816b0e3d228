//! Both sides of the handshake against stored bytes, each other and everything that can go wrong.

use ringrail_codec::archive::FORMAT_FINGERPRINT;
use ringrail_codec::native::*;
use serde_json::Value;

use crate::stored::{bytes, fixture, little, number, stored};

fn terms(fixture: &Value) -> Terms {
    let flags = number(&fixture["flags"]);
    let field = |name: &str| number(&fixture[name]);
    Terms {
        fingerprint: FORMAT_FINGERPRINT,
        want_crc: flags & 1 != 0,
        can_verify_crc: flags & 2 != 0,
        max_body_len: field("max_body_len") as u32,
        max_outstanding: field("max_outstanding") as u32,
        max_rpc_len: field("max_rpc_len"),
        initial_credit: field("initial_credit"),
        idle_timeout_ms: field("idle_timeout_ms") as u32,
    }
}

fn client_terms() -> Terms {
    terms(&fixture("handshake", "hello_client"))
}

fn server_terms() -> Terms {
    terms(&fixture("handshake", "hello_server"))
}

fn client_hello() -> Vec<u8> {
    bytes(&fixture("handshake", "hello_client"), "frame")
}

fn server() -> ServerHandshake {
    ServerHandshake::new(server_terms(), Limits::DEFAULT)
}

/// A client that has sent its Hello.
fn client() -> ClientHandshake {
    let mut client = ClientHandshake::new(client_terms(), Limits::DEFAULT);
    client.hello(b"token", &mut [0; 128]).expect("room");
    client
}

#[test]
fn the_fingerprint_is_the_stored_one() {
    assert_eq!(FORMAT_FINGERPRINT, number(&stored()["format_fingerprint"]));
}

#[test]
fn both_hellos_have_their_stored_bytes() {
    for name in ["hello_client", "hello_server"] {
        let fixture = fixture("handshake", name);
        let ext = bytes(&fixture, "ext");
        let hello = Hello {
            terms: terms(&fixture),
            ext: &ext,
        };
        let mut out = vec![0xaa; hello.wire_len()];
        assert_eq!(hello.encode(&mut out), Ok(out.len()));
        let stored = bytes(&fixture, "frame");
        assert_eq!(out, stored, "{name}");
        let expected = HelloStep::Hello {
            hello,
            consumed: stored.len(),
        };
        assert_eq!(Hello::decode(&stored, 100), Ok(expected));
    }
}

#[test]
fn the_stored_hello_read_by_hand() {
    let hello = client_hello();
    assert_eq!(&hello[..8], b"RINGRAIL");
    assert_eq!((little(&hello, 8, 2), little(&hello, 10, 2)), (1, 3));
    assert_eq!(little(&hello, 12, 4), 5);
    assert_eq!(little(&hello, 16, 8), FORMAT_FINGERPRINT);
    assert_eq!(
        (little(&hello, 24, 4), little(&hello, 28, 4)),
        (1 << 20, 16384)
    );
    assert_eq!(
        (little(&hello, 32, 8), little(&hello, 40, 8)),
        (128 << 20, 1 << 20)
    );
    assert_eq!(little(&hello, 48, 4), 120_000);
    assert!(hello[52..64].iter().all(|&byte| byte == 0));
    assert_eq!(&hello[64..], b"token\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn the_refusal_has_its_stored_bytes() {
    let fixture = fixture("handshake", "refusal");
    let stored = bytes(&fixture, "frame");
    let refusal = Refusal::new(RefusalCode::Busy, "too many connections");
    let mut out = vec![0xaa; refusal.wire_len()];
    assert_eq!(refusal.encode(&mut out), Ok(stored.len()));
    assert_eq!(out, stored);
    assert_eq!(
        Refusal::decode(&stored, 1024),
        Ok(RefusalStep::Refusal(refusal))
    );
    assert_eq!(little(&stored, 10, 2), number(&fixture["code"]));
    assert_eq!(little(&stored, 12, 4), 20);
}

#[test]
fn both_sides_agree_on_the_peers_limits_however_the_bytes_are_split() {
    for step in [1, 7, 64, 1000] {
        let mut server = server();
        let hello = client_hello();
        let mut upto = 0;
        let (agreed, ext_len) = loop {
            upto = (upto + step).min(hello.len());
            match server.receive(&hello[..upto]).expect("a good Hello") {
                HandshakeStep::NeedMore { at_least } => assert!(at_least > upto),
                HandshakeStep::Hello {
                    negotiated,
                    ext,
                    consumed,
                } => {
                    assert_eq!((consumed, ext), (hello.len(), &b"token"[..]));
                    break (negotiated, ext.len());
                }
            }
        };
        assert_eq!(ext_len, 5);
        let mut out = [0; 64];
        assert_eq!(server.accept(b"", &mut out), Ok((64, agreed)));
        let mut client = client();
        let Ok(HandshakeStep::Hello { negotiated, .. }) = client.receive(&out) else {
            panic!("the server's Hello is whole");
        };
        check_agreement(&negotiated, &agreed);
    }
}

fn check_agreement(client: &Negotiated, server: &Negotiated) {
    let (c, s) = (client_terms(), server_terms());
    assert_eq!(
        (client.max_body_len, server.max_body_len),
        (s.max_body_len, c.max_body_len)
    );
    assert_eq!(
        (client.max_rpc_len, server.max_rpc_len),
        (s.max_rpc_len, c.max_rpc_len)
    );
    assert_eq!(client.peer_max_outstanding, s.max_outstanding);
    assert_eq!(
        (client.initial_credit, client.own_initial_credit),
        (65536, 1 << 20)
    );
    assert_eq!(
        (server.initial_credit, server.own_initial_credit),
        (1 << 20, 65536)
    );
    assert_eq!(
        (client.peer_idle_timeout_ms, server.peer_idle_timeout_ms),
        (0, 120_000)
    );
    // One side wants checksums and both can verify them.
    assert!(client.send_crc && client.expect_crc && server.send_crc && server.expect_crc);
}

#[test]
fn checksums_are_sent_if_one_wants_them_and_the_receiver_can_verify() {
    for bits in 0..16u8 {
        let with = |want: u8, can: u8| Terms {
            want_crc: bits & want != 0,
            can_verify_crc: bits & can != 0,
            ..server_terms()
        };
        let (own, peer) = (with(1, 2), with(4, 8));
        let mut out = [0; 64];
        Hello {
            terms: peer,
            ext: b"",
        }
        .encode(&mut out)
        .expect("room");
        let mut server = ServerHandshake::new(own, Limits::DEFAULT);
        let Ok(HandshakeStep::Hello { negotiated, .. }) = server.receive(&out) else {
            panic!("a good Hello");
        };
        let wanted = own.want_crc || peer.want_crc;
        assert_eq!(negotiated.send_crc, wanted && peer.can_verify_crc);
        assert_eq!(negotiated.expect_crc, wanted && own.can_verify_crc);
    }
}

/// The server's error for the client's Hello with `with` written at `at`.
fn refused(at: usize, with: &[u8]) -> HandshakeError {
    let mut hello = client_hello();
    hello[at..at + with.len()].copy_from_slice(with);
    server().receive(&hello).expect_err("the Hello is broken")
}

#[test]
fn a_hello_that_cannot_be_used_is_refused_with_its_reason() {
    use RefusalCode::*;
    let cases: [(usize, &[u8], RefusalCode, &str); 9] = [
        (0, b"ringrail", NotNative, "native protocol"),
        (8, &[2], Version, "version 2"),
        (10, &[4], Malformed, "unknown flags"),
        (12, &[0, 0, 1, 0], Malformed, "maxHelloExtLen"),
        (16, &[0], Format, "rkyv"),
        (24, &[0, 0, 0, 0], Limits, "max_body_len"),
        (28, &[0, 0, 0, 0], Limits, "max_outstanding"),
        (40, &[0; 8], Limits, "initial_credit"),
        (63, &[1], Malformed, "reserved"),
    ];
    for (at, with, code, part) in cases {
        let error = refused(at, with);
        assert_eq!(error.refusal_code(), Some(code), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        let mut out = [0; 1100];
        let len = error.write_refusal(&mut out).expect("room");
        let Err(HandshakeError::Refused {
            code: told,
            text,
            version,
        }) = client().receive(&out[..len])
        else {
            panic!("the client reads the refusal");
        };
        assert_eq!((told, text, version), (code, error.to_string(), VERSION));
    }
}

#[test]
fn another_version_is_told_before_its_hello_is_complete() {
    let mut hello = client_hello();
    hello[8] = 9;
    let error = server().receive(&hello[..10]).expect_err("version 9");
    assert_eq!(
        error,
        HandshakeError::Hello(HelloError::Version { theirs: 9 })
    );
}

#[test]
fn other_protocols_get_an_answer_in_their_own() {
    let error = server().receive(b"GET / HTTP/1.1\r\n").expect_err("HTTP");
    let mut out = [0; 256];
    let len = error.write_refusal(&mut out).expect("room");
    assert!(out[..len].starts_with(b"HTTP/1.1 400 "));
    assert!(error.write_refusal(&mut [0; 8]).is_err());
    let spark = crate::stored::unhex("0000000000000018 03 0102030405060708 00000003 414243");
    let error = server().receive(&spark).expect_err("Spark");
    let len = error.write_refusal(&mut out).expect("room");
    assert!(out[..len].starts_with(b"RINGNOPE"));
    assert!(error.to_string().contains("Spark"));
}

#[test]
fn a_peer_that_refuses_is_not_refused() {
    let refusal = bytes(&fixture("handshake", "refusal"), "frame");
    for len in 0..refusal.len() - 12 {
        let step = client().receive(&refusal[..len]);
        assert!(
            matches!(step, Ok(HandshakeStep::NeedMore { .. })),
            "{len}: {step:?}"
        );
    }
    let error = client().receive(&refusal).expect_err("refused");
    assert_eq!(error.refusal_code(), None);
    assert_eq!(error.write_refusal(&mut []), Ok(0));
    assert!(error.to_string().contains("too many connections"));
    let mut long = refusal.clone();
    long[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = client().receive(&long).expect_err("4 GiB of text");
    assert!(error.to_string().contains("maxRefusalTextLen"), "{error}");
    let mut binary = refusal;
    binary[32] = 0xff;
    assert!(matches!(
        client().receive(&binary),
        Err(HandshakeError::Refusal(RefusalError::NotUtf8 {
            code: RefusalCode::Busy
        }))
    ));
}

#[test]
fn a_long_refusal_text_is_cut_to_what_every_peer_reads() {
    let text = "ü".repeat(1000);
    let mut out = [0; 2048];
    let len = server()
        .refuse(RefusalCode::Internal, &text, &mut out)
        .expect("room");
    let Ok(RefusalStep::Refusal(refusal)) = Refusal::decode(&out[..len], 1024) else {
        panic!("readable within the default limit");
    };
    assert_eq!(refusal.text, "ü".repeat(512));
}

#[test]
fn calls_out_of_turn_are_errors() {
    let mut fresh = ClientHandshake::new(client_terms(), Limits::DEFAULT);
    assert!(matches!(
        fresh.receive(b""),
        Err(HandshakeError::OutOfTurn { .. })
    ));
    let mut server = server();
    assert!(server.receive(b"GET / HTTP").is_err());
    let hello = client_hello();
    let again = server.receive(&hello);
    assert!(
        matches!(again, Err(HandshakeError::OutOfTurn { .. })),
        "it has failed before"
    );
    let mut client = client();
    let mut out = [0; 64];
    Hello {
        terms: server_terms(),
        ext: b"",
    }
    .encode(&mut out)
    .expect("room");
    assert!(client.receive(&out).is_ok());
    assert!(matches!(
        client.receive(&out),
        Err(HandshakeError::OutOfTurn { .. })
    ));
}

#[test]
fn a_short_send_buffer_can_be_replaced_by_a_longer_one() {
    let mut client = ClientHandshake::new(client_terms(), Limits::DEFAULT);
    assert_eq!(
        client.hello(b"token", &mut [0; 79]),
        Err(NoRoom { need: 80, room: 79 })
    );
    assert_eq!(client.hello(b"token", &mut [0; 80]), Ok(80));
}

#[test]
fn the_end_in_the_middle_says_what_had_come() {
    let closed = closed_early(&client_hello()[..20]);
    assert_eq!(closed, HandshakeError::Closed { received: 20 });
    assert!(closed_early(b"GET /").to_string().contains("HTTP"));
}
