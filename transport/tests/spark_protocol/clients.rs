//! A client that speaks Spark's protocol, to the server that does: whole, of every kind.

use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::client::ChunkOptions;
use ringrail_transport::server::MergedBlocksRequest;
use ringrail_transport::spark::ClientAuthentication;
use ringrail_transport::{RequestError, TransportClient, TransportConf, TransportContext};

use crate::raw::{Raw, frame, rpc, text};
use crate::server::{FILE_LEN, Server, server};
use crate::support::{content, engine};

pub(crate) fn connect(
    server: &Server,
    auth: Option<ClientAuthentication>,
) -> (TransportContext, TransportClient) {
    let context = TransportContext::client_only(engine(Default::default()));
    let clients = context.create_spark_client_factory(auth, Vec::new());
    let client = clients.create_client_blocking(&server.addr());
    (context, client.expect("connected"))
}

/// Every kind of request, of every size up to `most` that is taken another way.
pub(crate) fn everything_works(client: &TransportClient, most: usize) {
    for len in [0, 1, 4097, 16_384, 70_000, (2 << 20) + 1] {
        let len = most.min(len);
        let body = content(3, len);
        let reply = client.send_rpc(body.clone()).wait().expect("a reply");
        assert!(reply[..] == body[..], "{len} bytes");
    }
    for len in [
        0u64,
        1,
        900,
        16_384,
        65_536,
        65_536,
        1 << 20,
        1 << 20,
        5 << 20,
    ] {
        let len = (most as u64).min(len);
        let chunks: Vec<_> = (0..5)
            .map(|n| client.fetch_chunk(len, n, &ChunkOptions::default()))
            .collect();
        for (n, chunk) in chunks.into_iter().enumerate() {
            let chunk = chunk.wait().expect("a chunk");
            assert!(
                chunk[..] == content(n as u64, len as usize)[..],
                "{len} {n}"
            );
        }
    }
    let file = content(9, FILE_LEN);
    for from in [FILE_LEN.saturating_sub(most), FILE_LEN - 70_000] {
        let chunk = client.fetch_chunk(9, from as u32, &ChunkOptions::default());
        assert!(chunk.wait().expect("a chunk")[..] == file[from..]);
    }
    for (name, expected) in [
        ("0", content(0, 0)),
        ("1", content(0, 1)),
        ("700000", content(0, 700_000)),
        ("file", file.clone()),
    ] {
        assert!(read(client, name).expect("a stream") == expected, "{name}");
    }
    for len in [0, 5, 300_000, 3 << 20] {
        let len = most.min(len);
        let data = content(4, len);
        let upload = client.upload_stream("meta", data.clone().into());
        let reply = upload.wait().expect("taken");
        assert!(
            reply[..] == [b"meta", &data[..]].concat()[..],
            "{len} bytes"
        );
    }
}

