//! Peers that speak another protocol, send false lengths, stop midway or never read: each is
//! disconnected with a clear error, and no other connection is affected.

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use ringrail_codec::native::{Header, Hello, Kind, Limits, Terms};
use ringrail_transport::TransportConf;
use support::{eventually, say, serve};

/// A Hello as a good client sends it.
fn hello() -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let terms = Terms::new(&Limits::DEFAULT);
    let len = Hello { terms, ext: &[] }.encode(&mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

/// A header that claims `body_len` bytes.
fn header(kind: Kind, body_len: u32) -> [u8; 32] {
    let mut header = Header::new(kind, 7);
    header.body_len = body_len;
    header.arg = u64::from(body_len);
    header.encode()
}

#[test]
fn other_protocols_are_told_in_their_own_words() {
    let side = serve(TransportConf::default());
    let http = say(side.raw(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        http.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&http)
    );
    let tls = say(
        side.raw(),
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0],
    );
    assert_eq!(tls.first(), Some(&0x15), "a TLS alert");
    // An RpcRequest of Spark.
    let spark = b"\0\0\0\0\0\0\0\x18\x03\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x03ABC";
    say(side.raw(), spark);
    say(side.raw(), &[0xff; 64]);
    eventually("four refusals", || {
        side.context.engine().metrics().errors_foreign_protocol >= 4
    });
    side.assert_alive();
}

#[test]
fn a_wrong_version_or_format_is_refused_with_a_reason() {
    let side = serve(TransportConf::default());
    let mut version = hello();
    version[8] = 99;
    let answer = say(side.raw(), &version);
    assert!(answer.starts_with(b"RINGNOPE"), "{answer:?}");
    let mut format = hello();
    format[16] ^= 1;
    let answer = say(side.raw(), &format);
    assert!(answer.starts_with(b"RINGNOPE"), "{answer:?}");
    side.assert_alive();
}

#[test]
fn impossible_lengths_end_the_connection_before_any_body_is_read() {
    let side = serve(TransportConf::default());
    for (kind, len) in [
        (Kind::RpcRequest, u32::MAX),
        (Kind::RpcRequest, 1 << 31),
        (Kind::OneWay, (1 << 20) + 1),
        (Kind::Ping, 1),
        (Kind::ChunkRequest, 31),
    ] {
        let mut stream = side.raw();
        stream.write_all(&hello()).unwrap();
        stream.write_all(&header(kind, len)).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.starts_with(b"RINGRAIL"), "the handshake was answered");
    }
    eventually("five ended", || {
        let metrics = side.context.engine().metrics();
        (metrics.errors_oversized, metrics.errors_malformed) == (3, 2)
    });
    let used = side.context.engine().metrics().pool_bytes_high_water;
    assert!(
        used < 64 << 20,
        "{used} bytes were leased for lengths that a peer made up"
    );
    side.assert_alive();
}

#[test]
fn a_connection_cut_at_any_byte_is_forgotten() {
    let side = serve(TransportConf::default());
    let mut bytes = hello();
    bytes.extend(header(Kind::RpcRequest, 16));
    bytes.extend([1; 16]);
    for cut in 0..=bytes.len() {
        side.raw().write_all(&bytes[..cut]).unwrap();
    }
    eventually("all gone", || {
        let metrics = side.context.engine().metrics();
        metrics.connections_opened > bytes.len() as u64 && metrics.connections_active == 0
    });
    side.assert_alive();
}

#[test]
fn a_handshake_that_dribbles_or_never_comes_is_given_up() {
    let handshake_timeout = Duration::from_millis(200);
    let side = serve(TransportConf {
        handshake_timeout,
        ..TransportConf::default()
    });
    let mut silent = side.raw();
    let mut slow = side.raw();
    let dribble = std::thread::spawn(move || {
        for byte in hello() {
            if slow.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer);
    assert!(answer.is_empty());
    dribble.join().unwrap();
    eventually("both given up", || {
        side.context.engine().metrics().errors_handshake_timeout >= 2
    });
    side.assert_alive();
}

#[test]
fn a_peer_that_vanished_is_noticed_by_its_silence() {
    let connection_timeout = Duration::from_millis(400);
    let side = serve(TransportConf {
        connection_timeout,
        ..TransportConf::default()
    });
    let mut mute = side.raw();
    mute.write_all(&hello()).unwrap();
    // It answers no ping. The server pings at half of the timeout and closes at its end.
    let mut heard = Vec::new();
    let _ = mute.read_to_end(&mut heard);
    assert!(heard.len() > hello().len(), "a ping came before the end");
    eventually("forgotten", || {
        side.context.engine().metrics().connections_active == 0
    });
}

#[test]
fn a_peer_that_grants_no_credit_gets_no_more_than_it_granted() {
    let side = serve(TransportConf::default());
    let mut stream = side.raw();
    stream.write_all(&hello()).unwrap();
    let request = ringrail_codec::native::ChunkRequest {
        id: 1,
        stream_id: 1 << 20,
        chunk_index: 0,
        offset: 0,
        max_len: u64::MAX,
        credit: 4096,
        deadline_us: 0,
        unsummed: false,
    };
    stream.write_all(&request.encode()).unwrap();
    let mut got = vec![0; hello().len() + 32 + 4096];
    stream.read_exact(&mut got).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let more = stream.read(&mut [0; 64]);
    assert!(more.is_err(), "{more:?} came beyond the credit");
    side.assert_alive();
}

#[test]
fn a_slow_reader_of_answers_costs_a_bounded_queue() {
    let side = serve(TransportConf::default());
    let mut stream = side.raw();
    stream.write_all(&hello()).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut frame = header(Kind::RpcRequest, 4096).to_vec();
    frame.extend(vec![5; 4096]);
    // It never reads: at some point the server stops reading, and this blocks.
    let mut sent = 0u64;
    while stream.write_all(&frame).is_ok() && sent < 200_000 {
        sent += 1;
    }
    assert!(sent < 200_000, "nothing held the sender back");
    let used = side.context.engine().metrics().pool_bytes_high_water;
    assert!(
        used < 32 << 20,
        "{used} bytes for one reader that does not read"
    );
    assert_eq!(
        side.context.engine().metrics().connections_active,
        1,
        "it is not closed for it"
    );
    side.assert_alive();
}
