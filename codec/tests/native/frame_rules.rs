//! Rules that make a frame unacceptable: each is broken alone in an otherwise valid frame.

use ringrail_codec::native::*;

use crate::any_frame::Frame;
use crate::stored::{bytes, fixture};

fn parse(frame: &[u8]) -> Result<(), FrameError> {
    match decode_frame(frame, &Limits::DEFAULT)? {
        Step::Frame { header, body, .. } => Frame::parse(&header, body).map(|_| ()),
        Step::NeedMore { at_least } => panic!("{at_least} bytes wanted of {}", frame.len()),
    }
}

/// The stored frame `name` with `bytes` written at `at`.
fn broken(name: &str, at: usize, with: &[u8]) -> Result<(), FrameError> {
    let mut frame = bytes(&fixture("frames", name), "frame");
    assert_eq!(parse(&frame), Ok(()), "{name} is good as it is stored");
    frame[at..at + with.len()].copy_from_slice(with);
    parse(&frame)
}

fn assert_inconsistent(result: Result<(), FrameError>, part: &str) {
    match result {
        Err(FrameError::Inconsistent { what, .. }) if what.contains(part) => {}
        other => panic!("{part:?} was expected, not {other:?}"),
    }
}

#[test]
fn only_known_kinds_are_frames() {
    for kind in 0..=u8::MAX {
        let mut frame = [0; 32];
        frame[0] = kind;
        let known = Kind::ALL.iter().any(|known| *known as u8 == kind);
        let refused = Header::decode(&frame) == Err(FrameError::UnknownKind { kind });
        assert_eq!(refused, !known, "{kind:#x}");
    }
}

#[test]
fn the_check_without_reasons_refuses_what_the_one_with_reasons_refuses() {
    let limits = &Limits::DEFAULT;
    let lengths = [0, 1, 16, 64, limits.max_body_len, limits.max_body_len + 1];
    let totals = [0, 64, limits.max_rpc_len, limits.max_rpc_len + 1, u64::MAX];
    let mut accepted = 0;
    for kind in 0..=u8::MAX {
        for flags in [0, 1, 2, 4, 0x80] {
            for body_len in lengths {
                for total in totals {
                    let mut frame = [0; 32];
                    frame[..2].copy_from_slice(&[kind, flags]);
                    frame[4..8].copy_from_slice(&body_len.to_le_bytes());
                    frame[16..24].copy_from_slice(&total.to_le_bytes());
                    let explained = Header::decode(&frame)
                        .and_then(|header| check_header(&header, limits).map(|()| header));
                    let checked = Header::decode_checked(&frame, limits);
                    assert_eq!(checked, explained.ok(), "{frame:?}");
                    accepted += usize::from(checked.is_some());
                }
            }
        }
    }
    assert!(accepted > 0);
}

#[test]
fn each_kind_takes_its_own_flags_and_no_other() {
    use Kind::*;
    for kind in Kind::ALL {
        let crc = !matches!(kind, StreamEnd | UploadEnd | Cancel | Credit | Ping | Pong);
        let more = matches!(kind, RpcRequest | RpcReply | OneWay | RpcSlice | ChunkData);
        let retryable = matches!(kind, RpcFailure | ChunkFailure | StreamFailure);
        let reply = matches!(kind, RpcSlice | Credit);
        let one_way = kind == RpcSlice;
        let allowed = [crc, more, retryable, reply, one_way, false, false, false];
        for (bit, allowed) in allowed.into_iter().enumerate() {
            let mut frame = Header::new(kind, 0).encode();
            frame[1] = 1 << bit;
            match Header::decode(&frame) {
                Ok(header) => assert!(allowed && header.flags.bits() == 1 << bit),
                Err(FrameError::ForbiddenFlags { forbidden, .. }) => {
                    assert!(!allowed && forbidden == 1 << bit, "{kind} bit {bit}");
                }
                other => panic!("{kind} bit {bit}: {other:?}"),
            }
        }
    }
}

