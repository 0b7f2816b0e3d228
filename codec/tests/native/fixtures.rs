//! Every frame kind against its stored bytes, in both directions.

use ringrail_codec::archive::{FailureBody, Phase, encode_to_vec};
use ringrail_codec::native::*;

use crate::any_frame::Frame;

use crate::stored::{bytes, fixture, little, number, second_decoder, slow_crc32c, stored};

const RAMP: [u8; 40] = {
    let mut ramp = [0; 40];
    let mut i = 0;
    while i < ramp.len() {
        ramp[i] = i as u8;
        i += 1;
    }
    ramp
};

/// The failure whose archive is stored.
fn full_endpoint() -> FailureBody {
    let mut failure = FailureBody::new(
        FailureCode::Busy,
        Phase::Dispatch,
        "endpoint counter is full",
    );
    failure.causes.push("inbox holds 4096 messages".to_owned());
    failure.causes.push("short".to_owned());
    failure
}

struct Case {
    name: &'static str,
    frame: Frame<'static>,
    body: Vec<u8>,
    crc: bool,
}

fn case(name: &'static str, frame: Frame<'static>, body: &[u8], crc: bool) -> Case {
    Case {
        name,
        frame,
        body: body.to_vec(),
        crc,
    }
}

fn rpc_cases() -> Vec<Case> {
    let id = 0x0102_0304_0506_0708;
    let slice = |id, of, offset, seq, more| {
        Frame::RpcSlice(RpcSlice {
            id,
            of,
            offset,
            seq,
            more,
        })
    };
    let request = |id, total_len, deadline_us| {
        Frame::RpcRequest(RpcRequest {
            id,
            total_len,
            deadline_us,
        })
    };
    let failure = |id, code, retryable| {
        Frame::RpcFailure(RpcFailure {
            id,
            code,
            retryable,
        })
    };
    let mut archive = Vec::new();
    encode_to_vec(&full_endpoint(), &mut archive).expect("serialises");
    vec![
        case("rpc_request", request(id, 3, 250_000), b"ABC", false),
        case(
            "rpc_request_first_slice",
            request(7, 40, 0),
            &RAMP[..16],
            true,
        ),
        case(
            "rpc_slice_of_request",
            slice(7, SliceOf::Request, 16, 1, true),
            &RAMP[16..32],
            true,
        ),
        case(
            "rpc_slice_of_request_last",
            slice(7, SliceOf::Request, 32, 2, false),
            &RAMP[32..],
            true,
        ),
        case(
            "rpc_reply",
            Frame::RpcReply(RpcReply { id, total_len: 5 }),
            b"hello",
            false,
        ),
        case(
            "rpc_reply_empty",
            Frame::RpcReply(RpcReply {
                id: 8,
                total_len: 0,
            }),
            b"",
            false,
        ),
        case(
            "rpc_slice_of_reply",
            slice(9, SliceOf::Reply, 32768, 1, false),
            b"tail",
            false,
        ),
        case(
            "rpc_failure",
            failure(10, FailureCode::Busy, true),
            &archive,
            false,
        ),
        case(
            "rpc_failure_without_body",
            failure(11, FailureCode::NotFound, false),
            b"",
            false,
        ),
        case(
            "one_way",
            Frame::OneWay(OneWay {
                id: 12,
                total_len: 4,
            }),
            b"tick",
            false,
        ),
        case(
            "rpc_slice_of_one_way",
            slice(13, SliceOf::OneWay, 65536, 1, true),
            b"tock",
            false,
        ),
    ]
}

