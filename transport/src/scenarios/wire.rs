//! The native protocol by hand, for raw peers.

use ringrail_codec::native::{
    ClientHandshake, HEADER_LEN, HandshakeStep, Header, Limits, ServerHandshake, Terms,
};

/// Limits that raw peers announce unless a test says otherwise.
pub(super) fn limits() -> Limits {
    Limits::default()
}

/// The Hello of a client.
pub(super) fn hello(limits: Limits) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let len = ClientHandshake::new(Terms::new(&limits), limits)
        .hello(&[], &mut bytes)
        .expect("room for it");
    bytes.truncate(len);
    bytes
}

/// The Hello of a server, in answer to a client's at the front of `received`; and how long that was.
pub(super) fn answer(limits: Limits, received: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut server = ServerHandshake::new(Terms::new(&limits), limits);
    let consumed = match server.receive(received).expect("a Hello") {
        HandshakeStep::Hello { consumed, .. } => consumed,
        HandshakeStep::NeedMore { .. } => return None,
    };
    let mut bytes = vec![0; 4096];
    let (len, _) = server.accept(&[], &mut bytes).expect("room for it");
    bytes.truncate(len);
    Some((bytes, consumed))
}

/// A frame: its body's length is filled in, its padding added.
pub(super) fn frame(header: Header, body: &[u8]) -> Vec<u8> {
    assert_eq!(header.body_len as usize, body.len());
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(header.frame_len(), 0);
    bytes
}

/// The frames in what was received behind the Hello; what is not whole is left out.
pub(super) fn frames(received: &[u8]) -> Vec<(Header, Vec<u8>)> {
    let hello_len = hello(limits()).len();
    split(received.get(hello_len..).unwrap_or_default()).0
}

/// The whole frames at the front of some bytes, and how many bytes they are.
pub(super) fn split(bytes: &[u8]) -> (Vec<(Header, Vec<u8>)>, usize) {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while let Some(head) = rest.first_chunk::<HEADER_LEN>() {
        let header = Header::decode(head).expect("a header");
        if rest.len() < header.frame_len() {
            break;
        }
        let body = rest[HEADER_LEN..HEADER_LEN + header.body_len as usize].to_vec();
        rest = &rest[header.frame_len()..];
        frames.push((header, body));
    }
    (frames, bytes.len() - rest.len())
}
