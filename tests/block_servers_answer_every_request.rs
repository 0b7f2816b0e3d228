//! A block server answers whatever it is asked, well or ill: one reply per request, each bound
//! holds, and the connection survives.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::sync::Arc;

use ringrail::block::digest::{Chunking, Digest};
use ringrail::block::{
    BlockClient, BlockError, BlockId, BlockRequest, ChunkRange, DigestReply, EntryKind,
    MAX_DIGEST_BATCH, MAX_OPEN_BATCH, MAX_STREAMS, OpenReply,
};
use ringrail::codec::archive::decode;
use ringrail::codec::native::FailureCode;
use ringrail::{Engine, RequestError, TransportContext, TransportServer};
use support::{CHUNK, data, engine, memory, serve, serve_store, write};

/// A connection, and the engine that it lives on.
struct Client {
    blocks: BlockClient,
    _engine: Engine,
}

impl Deref for Client {
    type Target = BlockClient;

    fn deref(&self) -> &BlockClient {
        &self.blocks
    }
}

fn client(server: &TransportServer) -> Client {
    let engine = engine();
    let clients = TransportContext::client_only(engine.clone()).create_client_factory(Vec::new());
    let address = server.local_addr().to_string();
    let blocks = BlockClient::new(clients.create_client_blocking(&address).unwrap());
    Client {
        blocks,
        _engine: engine,
    }
}

fn id(text: &str) -> BlockId {
    text.parse().unwrap()
}

