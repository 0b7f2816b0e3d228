//! Each limit is reached and passed by one, and its error names the key.

use ringrail_codec::spark::*;

const SMALL: Limits = Limits {
    max_rpc_len: 64 << 10,
    max_chunk_len: 100,
    max_stream_len: 200,
    max_stream_name_len: 256,
    max_failure_len: 1 << 10,
    max_meta_len: 2 << 10,
    max_app_id_len: 64,
};

/// Frames of every kind, whose text, metadata or body is of this length.
fn frames(len: usize, text: &str) -> Vec<(Frame<'_>, u64)> {
    let (stream_id, chunk_index, request_id) = (1, 2, 3);
    let body_len = len as u64;
    let name = &text[..len.min(256)];
    vec![
        (
            Frame::ChunkFetchSuccess(ChunkFetchSuccess {
                stream_id,
                chunk_index,
            }),
            body_len,
        ),
        (Frame::RpcRequest(RpcRequest { request_id }), body_len),
        (Frame::RpcResponse(RpcResponse { request_id }), body_len),
        (Frame::OneWayMessage(OneWayMessage), body_len),
        (
            Frame::MergedBlockMetaSuccess(MergedBlockMetaSuccess {
                request_id,
                num_chunks: 1,
            }),
            body_len,
        ),
        (
            Frame::StreamResponse(StreamResponse {
                stream_id: "s",
                byte_count: body_len,
            }),
            body_len,
        ),
        (
            Frame::UploadStream(UploadStream {
                request_id,
                meta: b"",
                byte_count: body_len,
            }),
            body_len,
        ),
        (
            Frame::ChunkFetchFailure(ChunkFetchFailure {
                stream_id,
                chunk_index,
                error: text,
            }),
            0,
        ),
        (
            Frame::RpcFailure(RpcFailure {
                request_id,
                error: text,
            }),
            0,
        ),
        (
            Frame::StreamFailure(StreamFailure {
                stream_id: name,
                error: text,
            }),
            0,
        ),
        (Frame::StreamRequest(StreamRequest { stream_id: text }), 0),
        (
            Frame::UploadStream(UploadStream {
                request_id,
                meta: text.as_bytes(),
                byte_count: 0,
            }),
            0,
        ),
        (
            Frame::MergedBlockMetaRequest(MergedBlockMetaRequest {
                request_id,
                app_id: text,
                shuffle_id: 0,
                shuffle_merge_id: 0,
                reduce_id: 0,
            }),
            0,
        ),
    ]
}

/// The key and the limit of each of [`frames`].
const BOUNDS: [(&str, usize); 13] = [
    ("ringrail.spark.maxChunkLen", 100),
    ("ringrail.spark.maxRpcLen", 64 << 10),
    ("ringrail.spark.maxRpcLen", 64 << 10),
    ("ringrail.spark.maxRpcLen", 64 << 10),
    ("ringrail.spark.maxRpcLen", 64 << 10),
    ("ringrail.spark.maxStreamLen", 200),
    ("ringrail.spark.maxStreamLen", 200),
    ("ringrail.spark.maxFailureLen", 1 << 10),
    ("ringrail.spark.maxFailureLen", 1 << 10),
    ("ringrail.spark.maxFailureLen", 1 << 10),
    ("ringrail.spark.maxStreamNameLen", 256),
    ("ringrail.spark.maxMetaLen", 2 << 10),
    ("ringrail.spark.maxAppIdLen", 64),
];

fn decode(frame: &Frame<'_>, body_len: u64) -> Result<(), FrameError> {
    let mut out = vec![0; frame.head_len()];
    frame.encode_head(body_len, &mut out).expect("room");
    let step = decode_head(&out, &SMALL)?;
    assert!(matches!(step, Step::Head(head) if head.body_len == body_len));
    Ok(())
}

#[test]
fn every_limit_is_reached_and_not_passed() {
    assert_eq!(SMALL.check(), Ok(()));
    for (i, (key, limit)) in BOUNDS.into_iter().enumerate() {
        let text = "x".repeat(limit);
        let (frame, body_len) = frames(limit, &text)[i];
        assert_eq!(decode(&frame, body_len), Ok(()), "{frame:?}");
        let text = "x".repeat(limit + 1);
        let (frame, body_len) = frames(limit + 1, &text)[i];
        let error = decode(&frame, body_len).expect_err(key);
        assert!(matches!(error, FrameError::BeyondLimit { .. }), "{error}");
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn a_frame_beyond_its_limit_is_refused_by_its_first_nine_bytes() {
    let head = RpcFailure {
        request_id: 1,
        error: &"x".repeat(2 << 10),
    };
    let mut out = vec![0; head.encoded_len()];
    head.encode(&mut out).expect("room");
    assert!(decode_head(&out[..8], &SMALL).is_ok());
    assert!(decode_head(&out[..9], &SMALL).is_err());
}

#[test]
fn the_longest_head_is_of_the_failures() {
    let limits = Limits::DEFAULT;
    assert_eq!(limits.max_head_len(), 9 + 4 + (4 << 10) + 4 + (1 << 20));
    for kind in Kind::ALL {
        assert!(limits.max_head(kind) <= limits.max_head_len(), "{kind}");
    }
    assert_eq!(limits.max_body(Kind::ChunkFetchSuccess), 2_147_483_633);
}

#[test]
fn limits_outside_of_the_protocol_are_refused_with_their_key() {
    let d = Limits::DEFAULT;
    assert_eq!(d.check(), Ok(()));
    let bad = [
        (
            "ringrail.spark.maxRpcLen",
            Limits {
                max_rpc_len: 1,
                ..d
            },
        ),
        (
            "ringrail.spark.maxChunkLen",
            Limits {
                max_chunk_len: u32::MAX,
                ..d
            },
        ),
        (
            "ringrail.spark.maxStreamLen",
            Limits {
                max_stream_len: 0,
                ..d
            },
        ),
        (
            "ringrail.spark.maxStreamNameLen",
            Limits {
                max_stream_name_len: 8,
                ..d
            },
        ),
        (
            "ringrail.spark.maxFailureLen",
            Limits {
                max_failure_len: u32::MAX,
                ..d
            },
        ),
        (
            "ringrail.spark.maxMetaLen",
            Limits {
                max_meta_len: 0,
                ..d
            },
        ),
        (
            "ringrail.spark.maxAppIdLen",
            Limits {
                max_app_id_len: 1 << 20,
                ..d
            },
        ),
    ];
    for (key, limits) in bad {
        let error = limits.check().expect_err(key);
        assert_eq!(error.key, key);
        assert!(
            error.to_string().starts_with(&format!("{key} = ")),
            "{error}"
        );
    }
}
