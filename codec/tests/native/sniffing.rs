//! Other protocols are told by their first bytes, at every length of them.

use ringrail_codec::native::*;

use crate::stored::unhex;

#[test]
fn known_beginnings() {
    let cases: [(&[u8], Sniff); 12] = [
        (b"RINGRAIL\x01\0", Sniff::Native),
        (b"RINGNOPE\x01\0", Sniff::Refusal),
        (b"GET /metrics HTTP/1.1\r\n", Sniff::Http),
        (b"POST /x HTTP/1.1\r\n", Sniff::Http),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniff::Http),
        (b"HTTP/1.1 200 OK\r\n", Sniff::Http),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Sniff::Tls),
        (b"\x16\x03\x05\x02\x00\x01", Sniff::Unknown),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Sniff::Unknown),
        (b"\0\0\0\x01\0\0\0\x15\0\0\0\0", Sniff::Unknown),
        (b"\0\0\0\0\0\0\0\x07\x03\0\0\0", Sniff::Unknown),
        (b"\0\0\0\0\0\0\0\x18\x0d\0\0\0", Sniff::Unknown),
    ];
    for (bytes, verdict) in cases {
        assert_eq!(sniff(bytes), verdict, "{bytes:?}");
    }
}

#[test]
fn spark_frames_are_recognised() {
    let frames = [
        "0000000000000015 00 1122334455667788 00000005",
        "0000000000000018 03 0102030405060708 00000003 414243",
        "0000000000000018 06 0000000b 2f6a6172732f612e6a6172",
        "000000000000001f 0a 0102030405060708 00000002 0a0b 0000000000000003",
    ];
    for frame in frames {
        assert_eq!(sniff(&unhex(frame)), Sniff::Spark, "{frame}");
    }
}

#[test]
fn more_bytes_are_asked_for_only_while_they_can_decide() {
    let beginnings: [&[u8]; 6] = [
        b"RINGRAIL....",
        b"RINGNOPE....",
        b"PRI * HTTP/2",
        b"OPTIONS * HT",
        b"\x16\x03\x03\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\x18\x03\0\0\0",
    ];
    for bytes in beginnings {
        assert_eq!(sniff(b""), Sniff::NeedMore);
        let decided = (1..=bytes.len()).find(|&len| sniff(&bytes[..len]) != Sniff::NeedMore);
        let decided = decided.expect("decided within 12 bytes");
        assert!(decided <= Sniff::DECIDES_AT);
        for len in decided..=bytes.len() {
            assert_eq!(sniff(&bytes[..len]), sniff(bytes), "the verdict stays");
        }
    }
    for byte in 0..=u8::MAX {
        let never = sniff(&[byte; 12]);
        assert_ne!(never, Sniff::NeedMore, "twelve times {byte:#x}");
    }
}

#[test]
fn every_verdict_is_explained_and_answered_in_kind() {
    for sniff in [Sniff::Spark, Sniff::Http, Sniff::Tls, Sniff::Unknown] {
        assert!(sniff.to_string().contains("native protocol"), "{sniff}");
    }
    let http = std::str::from_utf8(Sniff::Http.courtesy().expect("an answer")).expect("text");
    let (head, body) = http.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())),
        "{head}"
    );
    let tls = Sniff::Tls.courtesy().expect("an alert");
    assert_eq!(tls, unhex("15 0303 0002 02 46"));
    assert_eq!(Sniff::Spark.courtesy(), None);
}