fn code_of(error: RequestError) -> FailureCode {
    match error {
        RequestError::Remote { failure, .. } => failure.code(),
        other => panic!("{other}"),
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T, BlockError>) -> FailureCode {
    outcome.unwrap_err().code().unwrap()
}

#[test]
fn chunks_and_digests_are_those_of_the_file() {
    let from = tempfile::tempdir().unwrap();
    let len = 5 * CHUNK + 77;
    write(from.path(), "file", len);
    let server = serve(from.path());
    let client = client(&server);
    let opened = client.open_one(&id("file"), CHUNK as u32).unwrap();
    assert_eq!(opened.stamp.len, len as u64);
    let mut whole = Vec::new();
    for index in [5, 0, 3, 1, 4, 2, 2] {
        let chunk = client
            .fetch_chunk(opened.stream, index, None)
            .wait()
            .unwrap();
        let at = index as usize * CHUNK;
        assert_eq!(
            chunk[..],
            data("file", len)[at..len.min(at + CHUNK)],
            "chunk {index}"
        );
        whole.push(chunk.len());
    }
    let range = ChunkRange {
        stream: opened.stream,
        first: 0,
        count: 6,
    };
    let reply: DigestReply = client.digests(vec![range]).wait().unwrap();
    let digests: &Vec<Digest> = reply.outcomes[0].as_ref().unwrap();
    let cut = Chunking::new(len as u64, CHUNK as u32).unwrap();
    assert_eq!(
        cut.root(digests),
        Some(*blake3::hash(&data("file", len)).as_bytes())
    );
}

#[test]
fn manifests_have_digests_where_they_are_asked_for() {
    let from = tempfile::tempdir().unwrap();
    for len in [0, 1, 100_000] {
        write(from.path(), &format!("dir/{len}"), len);
    }
    let server = serve(from.path());
    let client = client(&server);
    let entries = client.entries(&BlockId::ROOT, true).unwrap();
    let digests: BTreeMap<Vec<u8>, Digest> = entries
        .into_iter()
        .filter_map(|entry| match entry.kind {
            EntryKind::File { digest } => Some((entry.path, digest.unwrap())),
            _ => None,
        })
        .collect();
    let expected = [0, 1, 100_000].map(|len| {
        let name = format!("dir/{len}");
        (
            name.clone().into_bytes(),
            *blake3::hash(&data(&name, len)).as_bytes(),
        )
    });
    assert_eq!(digests, BTreeMap::from(expected));
    let without = client.entries(&BlockId::ROOT, false).unwrap();
    assert!(
        without
            .iter()
            .all(|entry| !matches!(entry.kind, EntryKind::File { digest: Some(_) }))
    );
}

#[test]
fn bounds_of_a_request_hold_and_the_connection_stays() {
    let server = serve_store(Arc::new(memory(&[("a", 10)])));
    let client = client(&server);
    let raw = client.transport().clone();
    let send = |request: &BlockRequest| raw.send_archive(request, None).wait();

    let garbage = raw.send_rpc(vec![0xff; 64]).wait().unwrap_err();
    assert_eq!(code_of(garbage), FailureCode::BadArchive);
    let nothing = raw.send_rpc(Vec::new()).wait().unwrap_err();
    assert_eq!(code_of(nothing), FailureCode::BadArchive);

    let open = |count| BlockRequest::Open {
        ids: vec![b"a".to_vec(); count],
        chunk_len: 1 << 20,
    };
    let reply: OpenReply = decode(&send(&open(MAX_OPEN_BATCH)).unwrap()).unwrap();
    assert!(reply.outcomes.iter().all(Result::is_ok));
    let stream = reply.outcomes[0].as_ref().unwrap().stream;
    assert_eq!(
        code_of(send(&open(MAX_OPEN_BATCH + 1)).unwrap_err()),
        FailureCode::TooLarge
    );
    let reply: OpenReply = decode(&send(&open(0)).unwrap()).unwrap();
    assert!(reply.outcomes.is_empty());

    let digests = |of| send(&BlockRequest::Digests { of });
    let range = |first, count| ChunkRange {
        stream,
        first,
        count,
    };
    let many = digests(vec![range(0, 1); MAX_DIGEST_BATCH + 1]).unwrap_err();
    assert_eq!(code_of(many), FailureCode::TooLarge);
    let many = digests(vec![range(0, u32::MAX), range(0, u32::MAX)]).unwrap_err();
    assert_eq!(code_of(many), FailureCode::TooLarge);
    let empty = digests(vec![range(0, 0); MAX_DIGEST_BATCH + 1]).unwrap_err();
    assert_eq!(
        code_of(empty),
        FailureCode::TooLarge,
        "empty ranges count too"
    );
    let reply: DigestReply =
        decode(&digests(vec![range(1, 1), range(u32::MAX, 3), range(0, 1)]).unwrap()).unwrap();
    let codes: Vec<_> = reply
        .outcomes
        .iter()
        .map(|found| found.as_ref().err().map(|e| e.code))
        .collect();
    let wrong = Some(FailureCode::InvalidArgument.to_wire());
    assert_eq!(codes, [wrong, wrong, None]);

    for bad in [0, 1, 5000, u32::MAX] {
        let outcome = client.open_one(&id("a"), bad);
        assert_eq!(
            code(outcome),
            FailureCode::InvalidArgument,
            "chunks of {bad} bytes"
        );
    }
    let behind = client.fetch_chunk(stream, 1, None).wait().unwrap_err();
    assert_eq!(code_of(behind), FailureCode::InvalidArgument);
    let never = client.fetch_chunk(u64::MAX, 0, None).wait().unwrap_err();
    assert_eq!(code_of(never), FailureCode::StreamClosed);
    assert_eq!(
        &client.ping(b"still here".to_vec()).wait().unwrap()[..],
        b"still here"
    );
}

#[test]
fn streams_of_a_connection_are_bounded_and_closing_gives_room() {
    let server = serve_store(Arc::new(memory(&[("a", 10)])));
    let client = client(&server);
    let ids = vec![id("a"); MAX_OPEN_BATCH];
    let mut streams = Vec::new();
    while streams.len() < MAX_STREAMS as usize {
        let reply = client.open(&ids, 1 << 20).wait().unwrap();
        streams.extend(
            reply
                .outcomes
                .into_iter()
                .map(|outcome| outcome.unwrap().stream),
        );
    }
    let refused = client.open_one(&id("a"), 1 << 20).unwrap_err();
    assert_eq!(refused.code(), Some(FailureCode::Busy));
    assert!(refused.is_retryable());
    client.close(vec![streams[7]]);
    client.open_one(&id("a"), 1 << 20).unwrap();
    let closed = client.fetch_chunk(streams[7], 0, None).wait().unwrap_err();
    assert_eq!(code_of(closed), FailureCode::StreamClosed);
    assert!(client.fetch_chunk(streams[8], 0, None).wait().is_ok());
}

#[test]
fn a_file_that_was_shortened_fails_its_chunk_only() {
    let from = tempfile::tempdir().unwrap();
    write(from.path(), "file", 4 * CHUNK);
    let server = serve(from.path());
    let client = client(&server);
    let opened = client.open_one(&id("file"), CHUNK as u32).unwrap();
    fs::File::options()
        .write(true)
        .open(from.path().join("file"))
        .unwrap()
        .set_len(CHUNK as u64 + 10)
        .unwrap();
    assert_eq!(
        client
            .fetch_chunk(opened.stream, 0, None)
            .wait()
            .unwrap()
            .len(),
        CHUNK
    );
    let gone = client
        .fetch_chunk(opened.stream, 3, None)
        .wait()
        .unwrap_err();
    assert_eq!(code_of(gone), FailureCode::SourceTruncated);
    let range = ChunkRange {
        stream: opened.stream,
        first: 2,
        count: 1,
    };
    let digests = client.digests(vec![range]).wait().unwrap();
    let refusal = digests.outcomes[0].as_ref().unwrap_err();
    assert_eq!(refusal.code, FailureCode::SourceTruncated.to_wire());
    assert!(
        client.ping(Vec::new()).wait().is_ok(),
        "the connection stays"
    );
}

#[test]
fn a_replaced_file_is_another_version() {
    let from = tempfile::tempdir().unwrap();
    write(from.path(), "file", 100);
    let server = serve(from.path());
    let client = client(&server);
    let first = client.open_one(&id("file"), 1 << 20).unwrap();
    let time = fs::metadata(from.path().join("file"))
        .unwrap()
        .modified()
        .unwrap();
    fs::write(from.path().join("other"), vec![7; 100]).unwrap();
    let other = fs::File::options()
        .append(true)
        .open(from.path().join("other"))
        .unwrap();
    other.set_modified(time).unwrap();
    fs::rename(from.path().join("other"), from.path().join("file")).unwrap();
    let second = client.open_one(&id("file"), 1 << 20).unwrap();
    assert!(
        !first.stamp.same_content(&second.stamp),
        "same length, same time, another file"
    );
    let old = client.fetch_chunk(first.stream, 0, None).wait().unwrap();
    assert_eq!(old[..], data("file", 100), "what is open stays what it was");
}

#[test]
fn answers_can_be_awaited_in_any_runtime() {
    let server = serve_store(Arc::new(memory(&[("a", 10)])));
    let client = client(&server);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let chunk = runtime.block_on(async {
        let reply = client.open([&id("a")], 1 << 20).await?;
        let opened = reply.outcomes[0].as_ref().unwrap();
        client
            .fetch_chunk(opened.stream, 0, Some(10))
            .await
            .map_err(BlockError::from)
    });
    assert_eq!(chunk.unwrap()[..], data("a", 10));
}