pub(crate) fn read(client: &TransportClient, name: &str) -> Result<Vec<u8>, RequestError> {
    let mut reader = client.stream_blocking(name, 0)?;
    let mut all = Vec::new();
    while let Some(piece) = reader.blocking_next() {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

#[test]
fn everything_that_the_protocol_has_works() {
    let server = server();
    let (_context, client) = connect(&server, None);
    everything_works(&client, usize::MAX);
}

#[test]
fn failures_come_to_whom_they_are_for() {
    let server = server();
    let (_context, client) = connect(&server, None);
    let options = ChunkOptions::default();
    let failed = client.send_rpc("fail").wait().expect_err("it fails");
    let RequestError::Remote { failure, .. } = &failed else {
        panic!("{failed}")
    };
    assert_eq!(
        (failure.message(), failure.causes()),
        ("it failed", &["a cause".to_owned()][..])
    );
    let missing = client.fetch_chunk(u64::MAX, 0, &options);
    let there = client.fetch_chunk(100, 7, &options);
    let error = missing.wait().expect_err("no such stream").to_string();
    assert!(error.contains("no such stream"), "{error}");
    assert_eq!(there.wait().expect("a chunk")[..], content(7, 100)[..]);
    let error = read(&client, "nobody")
        .expect_err("no such stream")
        .to_string();
    assert!(error.contains("Stream 'nobody' was not found."), "{error}");
    assert_eq!(read(&client, "12").expect("a stream"), content(0, 12));
    let refused = client.upload_stream("refuse", content(1, 1000).into());
    assert!(
        refused
            .wait()
            .expect_err("refused")
            .to_string()
            .contains("not taken")
    );
}

fn merged(app_id: &str, reduce_id: i32) -> MergedBlocksRequest<'_> {
    MergedBlocksRequest {
        app_id,
        shuffle_id: 2,
        shuffle_merge_id: 3,
        reduce_id,
    }
}

#[test]
fn merged_blocks_are_asked_for() {
    let server = server();
    let (context, client) = connect(&server, None);
    let all: Vec<_> = (0..20)
        .map(|reduce| client.merged_block_meta(&merged("app-1", reduce), None))
        .collect();
    for (reduce, meta) in all.into_iter().enumerate() {
        let meta = meta.wait().expect("known");
        assert_eq!(meta.num_chunks, 3);
        let told = format!("{:?}", merged("app-1", reduce as i32));
        assert_eq!(meta.bitmaps[..], *told.as_bytes());
    }
    let shard = client.shard().index();
    let there = client.clone();
    let asked = context.engine().spawn_on(shard, move |_| async move {
        let here = there.here().expect("its shard");
        let meta = here.merged_block_meta(&merged("x", 0), None).await;
        meta.map(|meta| meta.num_chunks)
    });
    let asked = asked.wait().expect("it ran").expect("known");
    assert_eq!(asked, 3, "a connection asks as well");
    let long = "x".repeat(2000);
    let error = client.merged_block_meta(&merged(&long, 0), None).wait();
    let error = error.expect_err("too long").to_string();
    assert!(error.contains("ringrail.spark.maxAppIdLen"), "{error}");
    let native = server.context.create_client_factory(Vec::new());
    let native = native.create_client_blocking(&server.addr()).expect("open");
    let error = native.merged_block_meta(&merged("app-1", 0), None).wait();
    let error = error.expect_err("not of this protocol");
    assert!(matches!(error, RequestError::NotInNative { .. }), "{error}");
}

/// An answer of another kind under the same number matches no request; nor does one to an abandoned
/// request.
#[test]
fn answers_of_another_kind_are_not_taken_for_merged_blocks() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let context = TransportContext::client_only(engine(Default::default()));
    let clients = context.create_spark_client_factory(None, Vec::new());
    let client = clients
        .create_client_blocking(&format!("127.0.0.1:{port}"))
        .expect("connected");
    let (socket, _) = listener.accept().expect("a connection");
    let mut peer = Raw { socket };
    let meta = client.merged_block_meta(&merged("app-1", 4), None);
    let got = peer.get();
    let numbers = [2i32, 3, 4].map(i32::to_be_bytes).concat();
    assert_eq!(got.kind, 11);
    assert_eq!(got.rest[8..], [&text("app-1"), &numbers[..]].concat());
    let id = &got.rest[..8];
    let rpc = client.send_rpc("other");
    let other = peer.get().rest;
    let count = |chunks: i32| chunks.to_be_bytes();
    // The kinds of answer mixed up: neither is taken.
    peer.send(&frame(4, &[id, &count(3)].concat(), b"rpc"));
    peer.send(&frame(12, &[&other[..8], &count(9)].concat(), b"xyz"));
    // A body that comes in many receives.
    let long = content(3, 300_000);
    peer.send(&frame(12, &[id, &count(-7)].concat(), &long));
    let meta = meta.wait().expect("an answer");
    assert_eq!((meta.num_chunks, &meta.bitmaps[..]), (-7, &long[..]));
    peer.send(&frame(4, &[&other[..8], &count(2)].concat(), b"ok"));
    assert_eq!(rpc.wait().expect("a reply")[..], *b"ok");
    let failed = client.merged_block_meta(&merged("app-1", 5), None);
    let got = peer.get();
    peer.send(&frame(5, &[&got.rest[..8], &text("no")[..]].concat(), &[]));
    let error = failed.wait().expect_err("refused");
    assert!(matches!(error, RequestError::Remote { .. }), "{error}");
    let dropped = client.merged_block_meta(&merged("app-1", 6), None);
    let got = peer.get();
    drop(dropped);
    let last = client.merged_block_meta(&merged("app-1", 7), None);
    let next = peer.get();
    peer.send(&frame(12, &[&got.rest[..8], &count(1)].concat(), b"late"));
    peer.send(&frame(12, &[&next.rest[..8], &count(2)].concat(), b"mine"));
    let meta = last.wait().expect("an answer");
    assert_eq!((meta.num_chunks, &meta.bitmaps[..]), (2, &b"mine"[..]));
}

#[test]
fn what_the_protocol_does_not_know_is_refused_here() {
    let server = server();
    let (_context, client) = connect(&server, None);
    let options = ChunkOptions {
        offset: 5,
        ..ChunkOptions::default()
    };
    let part = client.fetch_chunk(100, 0, &options).wait();
    assert!(
        matches!(part, Err(RequestError::NotInProtocol { .. })),
        "{part:?}"
    );
    let late = client.stream_blocking("100", 5);
    assert!(matches!(late, Err(RequestError::NotInProtocol { .. })));
}