#[test]
fn fields_without_a_meaning_must_be_zero() {
    use Kind::*;
    for kind in Kind::ALL {
        let failure = matches!(kind, RpcFailure | ChunkFailure | StreamFailure);
        let connection = matches!(kind, Drain | Ping | Pong);
        let numbered = matches!(kind, RpcSlice | ChunkData | StreamData | UploadData);
        let timed = matches!(kind, RpcRequest | StreamRequest | Upload);
        let fields = [
            (2, Field::Code, failure || kind == Drain),
            (8, Field::Id, !connection),
            (16, Field::Arg, !failure && kind != Cancel),
            (24, Field::Aux, numbered || timed || kind == ChunkRequest),
            (28, Field::Crc, false),
        ];
        for (at, field, has_meaning) in fields {
            let mut frame = Header::new(kind, 0).encode();
            frame[at] = 1;
            let expected = FrameError::NonZero {
                kind,
                field,
                value: 1,
            };
            match Header::decode(&frame) {
                Ok(_) => assert!(has_meaning, "{kind} takes {field}"),
                Err(error) => assert!(!has_meaning && error == expected, "{error}"),
            }
        }
    }
}

#[test]
fn a_checksum_needs_its_flag() {
    assert_eq!(
        broken("rpc_request", 28, &[9]),
        Err(FrameError::NonZero {
            kind: Kind::RpcRequest,
            field: Field::Crc,
            value: 9
        })
    );
    assert_eq!(
        broken("chunk_data", 28, &[9]),
        Ok(()),
        "a wrong one is the body's affair"
    );
}

#[test]
fn bodies_where_there_are_none() {
    for name in [
        "cancel",
        "credit",
        "ping",
        "pong",
        "stream_end",
        "upload_end",
    ] {
        let error = broken(name, 4, &[1]).expect_err(name);
        assert!(
            matches!(
                error,
                FrameError::BodyLength {
                    body_len: 1,
                    expected: 0,
                    ..
                }
            ),
            "{name}: {error}"
        );
    }
}

#[test]
fn structured_bodies_have_their_length() {
    let error = broken("chunk_request", 4, &[31]).expect_err("short");
    assert!(matches!(
        error,
        FrameError::BodyLength {
            body_len: 31,
            expected: 32,
            ..
        }
    ));
    let error = broken("chunk_request", 4, &[33]).expect_err("long");
    assert!(matches!(
        error,
        FrameError::BodyTooLong {
            body_len: 33,
            limit: 32,
            ..
        }
    ));
    let error = broken("stream_request", 4, &[15]).expect_err("short");
    assert!(matches!(
        error,
        FrameError::BodyLength {
            body_len: 15,
            expected: 16,
            ..
        }
    ));
    let header = Header::new(Kind::ChunkRequest, 1);
    assert!(ChunkRequest::from_header(&header, &[0; 31]).is_err());
    let header = Header::new(Kind::StreamRequest, 1);
    assert!(StreamRequest::from_header(&header, &[0; 15]).is_err());
}

