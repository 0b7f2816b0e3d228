//! Helpers shared by the tests over real sockets.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::StreamManager;
use ringrail_transport::spark::Protocols;
use ringrail_transport::{
    Connection, Engine, ParkMode, ReceivedBytes, Responder, RpcFailure, RpcHandler,
    TransportClient, TransportConf, TransportContext, TransportServer,
};

/// Echoes requests; serves chunk `n` of stream `len` as `len` bytes that depend on `n`.
#[derive(Default)]
pub(crate) struct Echo {
    /// Chunks made so far: they are asked for again and again.
    made: RefCell<HashMap<(u64, u32), ManagedBuffer>>,
}

/// The content of a chunk.
pub(crate) fn content(seed: u64, len: usize) -> Bytes {
    (0..len)
        .map(|at| {
            (at as u64 ^ at as u64 >> 8)
                .wrapping_mul(31)
                .wrapping_add(seed) as u8
        })
        .collect()
}

impl RpcHandler for Echo {
    fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        reply.reply(body.bytes());
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Echo {
    fn get_chunk(&self, _: &Connection, len: u64, n: u32) -> Result<ManagedBuffer, RpcFailure> {
        let mut made = self.made.borrow_mut();
        let chunk = made
            .entry((len, n))
            .or_insert_with(|| ManagedBuffer::block(content(u64::from(n), len as usize)));
        Ok(chunk.clone())
    }

    fn open_stream(&self, _: &Connection, name: &str) -> Result<Option<ManagedBuffer>, RpcFailure> {
        Ok(name.parse().ok().map(|len| content(0, len).into()))
    }
}

/// A server on a shard of its own.
pub(crate) struct Side {
    pub(crate) context: TransportContext,
    pub(crate) server: TransportServer,
}

pub(crate) fn serve(conf: TransportConf) -> Side {
    serve_as(conf, Protocols::Native)
}

pub(crate) fn serve_as(conf: TransportConf, protocols: Protocols) -> Side {
    let engine = engine(conf);
    let context = TransportContext::new(engine, || Rc::new(Echo::default()));
    let context = context.with_protocols(protocols);
    let server = context
        .create_server("127.0.0.1:0".parse().expect("an address"))
        .expect("a free port");
    Side { context, server }
}

pub(crate) fn engine(conf: TransportConf) -> Engine {
    Engine::builder(conf)
        .shards(1)
        .unpinned()
        .park(ParkMode::Bare)
        .start()
        .expect("io_uring works here")
}

impl Side {
    pub(crate) fn address(&self) -> String {
        self.server.local_addr().to_string()
    }

    /// A client with an engine of its own, which goes with it.
    pub(crate) fn client(&self) -> (TransportContext, TransportClient) {
        let context = TransportContext::client_only(engine(TransportConf::default()));
        let client = context
            .create_client_factory(Vec::new())
            .create_client_blocking(&self.address())
            .expect("the server is there");
        (context, client)
    }

    /// A client that speaks Spark's protocol, likewise.
    pub(crate) fn spark_client(&self) -> (TransportContext, TransportClient) {
        let context = TransportContext::client_only(engine(TransportConf::default()));
        let client = context
            .create_spark_client_factory(None, Vec::new())
            .create_client_blocking(&self.address())
            .expect("the server is there");
        (context, client)
    }

    /// A bare socket to the server.
    pub(crate) fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("the server is there");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a socket");
        stream
    }

    /// Proves that the server still serves others.
    pub(crate) fn assert_alive(&self) {
        let (_context, client) = self.client();
        assert_eq!(
            &client.send_rpc("alive").wait().expect("an answer")[..],
            b"alive"
        );
    }
}

/// Waits until `holds`; tests that never hold fail by this limit, not by a guess of speed.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < limit, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Writes `bytes` and reads what comes until the server closes.
pub(crate) fn say(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    // The server may close while we still write: what it said before is what counts.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}
