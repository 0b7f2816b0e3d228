//! A stream of frames: what is accepted means exactly its bytes, and a prefix never means something else. The
//! header is read by what the engine runs, [`Header::decode_checked`], and must be judged as by the checks that
//! name reasons.

use ringrail_codec::native::*;

#[path = "../../../codec/tests/native/any_frame.rs"]
mod any_frame;

use any_frame::Frame;

/// Reads frames from `data` until something is wrong or missing.
pub(crate) fn check(data: &[u8]) {
    let limits = Limits::DEFAULT;
    let mut rest = data;
    loop {
        if let Some(head) = rest.first_chunk() {
            check_header_is_judged_alike(head, &limits);
        }
        match decode_frame(rest, &limits) {
            Ok(Step::Frame {
                header,
                body,
                consumed,
            }) => {
                check_frame(&header, body, &rest[..consumed]);
                check_prefixes(&rest[..consumed], &limits);
                rest = &rest[consumed..];
            }
            Ok(Step::NeedMore { at_least }) => {
                assert!(at_least > rest.len() && at_least <= limits.max_frame_len());
                return;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        }
    }
}

fn check_header_is_judged_alike(head: &[u8; HEADER_LEN], limits: &Limits) {
    let by_step = Header::decode(head).and_then(|header| {
        check_header(&header, limits)?;
        Ok(header)
    });
    assert_eq!(Header::decode_checked(head, limits), by_step.ok());
}

/// An accepted frame, encoded again, gives the same header and body.
fn check_frame(header: &Header, body: &[u8], bytes: &[u8]) {
    assert_eq!(bytes.len() % ALIGN, 0);
    assert_eq!(header.encode()[..], bytes[..HEADER_LEN]);
    let Ok(frame) = Frame::parse(header, body) else {
        return;
    };
    let mut again = frame.header(header.body_len);
    if header.flags.contains(Flags::CRC) {
        again = again.with_crc(header.crc);
    }
    assert_eq!(again, *header);
    match frame {
        Frame::ChunkRequest(request) => assert_eq!(request.body(), body),
        Frame::StreamRequest(request) => {
            let mut out = vec![0; request.body_len()];
            assert_eq!(request.encode_body(&mut out), Ok(body.len()));
            assert_eq!(out, body);
        }
        Frame::Drain(drain) => assert_eq!(drain.text.as_bytes(), body),
        _ => {}
    }
}

/// A whole frame, cut anywhere, asks for more.
fn check_prefixes(bytes: &[u8], limits: &Limits) {
    for len in [0, 1, HEADER_LEN - 1, HEADER_LEN, bytes.len() - 1] {
        if len < bytes.len() {
            let step = decode_frame(&bytes[..len], limits).expect("its beginning is good");
            assert!(matches!(step, Step::NeedMore { at_least } if at_least <= bytes.len()));
        }
    }
}
