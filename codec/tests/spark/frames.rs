//! Every frame against the bytes that Spark writes for it, in both directions.

use ringrail_codec::spark::*;
use serde_json::Value;

use crate::stored::{self, bytes, list, named, number, text};

/// The frame that a fixture tells of.
fn frame(fixture: &Value) -> Frame<'_> {
    let kind = Kind::try_from(number(fixture, "type") as u8).expect("a kind");
    let of = &fixture["fields"];
    let stream_id = || number(of, "stream_id");
    let chunk_index = || number(of, "chunk_index") as i32;
    let request_id = || number(of, "request_id");
    let error = || text(of, "error");
    let name = || text(of, "stream_id");
    let int = |name| number(of, name) as i32;
    match kind {
        Kind::ChunkFetchRequest => Frame::ChunkFetchRequest(ChunkFetchRequest {
            stream_id: stream_id(),
            chunk_index: chunk_index(),
        }),
        Kind::ChunkFetchSuccess => Frame::ChunkFetchSuccess(ChunkFetchSuccess {
            stream_id: stream_id(),
            chunk_index: chunk_index(),
        }),
        Kind::ChunkFetchFailure => Frame::ChunkFetchFailure(ChunkFetchFailure {
            stream_id: stream_id(),
            chunk_index: chunk_index(),
            error: error(),
        }),
        Kind::RpcRequest => Frame::RpcRequest(RpcRequest {
            request_id: request_id(),
        }),
        Kind::RpcResponse => Frame::RpcResponse(RpcResponse {
            request_id: request_id(),
        }),
        Kind::RpcFailure => Frame::RpcFailure(RpcFailure {
            request_id: request_id(),
            error: error(),
        }),
        Kind::StreamRequest => Frame::StreamRequest(StreamRequest { stream_id: name() }),
        Kind::StreamResponse => Frame::StreamResponse(StreamResponse {
            stream_id: name(),
            byte_count: number(of, "byte_count") as u64,
        }),
        Kind::StreamFailure => Frame::StreamFailure(StreamFailure {
            stream_id: name(),
            error: error(),
        }),
        Kind::OneWayMessage => Frame::OneWayMessage(OneWayMessage),
        Kind::UploadStream => Frame::UploadStream(UploadStream {
            request_id: request_id(),
            meta: bytes(of, "meta").leak(),
            byte_count: bytes(of, "body").len() as u64,
        }),
        Kind::MergedBlockMetaRequest => Frame::MergedBlockMetaRequest(MergedBlockMetaRequest {
            request_id: request_id(),
            app_id: text(of, "app_id"),
            shuffle_id: int("shuffle_id"),
            shuffle_merge_id: int("shuffle_merge_id"),
            reduce_id: int("reduce_id"),
        }),
        Kind::MergedBlockMetaSuccess => Frame::MergedBlockMetaSuccess(MergedBlockMetaSuccess {
            request_id: request_id(),
            num_chunks: int("num_chunks"),
        }),
    }
}

fn body(fixture: &Value) -> Vec<u8> {
    match &fixture["fields"]["body"] {
        Value::Null => Vec::new(),
        _ => bytes(&fixture["fields"], "body"),
    }
}

#[test]
fn spark_s_frames_are_written_byte_for_byte() {
    let stored = stored::frames();
    let mut kinds = Vec::new();
    for fixture in list(&stored, "frames") {
        let (frame, body) = (frame(fixture), body(fixture));
        let mut out = vec![0xcc; 200];
        let len = frame
            .encode_head(body.len() as u64, &mut out)
            .expect("room");
        assert_eq!(len, frame.head_len(), "{}", fixture["name"]);
        out.truncate(len);
        out.extend(body);
        assert_eq!(out, bytes(fixture, "hex"), "{}", fixture["name"]);
        kinds.push(frame.kind());
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, Kind::ALL);
}

#[test]
fn spark_s_frames_are_read_in_place() {
    let stored = stored::frames();
    for fixture in list(&stored, "frames") {
        let wire = bytes(fixture, "hex");
        let step = decode_head(&wire, &Limits::DEFAULT).expect("a frame");
        let Step::Head(head) = step else {
            panic!("{}: {step:?}", fixture["name"]);
        };
        assert_eq!(head.frame, frame(fixture), "{}", fixture["name"]);
        let range = head.body();
        assert_eq!(
            &wire[range.start as usize..range.end as usize],
            body(fixture)
        );
        assert_eq!(range.end, wire.len() as u64, "{}", fixture["name"]);
        assert_eq!(
            head.frame.kind().body_in_frame(),
            fixture["body_in_frame"].as_bool().expect("told")
        );
        let behind = number(fixture, "bytes_after_frame");
        let counted = number(fixture, "frame_length_field");
        assert_eq!(counted + behind, wire.len() as i64, "{}", fixture["name"]);
    }
}

#[test]
fn a_head_is_known_before_its_body_has_come() {
    let stored = stored::frames();
    let fixture = named(list(&stored, "frames"), "ChunkFetchSuccess");
    let wire = bytes(fixture, "hex");
    let head = ChunkFetchSuccess::HEAD_LEN;
    for len in 0..head {
        let at_least = if len < 9 { 9 } else { head };
        let step = decode_head(&wire[..len], &Limits::DEFAULT).expect("its beginning is good");
        assert_eq!(step, Step::NeedMore { at_least }, "{len} bytes");
    }
    let step = decode_head(&wire[..head], &Limits::DEFAULT).expect("a head");
    assert!(matches!(step, Step::Head(head) if head.body_len == 3 && head.len == 21));
}

#[test]
fn no_frame_is_written_that_no_reader_takes() {
    let most = u64::from(Limits::MAX_BODY_LEN);
    let request = RpcRequest { request_id: 1 };
    let head = request.head(most).expect("the largest frame");
    assert_eq!(head[..8], (i64::from(i32::MAX) - 1 + 8).to_be_bytes());
    let limits = Limits {
        max_rpc_len: Limits::MAX_BODY_LEN,
        ..Limits::DEFAULT
    };
    let step = decode_head(&head, &limits).expect("every reader takes it");
    assert!(matches!(step, Step::Head(head) if head.body_len == most));
    let error = request.head(most + 1).expect_err("2 GiB");
    assert_eq!((error.kind, error.len), (Kind::RpcRequest, most + 1 + 21));
    assert!(request.head(u64::MAX).is_err());
    let name = "s1";
    let stream = StreamResponse {
        stream_id: name,
        byte_count: 1 << 63,
    };
    let error = stream.encode(&mut [0; 64]).expect_err("a negative count");
    assert!(matches!(error, EncodeError::TooLarge(_)), "{error}");
}

#[test]
fn a_buffer_that_is_too_short_is_left_alone() {
    let failure = RpcFailure {
        request_id: 1,
        error: "no",
    };
    let mut out = [7; 22];
    let error = failure.encode(&mut out).expect_err("one byte short");
    assert_eq!(error, EncodeError::NoRoom(NoRoom { need: 23, room: 22 }));
    assert_eq!(out, [7; 22]);
}

#[test]
fn requests_and_answers_are_told_apart() {
    let requests: Vec<u8> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.is_request())
        .map(|kind| kind as u8)
        .collect();
    assert_eq!(requests, [0, 3, 6, 9, 10, 11]);
}
