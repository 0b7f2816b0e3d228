//! The envelope of requests: as Spark writes it, and within its limits.

use proptest::prelude::*;
use ringrail_codec::spark::rpc::{EnvelopeError, RequestHead, SocketName};

use crate::stored::all;

#[test]
fn every_stored_envelope_is_written_again_byte_for_byte() {
    let mut read = 0;
    for one in all().iter().filter(|one| one.body != one.stream) {
        let (head, stream) = RequestHead::decode(&one.body).expect(&one.name);
        assert_eq!(stream, one.stream, "{}", one.name);
        let sender = head.sender.as_ref().map(SocketName::to_string);
        // The recorded ones name the lack of a sender.
        let expected = one.envelope["sender"]
            .as_str()
            .filter(|text| *text != "null");
        assert_eq!(sender.as_deref(), expected, "{}", one.name);
        let receiver = head.receiver.as_ref().map(SocketName::to_string);
        let receiver = format!("{}@{}", head.endpoint, receiver.unwrap_or_default());
        assert_eq!(
            Some(receiver.as_str()),
            one.envelope["receiver"].as_str(),
            "{}",
            one.name
        );
        let mut again = Vec::new();
        head.append_to(&mut again).expect(&one.name);
        again.extend(stream);
        assert_eq!(again, one.body, "{}", one.name);
        read += 1;
    }
    assert!(read > 200, "{read}");
}

#[test]
fn an_envelope_that_is_cut_off_is_refused_with_its_field() {
    let head = RequestHead {
        sender: Some(("host", 1).into()),
        receiver: None,
        endpoint: "name".into(),
    };
    let mut bytes = Vec::new();
    head.append_to(&mut bytes).expect("short");
    for len in 0..bytes.len() {
        let error = RequestHead::decode(&bytes[..len]).expect_err("cut off");
        let field = match len {
            0..11 => "sender",
            11 => "receiver",
            _ => "endpoint",
        };
        assert_eq!(error, EnvelopeError::Truncated { field }, "{len}");
    }
}

#[test]
fn names_are_no_longer_than_their_limits() {
    let host = "h".repeat(RequestHead::MAX_HOST_LEN);
    let endpoint = "e".repeat(RequestHead::MAX_ENDPOINT_LEN);
    let head = |host: &str, endpoint: &str| {
        let mut bytes = vec![0, 1];
        bytes.extend((host.len() as u16).to_be_bytes());
        bytes.extend(host.as_bytes());
        bytes.extend(1_i32.to_be_bytes());
        bytes.extend((endpoint.len() as u16).to_be_bytes());
        bytes.extend(endpoint.as_bytes());
        bytes
    };
    RequestHead::decode(&head(&host, &endpoint)).expect("as long as allowed");
    let error = RequestHead::decode(&head(&format!("{host}h"), &endpoint)).expect_err("too long");
    let expected = "the receiver in the envelope of the request has 256 bytes; the limit is 255 (MAX_HOST_LEN)";
    assert_eq!(error.to_string(), expected);
    let error = RequestHead::decode(&head(&host, &format!("{endpoint}e"))).expect_err("too long");
    let expected = "the endpoint in the envelope of the request has 1025 bytes; the limit is 1024 (MAX_ENDPOINT_LEN)";
    assert_eq!(error.to_string(), expected);

    let long = RequestHead {
        sender: None,
        receiver: None,
        endpoint: format!("{endpoint}e").into(),
    };
    let mut out = vec![7];
    long.append_to(&mut out).expect_err("too long");
    assert_eq!(out, [7], "nothing was appended");
}

#[test]
fn a_port_that_does_not_exist_is_refused() {
    for port in [-1, 65536] {
        let mut bytes = vec![1, 0, 1, b'h'];
        bytes.extend(i32::to_be_bytes(port));
        let error = RequestHead::decode(&bytes).expect_err("no port");
        let field = "sender";
        assert_eq!(error, EnvelopeError::Port { field, port });
    }
}

#[test]
fn text_that_is_not_javas_is_refused() {
    for endpoint in ["\0".as_bytes(), "😀".as_bytes(), b"\xed\xa0\x80"] {
        let mut bytes = vec![0, 0, 0, endpoint.len() as u8];
        bytes.extend(endpoint);
        let error = RequestHead::decode(&bytes).expect_err("no text");
        let field = "endpoint";
        assert_eq!(error, EnvelopeError::NotText { field });
    }
}

/// Every flag but 0 announces an address.
#[test]
fn any_flag_but_0_is_true() {
    let bytes = [0xff, 0, 1, b'h', 0, 0, 0, 9, 0, 0, 0];
    let (head, rest) = RequestHead::decode(&bytes).expect("an envelope");
    assert_eq!(head.sender, Some(("h", 9).into()));
    assert!(rest.is_empty());
}

fn address() -> impl Strategy<Value = Option<SocketName<'static>>> {
    prop::option::of(("\\PC{0,20}", any::<u16>())).prop_map(|address| {
        let (host, port) = address?;
        let host = host.into();
        Some(SocketName { host, port })
    })
}

proptest! {
    #[test]
    fn any_envelope_comes_back(sender in address(), receiver in address(), endpoint: String, body: Vec<u8>) {
        let endpoint = endpoint.into();
        let head = RequestHead { sender, receiver, endpoint };
        let mut bytes = Vec::new();
        head.append_to(&mut bytes).expect("short");
        bytes.extend(&body);
        let (read, rest) = RequestHead::decode(&bytes).expect("just written");
        prop_assert_eq!(read, head);
        prop_assert_eq!(rest, body);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes: Vec<u8>) {
        let _ = RequestHead::decode(&bytes);
    }
}
