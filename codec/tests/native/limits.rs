//! Each limit is reached and passed by one, and its error names the key.

use ringrail_codec::native::*;

const SMALL: Limits = Limits {
    max_body_len: 64 << 10,
    max_rpc_len: 128 << 10,
    ..Limits::DEFAULT
};

fn header(kind: Kind, body_len: u32) -> Header {
    Header {
        body_len,
        ..Header::new(kind, 1)
    }
}

#[test]
fn every_kind_has_its_longest_body() {
    assert_eq!(SMALL.check(), Ok(()));
    for kind in Kind::ALL {
        let limit = SMALL.max_body(kind);
        assert_eq!(check_header(&header(kind, limit), &SMALL), Ok(()), "{kind}");
        let error = check_header(&header(kind, limit + 1), &SMALL).expect_err(kind.name());
        let key = Limits::key(kind);
        let body_len = limit + 1;
        assert_eq!(
            error,
            FrameError::BodyTooLong {
                kind,
                body_len,
                limit,
                key
            }
        );
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn the_longest_bodies_are_these() {
    let limits = Limits::DEFAULT;
    let expected = [
        (Kind::RpcRequest, 1 << 20),
        (Kind::RpcReply, 1 << 20),
        (Kind::OneWay, 1 << 20),
        (Kind::RpcSlice, 1 << 20),
        (Kind::RpcFailure, 32 << 10),
        (Kind::ChunkRequest, 32),
        (Kind::ChunkData, 1 << 20),
        (Kind::ChunkFailure, 32 << 10),
        (Kind::StreamRequest, (4 << 10) + 16),
        (Kind::StreamData, 1 << 20),
        (Kind::StreamEnd, 0),
        (Kind::StreamFailure, 32 << 10),
        (Kind::Upload, 32 << 10),
        (Kind::UploadData, 1 << 20),
        (Kind::UploadEnd, 0),
        (Kind::Cancel, 0),
        (Kind::Credit, 0),
        (Kind::Drain, 1 << 10),
        (Kind::Ping, 0),
        (Kind::Pong, 0),
    ];
    assert_eq!(expected.map(|(kind, _)| kind).len(), Kind::ALL.len());
    for (kind, limit) in expected {
        assert_eq!(limits.max_body(kind), limit, "{kind}");
    }
    assert_eq!(limits.max_frame_len(), 32 + (1 << 20));
}

#[test]
fn an_rpc_body_has_a_limit_over_all_its_slices() {
    for kind in [Kind::RpcRequest, Kind::RpcReply, Kind::OneWay] {
        let mut header = header(kind, 16);
        header.arg = SMALL.max_rpc_len;
        assert_eq!(check_header(&header, &SMALL), Ok(()));
        header.arg += 1;
        let error = check_header(&header, &SMALL).expect_err("one too many");
        assert!(matches!(
            error,
            FrameError::RpcTooLong { limit: 131_072, .. }
        ));
        assert!(error.to_string().contains("ringrail.transport.maxRpcLen"));
    }
    let mut slice = header(Kind::RpcSlice, 16);
    slice.arg = SMALL.max_rpc_len - 16;
    assert_eq!(check_header(&slice, &SMALL), Ok(()));
    slice.arg += 1;
    assert!(check_header(&slice, &SMALL).is_err());
}

#[test]
fn an_oversized_frame_is_refused_by_its_header_alone() {
    let header = ChunkData {
        id: 1,
        total_len: u64::from(u32::MAX),
        seq: 0,
        more: false,
    };
    let bytes = header.header(u32::MAX).encode();
    let error = decode_frame(&bytes, &Limits::DEFAULT).expect_err("4 GiB in one frame");
    assert!(matches!(
        error,
        FrameError::BodyTooLong {
            body_len: u32::MAX,
            ..
        }
    ));
}

#[test]
fn limits_outside_of_the_protocol_are_refused_with_their_key() {
    let d = Limits::DEFAULT;
    assert_eq!(d.check(), Ok(()));
    let bad = [
        (
            "maxBodyLen",
            Limits {
                max_body_len: (32 << 10) - 1,
                ..d
            },
        ),
        (
            "maxBodyLen",
            Limits {
                max_body_len: (1 << 30) + 1,
                ..d
            },
        ),
        (
            "maxRpcLen",
            Limits {
                max_rpc_len: 0,
                ..d
            },
        ),
        (
            "maxStreamNameLen",
            Limits {
                max_stream_name_len: 100,
                ..d
            },
        ),
        (
            "maxMetaLen",
            Limits {
                max_meta_len: 100,
                ..d
            },
        ),
        (
            "maxFailureLen",
            Limits {
                max_failure_len: 100,
                ..d
            },
        ),
        (
            "maxDrainTextLen",
            Limits {
                max_drain_text_len: 100,
                ..d
            },
        ),
        (
            "maxHelloExtLen",
            Limits {
                max_hello_ext_len: u32::MAX,
                ..d
            },
        ),
        (
            "maxRefusalTextLen",
            Limits {
                max_refusal_text_len: 0,
                ..d
            },
        ),
        (
            "maxOutstanding",
            Limits {
                max_outstanding: 0,
                ..d
            },
        ),
        (
            "initialCredit",
            Limits {
                initial_credit: 0,
                ..d
            },
        ),
    ];
    for (key, limits) in bad {
        let error = limits.check().expect_err(key);
        assert_eq!(error.key, key);
        assert!(
            error
                .to_string()
                .starts_with(&format!("ringrail.transport.{key} = "))
        );
    }
}
