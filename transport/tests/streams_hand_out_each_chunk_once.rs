//! One-for-one streams: chunks in order, once each, to the connection that registered them, as chunks or by name.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use ringrail_codec::native::FailureCode;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::client::ChunkOptions;
use ringrail_transport::server::{OneForOneStreamManager, ServerBootstrap, StreamManager};
use ringrail_transport::{
    Connection, ReceivedBytes, RequestError, Responder, RpcHandler, TransportClient, TransportConf,
    TransportContext, TransportServer,
};
use support::{content, engine, eventually};

/// Registers a stream of as many chunks as the request's first byte says; `?` asks how many there are.
#[derive(Default)]
struct Streams {
    manager: OneForOneStreamManager,
}

impl RpcHandler for Streams {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let answer = match body.bytes() {
            [b'?'] => self.manager.len() as u64,
            bytes => {
                let count = u64::from(bytes[0]);
                let chunk = |n| Ok(ManagedBuffer::from(content(n, 100)));
                self.manager.register_stream(from, (0..count).map(chunk))
            }
        };
        reply.reply(&answer.to_be_bytes());
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(&self.manager)
    }
}

/// The first two connections are of one application, further ones of another.
struct Applications;

thread_local!(static CONNECTIONS: Cell<u32> = const { Cell::new(0) });

impl ServerBootstrap for Applications {
    fn bootstrap(&self, from: &Connection, handler: Rc<dyn RpcHandler>) -> Rc<dyn RpcHandler> {
        CONNECTIONS.with(|count| count.set(count.get() + 1));
        let first = CONNECTIONS.with(Cell::get) <= 2;
        from.set_client_id(if first { "app-1" } else { "app-2" });
        handler
    }
}

fn serve() -> (TransportContext, TransportServer) {
    let context = TransportContext::new(engine(TransportConf::default()), || {
        Rc::new(Streams::default())
    });
    let address = "127.0.0.1:0".parse().expect("an address");
    let bootstraps: Vec<Arc<dyn ServerBootstrap>> = vec![Arc::new(Applications)];
    let server = context.create_server_with(address, bootstraps);
    (context, server.expect("a free port"))
}

fn connect(server: &TransportServer) -> (TransportContext, TransportClient) {
    let context = TransportContext::client_only(engine(TransportConf::default()));
    let clients = context.create_client_factory(Vec::new());
    let client = clients.create_client_blocking(&server.local_addr().to_string());
    (context, client.expect("connected"))
}

fn ask(client: &TransportClient, body: &'static [u8]) -> u64 {
    let reply = client.send_rpc(body).wait().expect("an answer");
    u64::from_be_bytes(reply[..].try_into().expect("a number"))
}

fn chunk(client: &TransportClient, id: u64, index: u32) -> Result<Bytes, (FailureCode, String)> {
    let chunk = client
        .fetch_chunk(id, index, &ChunkOptions::default())
        .wait();
    chunk.map(Bytes::from).map_err(refusal)
}

fn refusal(error: RequestError) -> (FailureCode, String) {
    match error {
        RequestError::Remote { failure, .. } => (failure.code(), failure.message().to_owned()),
        other => panic!("the connection did not stay: {other}"),
    }
}

fn is_refused(refused: Result<Bytes, (FailureCode, String)>, code: FailureCode, part: &str) {
    let (had, text) = refused.expect_err("refused");
    assert_eq!(had, code, "{text}");
    assert!(text.contains(part), "{text}");
}

#[test]
fn chunks_out_of_order_are_refused_and_the_stream_stays() {
    let (_context, server) = serve();
    let (_engine, client) = connect(&server);
    let id = ask(&client, &[3]);
    let order = "Received out-of-order chunk index";
    is_refused(chunk(&client, id, 1), FailureCode::OutOfOrder, order);
    assert_eq!(chunk(&client, id, 0).expect("the first"), content(0, 100));
    is_refused(chunk(&client, id, 0), FailureCode::OutOfOrder, order);
    is_refused(chunk(&client, id, u32::MAX), FailureCode::OutOfOrder, order);
    assert_eq!(chunk(&client, id, 1).expect("the next"), content(1, 100));
    assert_eq!(chunk(&client, id, 2).expect("the last"), content(2, 100));
    let gone = "Unknown stream ID";
    is_refused(chunk(&client, id, 3), FailureCode::StreamClosed, gone);
    assert_eq!(ask(&client, b"?"), 0, "the last chunk ends its stream");
}

#[test]
fn a_stream_without_chunks_ends_where_it_is_asked_beyond_its_end() {
    let (_context, server) = serve();
    let (_engine, client) = connect(&server);
    let id = ask(&client, &[0]);
    assert_eq!(ask(&client, b"?"), 1);
    let beyond = "beyond end";
    is_refused(chunk(&client, id, 0), FailureCode::StreamClosed, beyond);
    assert_eq!(ask(&client, b"?"), 0);
}

#[test]
fn chunks_are_streams_by_name_as_well() {
    let (_context, server) = serve();
    let (_engine, client) = connect(&server);
    let id = ask(&client, &[2]);
    let read = |name: &str| -> Result<Bytes, (FailureCode, String)> {
        let mut reader = client.stream_blocking(name, 0).map_err(refusal)?;
        let mut all = Vec::new();
        while let Some(piece) = reader.blocking_next() {
            all.extend_from_slice(&piece.map_err(refusal)?);
        }
        Ok(all.into())
    };
    let order = "Received out-of-order chunk index";
    is_refused(read(&format!("{id}_1")), FailureCode::OutOfOrder, order);
    assert_eq!(
        read(&format!("{id}_0")).expect("the first"),
        content(0, 100)
    );
    assert_eq!(chunk(&client, id, 1).expect("the last"), content(1, 100));
    for name in ["", "_", "1_", "_0", "x_0", "1_-1", "99999999999999999999_0"] {
        is_refused(read(name), FailureCode::NotFound, "was not found");
    }
}

#[test]
fn another_connections_and_another_applications_streams_are_refused() {
    let (_context, server) = serve();
    let (_first_engine, first) = connect(&server);
    let id = ask(&first, &[2]);
    let (_second_engine, second) = connect(&server);
    let unknown = "Unknown stream ID";
    is_refused(chunk(&second, id, 0), FailureCode::StreamClosed, unknown);
    let (_third_engine, third) = connect(&server);
    let stranger = "Client app-2 is not authorized to read stream";
    is_refused(chunk(&third, id, 0), FailureCode::Unauthorized, stranger);
    let named = third.stream_blocking(format!("{id}_0"), 0);
    let named = named.map(|mut reader| reader.blocking_next());
    let error = named.expect("asked").expect("an end").expect_err("refused");
    assert_eq!(refusal(error).0, FailureCode::Unauthorized);
    assert_eq!(chunk(&first, id, 0).expect("its own"), content(0, 100));
}

#[test]
fn the_end_of_a_connection_ends_its_streams_alone() {
    let (_context, server) = serve();
    let (_first_engine, first) = connect(&server);
    let (_second_engine, second) = connect(&server);
    let gone = ask(&first, &[2]);
    let kept = ask(&second, &[2]);
    assert_eq!(ask(&second, b"?"), 2);
    first.close();
    eventually("the stream is gone", || ask(&second, b"?") == 1);
    let unknown = "Unknown stream ID";
    is_refused(chunk(&second, gone, 0), FailureCode::StreamClosed, unknown);
    assert_eq!(chunk(&second, kept, 0).expect("kept"), content(0, 100));
}