fn chunk_cases() -> Vec<Case> {
    let stream_id = 0x1122_3344_5566_7788;
    let whole = ChunkRequest {
        id: 14,
        stream_id,
        chunk_index: 5,
        offset: 0,
        max_len: ChunkRequest::TO_THE_END,
        credit: 1 << 20,
        deadline_us: 0,
        unsummed: false,
    };
    let range = ChunkRequest {
        id: 15,
        stream_id,
        chunk_index: 6,
        offset: 512,
        max_len: 4096,
        credit: 0,
        deadline_us: 2_000_000,
        unsummed: false,
    };
    let unsummed = ChunkRequest {
        id: 16,
        deadline_us: 0,
        unsummed: true,
        ..whole
    };
    let data = |id, total_len, seq, more| {
        Frame::ChunkData(ChunkData {
            id,
            total_len,
            seq,
            more,
        })
    };
    let failure = ChunkFailure {
        id: 17,
        code: FailureCode::StreamClosed,
        retryable: false,
    };
    vec![
        case(
            "chunk_request",
            Frame::ChunkRequest(whole),
            &whole.body(),
            false,
        ),
        case(
            "chunk_request_range",
            Frame::ChunkRequest(range),
            &range.body(),
            false,
        ),
        case(
            "chunk_request_unsummed",
            Frame::ChunkRequest(unsummed),
            &unsummed.body(),
            false,
        ),
        case("chunk_data", data(14, 20, 0, true), &RAMP[..16], true),
        case("chunk_data_last", data(14, 20, 1, false), b"last", true),
        case(
            "chunk_data_announcement",
            data(15, 4096, 0, true),
            b"",
            false,
        ),
        case("chunk_data_empty", data(16, 0, 0, false), b"", false),
        case("chunk_failure", Frame::ChunkFailure(failure), b"", false),
    ]
}

fn stream_cases() -> Vec<Case> {
    let request = StreamRequest {
        id: 18,
        offset: 100,
        deadline_us: 1_000_000,
        credit: 65536,
        name: "/jars/a.jar",
    };
    let mut body = [0; 27];
    assert_eq!(request.encode_body(&mut body), Ok(27));
    let data = |id, total_len, seq| Frame::StreamData(StreamData { id, total_len, seq });
    let failure = StreamFailure {
        id: 19,
        code: FailureCode::SourceTruncated,
        retryable: true,
    };
    let upload = |id, total_len, deadline_us| {
        Frame::Upload(Upload {
            id,
            total_len,
            deadline_us,
        })
    };
    let part = |offset, seq| {
        Frame::UploadData(UploadData {
            id: 20,
            offset,
            seq,
        })
    };
    vec![
        case(
            "stream_request",
            Frame::StreamRequest(request),
            &body,
            false,
        ),
        case(
            "stream_data",
            data(18, UNKNOWN_LEN, 0),
            b"PK\x03\x04",
            false,
        ),
        case("stream_data_known", data(19, 70, 2), b"abcdef", true),
        case(
            "stream_end",
            Frame::StreamEnd(StreamEnd {
                id: 18,
                sent_len: 4,
            }),
            b"",
            false,
        ),
        case("stream_failure", Frame::StreamFailure(failure), b"", false),
        case("upload", upload(20, 6, 0), b"meta", false),
        case(
            "upload_unknown",
            upload(21, UNKNOWN_LEN, 5_000_000),
            b"",
            false,
        ),
        case("upload_data", part(0, 0), b"data", false),
        case("upload_data_second", part(4, 1), b"ta", false),
        case(
            "upload_end",
            Frame::UploadEnd(UploadEnd {
                id: 20,
                sent_len: 6,
            }),
            b"",
            false,
        ),
    ]
}

fn control_cases() -> Vec<Case> {
    let credit = |id, bytes, by_responder| {
        Frame::Credit(Credit {
            id,
            bytes,
            by_responder,
        })
    };
    let drain = Drain {
        last_id: 20,
        reason: DrainReason::Shutdown,
        text: "restarting for an update",
    };
    let opaque = 0xdead_beef;
    vec![
        case("cancel", Frame::Cancel(Cancel { id: 14 }), b"", false),
        case("credit", credit(14, 262_144, false), b"", false),
        case("credit_by_responder", credit(20, 65536, true), b"", false),
        case("drain", Frame::Drain(drain), drain.text.as_bytes(), false),
        case("ping", Frame::Ping(Ping { opaque }), b"", false),
        case("pong", Frame::Pong(Pong { opaque }), b"", false),
    ]
}

fn cases() -> Vec<Case> {
    let mut all = rpc_cases();
    all.extend(chunk_cases());
    all.extend(stream_cases());
    all.extend(control_cases());
    all
}