#[test]
fn reserved_body_fields_must_be_zero() {
    for (name, at) in [("chunk_request", 32 + 28), ("stream_request", 32 + 8)] {
        let error = broken(name, at, &[1]).expect_err(name);
        assert!(
            matches!(
                error,
                FrameError::NonZero {
                    field: Field::Reserved,
                    value: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn texts_are_utf8() {
    let error = broken("stream_request", 32 + 16, &[0xff]);
    assert_eq!(
        error,
        Err(FrameError::NotUtf8 {
            kind: Kind::StreamRequest
        })
    );
    let error = broken("drain", 32, &[0xc3]);
    assert_eq!(error, Err(FrameError::NotUtf8 { kind: Kind::Drain }));
}

#[test]
fn the_first_slice_and_its_total_agree() {
    for name in ["rpc_request", "rpc_reply", "one_way"] {
        assert_inconsistent(broken(name, 16, &[1]), "less than body_len");
        assert_inconsistent(broken(name, 16, &[200]), "MORE must be set");
        assert_inconsistent(broken(name, 1, &[2]), "MORE must be set");
        assert_inconsistent(
            broken(name, 1, &[2, 0, 0, 0, 0]),
            "first slice of a larger body",
        );
    }
}

#[test]
fn slices_of_rpc_bodies_are_behind_the_first() {
    let name = "rpc_slice_of_request_last";
    assert_inconsistent(broken(name, 24, &[0]), "first slice");
    assert_inconsistent(broken(name, 16, &[0]), "first slice");
    assert_inconsistent(broken(name, 1, &[1 | 8 | 16]), "both REPLY and ONE_WAY");
    assert_inconsistent(broken(name, 4, &[0]), "empty slice");
    let mut header = Header::new(Kind::RpcSlice, 1);
    (header.arg, header.aux, header.body_len) = (u64::MAX, 1, 1);
    assert!(RpcSlice::from_header(&header).is_err());
    let error = check_header(&header, &Limits::DEFAULT).expect_err("ends beyond every limit");
    assert!(matches!(
        error,
        FrameError::RpcTooLong {
            total_len: u64::MAX,
            ..
        }
    ));
}

#[test]
fn chunk_slices_agree_with_their_range() {
    assert_inconsistent(broken("chunk_data", 16, &[15]), "less than body_len");
    assert_inconsistent(broken("chunk_data", 1, &[1]), "MORE must be set");
    assert_inconsistent(broken("chunk_data_announcement", 24, &[1]), "not the first");
    assert_inconsistent(broken("chunk_data", 16, &[0xff; 8]), "always known");
}

#[test]
fn stream_and_upload_slices_agree_with_themselves() {
    assert_inconsistent(broken("stream_data_known", 16, &[5]), "less than body_len");
    let empty = Header::new(Kind::StreamData, 1);
    assert!(StreamData::from_header(&empty).is_ok(), "an announcement");
    let second = Header { aux: 1, ..empty };
    assert!(
        StreamData::from_header(&second).is_err(),
        "empty and not the first"
    );
    assert_inconsistent(broken("upload_data", 4, &[0]), "empty slice");
    assert_inconsistent(broken("upload_data", 24, &[1]), "the first slice");
    assert_inconsistent(broken("upload_data_second", 24, &[0]), "the first slice");
    assert_inconsistent(broken("upload_data_second", 16, &[0xff; 8]), "beyond 2^64");
}

#[test]
fn grants_and_failures_say_something() {
    assert_inconsistent(broken("credit", 16, &[0; 8]), "0 bytes");
    for name in ["rpc_failure", "chunk_failure", "stream_failure"] {
        assert_inconsistent(broken(name, 2, &[0]), "without a code");
    }
}

#[test]
fn a_header_is_read_by_its_own_type_only() {
    let ping = Ping { opaque: 1 }.header();
    let expected = FrameError::WrongKind {
        expected: Kind::Pong,
        found: Kind::Ping,
    };
    assert_eq!(Pong::from_header(&ping), Err(expected));
    assert!(Cancel::from_header(&ping).is_err() && Drain::from_header(&ping, b"").is_err());
}

#[test]
fn unknown_codes_survive() {
    for code in 1..=u16::MAX {
        assert_eq!(FailureCode::from_wire(code).to_wire(), code);
        assert_eq!(DrainReason::from_wire(code).to_wire(), code);
        assert_eq!(RefusalCode::from_wire(code).to_wire(), code);
    }
    assert_eq!(FailureCode::from_wire(999), FailureCode::Other(999));
    assert_eq!(FailureCode::Other(999).to_string(), "code 999");
    assert!(
        FailureCode::ALL
            .iter()
            .all(|code| !matches!(code, FailureCode::Other(_)))
    );
}

#[test]
fn padding_is_not_looked_at() {
    assert_eq!(broken("rpc_request", 32 + 3, &[0xff; 13]), Ok(()));
}

#[test]
#[should_panic(expected = "another length")]
fn a_body_of_another_length_is_not_written() {
    let header = RpcReply {
        id: 1,
        total_len: 3,
    }
    .header(3);
    let _ = encode_frame(&header, b"four", &mut [0; 64]);
}

#[test]
fn a_short_buffer_is_left_alone() {
    let header = RpcReply {
        id: 1,
        total_len: 3,
    }
    .header(3);
    let mut out = [7; 47];
    let error = encode_frame(&header, b"abc", &mut out);
    assert_eq!(error, Err(NoRoom { need: 48, room: 47 }));
    assert_eq!(out, [7; 47]);
    let request = StreamRequest {
        id: 1,
        offset: 0,
        deadline_us: 0,
        credit: 0,
        name: "n",
    };
    assert_eq!(
        request.encode_body(&mut [0; 16]),
        Err(NoRoom { need: 17, room: 16 })
    );
}