/// Spark's protocol has no parts of chunks: what does not fit is to be had as a stream.
#[test]
fn a_chunk_that_does_not_fit_is_to_be_opened_as_a_stream() {
    let server = server();
    let conf = TransportConf {
        pool_budget: 24 << 20,
        pool_reserve: 8 << 20,
        ..TransportConf::default()
    };
    let context = TransportContext::client_only(engine(conf));
    let clients = context.create_spark_client_factory(None, Vec::new());
    let client = clients
        .create_client_blocking(&server.addr())
        .expect("open");
    let len = 20 << 20;
    let refused = client.fetch_chunk(len, 3, &ChunkOptions::default()).wait();
    let error = refused.expect_err("too long");
    let text = error.to_string();
    let RequestError::ChunkNoRoom { stream, .. } = error else {
        panic!("{error}")
    };
    assert!(text.contains("TransportClient::stream"), "{text}");
    assert!(!text.contains("parts"), "{text}");
    let all = read(&client, &stream).expect("a stream");
    assert!(all == content(3, len as usize));
}

#[test]
fn a_chunk_asked_for_twice_comes_twice() {
    let server = server();
    let (_context, client) = connect(&server, None);
    let options = ChunkOptions::default();
    let both = [(); 2].map(|()| client.fetch_chunk(70_000, 1, &options));
    for chunk in both {
        assert_eq!(chunk.wait().expect("a chunk")[..], content(1, 70_000)[..]);
    }
}

#[test]
fn who_lets_go_of_a_request_does_not_confuse_the_others() {
    let server = server();
    let (_context, client) = connect(&server, None);
    let options = ChunkOptions::default();
    let waits: Vec<_> = (0..40)
        .filter_map(|n| {
            let chunk = client.fetch_chunk(300_000, n, &options);
            (n % 3 != 0).then_some((n, chunk))
        })
        .collect();
    drop(client.stream_blocking("9000000", 0).expect("asked"));
    let upload = client.upload_stream("gone", ManagedBuffer::from(content(1, 4 << 20)));
    drop(upload);
    for (n, chunk) in waits {
        assert_eq!(
            chunk.wait().expect("a chunk")[..],
            content(n.into(), 300_000)[..]
        );
    }
    assert_eq!(read(&client, "77").expect("a stream"), content(0, 77));
    assert_eq!(
        client.send_rpc("here").wait().expect("a reply")[..],
        b"here"[..]
    );
}

/// Spark's driver asks its executors over the connections that they have opened.
#[test]
fn the_side_that_accepted_may_ask_as_well() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let context = TransportContext::new(engine(Default::default()), || {
        std::rc::Rc::new(crate::support::Echo::default())
    });
    let clients = context.create_spark_client_factory(None, Vec::new());
    let client = clients
        .create_client_blocking(&format!("127.0.0.1:{port}"))
        .expect("connected");
    let (socket, _) = listener.accept().expect("a connection");
    let mut peer = Raw { socket };
    let asked = client.send_rpc("from here");
    let got = peer.get();
    assert_eq!(got.kind, 3);
    assert_eq!(
        peer.ask(&rpc(-9, b"from there")),
        crate::raw::Got::rpc_reply(-9, b"from there")
    );
    peer.send(&frame(4, &[&got.rest[..8], &[0, 0, 0, 2]].concat(), b"ok"));
    assert_eq!(asked.wait().expect("a reply")[..], b"ok"[..]);
}

/// A frame that is shorter than the head which is waited for, and then nothing.
#[test]
fn short_frames_are_seen_while_large_ones_are_expected() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let context = TransportContext::client_only(engine(Default::default()));
    let clients = context.create_spark_client_factory(None, Vec::new());
    let client = clients
        .create_client_blocking(&format!("127.0.0.1:{port}"))
        .expect("connected");
    let (socket, _) = listener.accept().expect("a connection");
    let mut peer = Raw { socket };
    let options = ChunkOptions::default();
    let first = client.fetch_chunk(1, 0, &options);
    let second = client.fetch_chunk(1, 1, &options);
    let stream = client.stream_blocking("x", 0).expect("asked");
    for _ in 0..3 {
        peer.get();
    }
    let body = content(0, 100_000);
    let numbers = |n: i32| [&1i64.to_be_bytes()[..], &n.to_be_bytes()].concat();
    peer.send(&frame(1, &numbers(0), &body));
    assert!(first.wait().expect("a chunk")[..] == body[..]);
    // 17 bytes, where 21 are looked for.
    let mut stream = stream;
    peer.send(&frame(8, &[text(""), text("")].concat(), &[]));
    let refused = stream.blocking_next().expect("an answer");
    assert!(
        matches!(refused, Err(RequestError::Remote { .. })),
        "{refused:?}"
    );
    peer.send(&frame(1, &numbers(1), &body));
    assert!(second.wait().expect("a chunk")[..] == body[..]);
}