#[test]
fn every_frame_has_its_stored_bytes() {
    for case in cases() {
        let fixture = fixture("frames", case.name);
        let mut header = case.frame.header(case.body.len() as u32);
        if case.crc {
            header = header.with_crc_of(&case.body);
        }
        let mut out = vec![0xaa; header.frame_len()];
        let len = encode_frame(&header, &case.body, &mut out).expect("room");
        assert_eq!(len, out.len());
        assert_eq!(out, bytes(&fixture, "frame"), "{}", case.name);
    }
}

#[test]
fn stored_bytes_give_the_same_frames() {
    for case in cases() {
        let stored = bytes(&fixture("frames", case.name), "frame");
        let step = decode_frame(&stored, &Limits::DEFAULT).expect(case.name);
        let Step::Frame {
            header,
            body,
            consumed,
        } = step
        else {
            panic!("{}: {step:?}", case.name);
        };
        assert_eq!(consumed, stored.len());
        assert_eq!(body, case.body);
        assert_eq!(header.check_body(body), Ok(()));
        assert_eq!(Frame::parse(&header, body), Ok(case.frame), "{}", case.name);
    }
}

#[test]
fn a_second_decoder_reads_the_stored_fields() {
    for fixture in stored()["frames"].as_array().expect("frames") {
        let frame = bytes(fixture, "frame");
        for (field, value) in second_decoder(&frame) {
            assert_eq!(
                value,
                number(&fixture[field]),
                "{field} of {}",
                fixture["name"]
            );
        }
        let body_len = little(&frame, 4, 4) as usize;
        let (body, padding) = frame[32..].split_at(body_len);
        assert_eq!(body, bytes(fixture, "body"));
        assert!(padding.len() < 16 && padding.iter().all(|&byte| byte == 0));
        assert_eq!(frame.len() % 16, 0);
        if frame[1] & 1 == 1 {
            assert_eq!(u64::from(slow_crc32c(body)), little(&frame, 28, 4));
        }
        let kind = Kind::try_from(frame[0]).expect("a kind");
        assert_eq!(fixture["kind"], kind.name());
    }
}

#[test]
fn every_kind_and_every_fixture_is_covered() {
    let cases = cases();
    let mut names: Vec<String> = cases.iter().map(|case| case.name.to_owned()).collect();
    let mut stored: Vec<String> = stored()["frames"]
        .as_array()
        .expect("frames")
        .iter()
        .map(|fixture| fixture["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    stored.sort();
    assert_eq!(names, stored);
    for kind in Kind::ALL {
        let covered = cases.iter().any(|case| case.frame.header(0).kind == kind);
        assert!(covered, "{kind} has no fixture");
        assert_eq!(Kind::try_from(kind as u8), Ok(kind));
    }
}

#[test]
fn the_chunk_request_is_one_array() {
    let Some(Case {
        frame: Frame::ChunkRequest(request),
        ..
    }) = chunk_cases().into_iter().next()
    else {
        panic!("the first chunk case is a request");
    };
    assert_eq!(
        request.encode().to_vec(),
        bytes(&fixture("frames", "chunk_request"), "frame")
    );
}

#[test]
fn the_stored_failure_is_read_in_words() {
    let body = bytes(&fixture("frames", "rpc_failure"), "body");
    assert_eq!(
        FailureBody::decode(FailureCode::Busy, true, &body).expect("a failure"),
        full_endpoint()
    );
    let empty = FailureBody::decode(FailureCode::NotFound, true, b"").expect("empty is fine");
    assert_eq!(empty.failure_code(), FailureCode::NotFound);
    assert!(empty.retryable && empty.message.is_empty());
}

#[test]
fn a_changed_body_fails_its_checksum() {
    let stored = bytes(&fixture("frames", "chunk_data"), "frame");
    for bit in 0..16 * 8 {
        let mut frame = stored.clone();
        frame[32 + bit / 8] ^= 1 << (bit % 8);
        let Ok(Step::Frame { header, body, .. }) = decode_frame(&frame, &Limits::DEFAULT) else {
            panic!("the frame itself is intact");
        };
        let error = header.check_body(body).expect_err("one bit is changed");
        assert_eq!((error.kind, error.id), (Kind::ChunkData, 14));
        assert_eq!(error.computed, slow_crc32c(body));
    }
}
