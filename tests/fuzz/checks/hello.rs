//! The first bytes of a connection, read by both sides.

use ringrail_codec::native::*;

/// Gives `data` to everything that reads first bytes.
pub(crate) fn check(data: &[u8]) {
    let limits = Limits::DEFAULT;
    check_sniff(data);
    check_hello(data, &limits);
    check_refusal(data, &limits);
    check_sides(data, &limits);
}

fn check_sniff(data: &[u8]) {
    let verdict = sniff(data);
    assert!(verdict != Sniff::NeedMore || data.len() < Sniff::DECIDES_AT);
    // A verdict on a beginning holds for everything that begins with it.
    for len in 0..data.len().min(Sniff::DECIDES_AT) {
        let early = sniff(&data[..len]);
        assert!(early == Sniff::NeedMore || early == verdict);
    }
}

fn check_hello(data: &[u8], limits: &Limits) {
    match Hello::decode(data, limits.max_hello_ext_len) {
        Ok(HelloStep::NeedMore { at_least }) => {
            let most = Hello::FIXED_LEN + padded_len(limits.max_hello_ext_len as usize);
            assert!(at_least > data.len() && at_least <= most);
        }
        Ok(HelloStep::Hello { hello, consumed }) => {
            let mut out = vec![0; consumed];
            assert_eq!(hello.encode(&mut out), Ok(consumed));
            let written = Hello::FIXED_LEN + hello.ext.len();
            assert_eq!(out[..written], data[..written]);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_refusal(data: &[u8], limits: &Limits) {
    match Refusal::decode(data, limits.max_refusal_text_len) {
        Ok(RefusalStep::NeedMore { at_least }) => {
            let most = Refusal::FIXED_LEN + limits.max_refusal_text_len as usize;
            assert!(at_least > data.len() && at_least <= most);
        }
        Ok(RefusalStep::Refusal(refusal)) => {
            let mut out = vec![0; refusal.wire_len()];
            refusal.encode(&mut out).expect("room");
            let again = Refusal::decode(&out, limits.max_refusal_text_len);
            assert_eq!(again, Ok(RefusalStep::Refusal(refusal)));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_sides(data: &[u8], limits: &Limits) {
    let terms = Terms::new(limits);
    let mut out = [0; 2048];
    let mut server = ServerHandshake::new(terms, *limits);
    match server.receive(data) {
        Ok(HandshakeStep::Hello {
            negotiated,
            consumed,
            ..
        }) => {
            assert!(consumed <= data.len());
            assert!(negotiated.max_body_len >= Limits::MIN_MAX_BODY_LEN);
            assert!(server.accept(b"", &mut out).is_ok());
        }
        Ok(HandshakeStep::NeedMore { at_least }) => assert!(at_least > data.len()),
        Err(error) => assert!(error.write_refusal(&mut out).is_ok()),
    }
    let mut client = ClientHandshake::new(terms, *limits);
    client.hello(b"", &mut out).expect("room");
    match client.receive(data) {
        Ok(HandshakeStep::Hello { consumed, .. }) => assert!(consumed <= data.len()),
        Ok(HandshakeStep::NeedMore { at_least }) => assert!(at_least > data.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
