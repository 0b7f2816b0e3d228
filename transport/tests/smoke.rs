//! A server and a client of one process, over real rings and real sockets.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::client::ChunkOptions;
use ringrail_transport::server::{OneForOneStreamManager, StreamManager};
use ringrail_transport::{
    Addr, Connection, Engine, ParkMode, ReceivedBytes, RequestError, Responder, RpcFailure,
    RpcHandler, TransportConf, TransportContext,
};

/// Echoes requests; a request `open N` registers a stream of N chunks of 1 MiB, named by index.
struct Handler {
    streams: OneForOneStreamManager,
}

fn chunk(index: u64, len: usize) -> Bytes {
    (0..len)
        .map(|at| (at as u64).wrapping_mul(31).wrapping_add(index) as u8)
        .collect()
}

impl RpcHandler for Handler {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let text = body.bytes();
        if let Some(count) = text.strip_prefix(b"open ") {
            let count: u64 = std::str::from_utf8(count).unwrap().parse().unwrap();
            let chunks = (0..count).map(|at| Ok(ManagedBuffer::from(chunk(at, 1 << 20))));
            let id = self
                .streams
                .register_stream(from, chunks.collect::<Vec<_>>().into_iter());
            return reply.reply(&id.to_le_bytes());
        }
        reply.reply(text);
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(&self.streams)
    }
}

fn engine(park: ParkMode) -> Engine {
    Engine::builder(TransportConf::default())
        .shards(1)
        .park(park)
        .start()
        .unwrap()
}

fn context(park: ParkMode) -> TransportContext {
    TransportContext::new(engine(park), || {
        Rc::new(Handler {
            streams: OneForOneStreamManager::new(),
        })
    })
}

fn echo_over(park: ParkMode, addr: &str) {
    let server_side = context(park);
    let server = server_side
        .create_server(addr.parse::<Addr>().unwrap())
        .unwrap();
    let client_side = TransportContext::client_only(engine(park));
    let clients = client_side.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    for len in [0, 1, 64, 4096, 5000, 70_000, 300_000, 3_000_000] {
        let body = chunk(7, len);
        let reply = client.send_rpc(body.clone()).wait().unwrap();
        assert_eq!(&reply[..], &body[..], "{len} bytes");
    }
}

#[test]
fn rpcs_of_all_sizes_are_answered_bare() {
    echo_over(ParkMode::Bare, "127.0.0.1:0");
}

#[test]
fn rpcs_of_all_sizes_are_answered_hosted() {
    echo_over(ParkMode::Hosted, "127.0.0.1:0");
}

#[test]
fn rpcs_travel_over_ipv6_and_unix_sockets() {
    echo_over(ParkMode::Bare, "[::1]:0");
    let dir = tempfile::tempdir().unwrap();
    echo_over(
        ParkMode::Bare,
        &format!("unix:{}", dir.path().join("sock").display()),
    );
}

#[test]
fn chunks_come_whole_and_in_order() {
    let server_side = context(ParkMode::Bare);
    let server = server_side
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let client_side = TransportContext::client_only(engine(ParkMode::Bare));
    let clients = client_side.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    let id = client.send_rpc("open 16").wait().unwrap();
    let id = u64::from_le_bytes(id[..].try_into().unwrap());
    let asked: Vec<_> = (0..16)
        .map(|at| client.fetch_chunk(id, at, &ChunkOptions::default()))
        .collect();
    for (at, answer) in asked.into_iter().enumerate() {
        let got = answer.wait().unwrap();
        assert!(got[..] == chunk(at as u64, 1 << 20)[..], "chunk {at}");
    }
    let error = client
        .fetch_chunk(id, 16, &ChunkOptions::default())
        .wait()
        .unwrap_err();
    assert!(error.to_string().contains("Unknown stream"), "{error}");
    let metrics = server_side.engine().metrics();
    assert_eq!(metrics.requests_in_chunk, 17);
}

#[test]
fn a_failure_keeps_its_code_and_causes() {
    struct Failing;
    impl RpcHandler for Failing {
        fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
            match body.bytes() {
                b"fail" => reply.fail(
                    &RpcFailure::new(
                        ringrail_codec::native::FailureCode::NotFound,
                        "no such thing",
                    )
                    .caused_by("it never was"),
                ),
                b"panic" => panic!("on purpose"),
                b"later" => {
                    let reply = reply.defer();
                    std::thread::spawn(move || reply.reply(Bytes::from_static(b"here")));
                }
                _ => drop(reply),
            }
        }
    }
    let engine = engine(ParkMode::Bare);
    let context = TransportContext::new(engine, || Rc::new(Failing));
    let server = context
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let clients = Arc::new(context.create_client_factory(Vec::new()));
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    let fail = client.send_rpc("fail").wait().unwrap_err().to_string();
    assert!(
        fail.contains("no such thing (NotFound); caused by: it never was"),
        "{fail}"
    );
    let panic = client.send_rpc("panic").wait().unwrap_err().to_string();
    assert!(panic.contains("HandlerPanicked"), "{panic}");
    let nothing = client.send_rpc("nothing").wait().unwrap_err().to_string();
    assert!(nothing.contains("NoReply"), "{nothing}");
    assert_eq!(&client.send_rpc("later").wait().unwrap()[..], b"here");
}

#[test]
fn requests_on_a_connection_that_has_ended_say_so_and_may_be_tried_again() {
    let server_side = context(ParkMode::Bare);
    let server = server_side
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let client_side = TransportContext::client_only(engine(ParkMode::Bare));
    let clients = client_side.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    client.close();
    while client.is_active() {
        std::thread::yield_now();
    }
    // The shard takes the connection down in its own time; until then the answer is `Closed`.
    let error = loop {
        match client.send_rpc("late").wait().unwrap_err() {
            RequestError::Closed { .. } => {}
            other => break other,
        }
    };
    assert!(matches!(error, RequestError::NotConnected), "{error}");
    assert!(error.is_retryable());
    let stream = client.stream_blocking("name", 0).unwrap_err();
    assert!(matches!(stream, RequestError::NotConnected), "{stream}");
}
