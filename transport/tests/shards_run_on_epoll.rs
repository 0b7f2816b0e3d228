//! Shards without io_uring: chosen by a setting, beside shards with it, bare and hosted.

use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::client::ChunkOptions;
use ringrail_transport::server::StreamManager;
use ringrail_transport::sys::probe::{Needs, probe};
use ringrail_transport::{
    Connection, Engine, IoDriver, ParkMode, ReceivedBytes, Responder, RpcFailure, RpcHandler,
    ShardHandle, TransportClient, TransportConf, TransportContext, TransportServer,
};

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ at >> 8) as u8).collect()
}

/// Echoes requests, after tokio's timer where the shard is hosted; serves chunk `n` of stream 1 from a file, of 2 from memory.
struct Server {
    file: Arc<std::fs::File>,
    hosted: bool,
}

const CHUNK_LEN: usize = 3 << 20;

impl RpcHandler for Server {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        if !self.hosted {
            return reply.reply(body.bytes());
        }
        let (body, reply) = (Bytes::copy_from_slice(body.bytes()), reply.defer());
        let shard = ShardHandle::current().unwrap();
        let spawned = shard.spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            reply.reply(body);
        });
        drop(spawned);
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Server {
    fn get_chunk(
        &self,
        _: &Connection,
        stream_id: u64,
        chunk_index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        let offset = u64::from(chunk_index) * CHUNK_LEN as u64;
        Ok(match stream_id {
            1 => ManagedBuffer::file(Arc::clone(&self.file), offset, CHUNK_LEN as u64),
            _ => ManagedBuffer::from(Bytes::from(content(CHUNK_LEN))),
        })
    }
}

fn engine(driver: IoDriver, park: ParkMode) -> Engine {
    let builder = Engine::builder(TransportConf::default()).shards(1);
    builder.driver(driver).park(park).start().unwrap()
}

fn serve(driver: IoDriver, park: ParkMode) -> (TransportServer, Engine) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content(CHUNK_LEN)).unwrap();
    file.write_all(&content(CHUNK_LEN)).unwrap();
    let file = Arc::new(file);
    let engine = engine(driver, park);
    let context = TransportContext::new(engine.clone(), move || {
        Rc::new(Server {
            file: Arc::clone(&file),
            hosted: park == ParkMode::Hosted,
        })
    });
    let server = context.create_server("127.0.0.1:0".parse().unwrap());
    (server.unwrap(), engine)
}

/// A client, and the context that keeps its shard alive.
fn connect(server: &TransportServer, driver: IoDriver) -> (TransportClient, TransportContext) {
    let context = TransportContext::client_only(engine(driver, ParkMode::Bare));
    let client = context.connect(&server.local_addr().to_string()).unwrap();
    (client, context)
}

fn echo(client: &TransportClient) {
    for len in [0, 1, 64, 5_000, 70_000, 3_000_000] {
        let body = Bytes::from(content(len));
        assert_eq!(client.send_rpc(body.clone()).wait().unwrap()[..], body[..]);
    }
}

#[test]
fn epoll_and_the_chosen_driver_serve_each_other() {
    for (server, client) in [
        (IoDriver::Epoll, IoDriver::Auto),
        (IoDriver::Auto, IoDriver::Epoll),
        (IoDriver::Epoll, IoDriver::Epoll),
    ] {
        let (server, engine) = serve(server, ParkMode::Bare);
        let (client, _context) = connect(&server, client);
        echo(&client);
        let asked: Vec<_> = [(1, 0), (1, 1), (2, 0), (2, 7)]
            .map(|(stream, chunk)| client.fetch_chunk(stream, chunk, &ChunkOptions::default()))
            .into();
        for chunk in asked {
            assert!(chunk.wait().unwrap()[..] == content(CHUNK_LEN)[..]);
        }
        assert_eq!(engine.metrics().requests_in_chunk, 4);
    }
}

#[test]
fn hosted_shards_have_tokio_s_timers() {
    let (server, _engine) = serve(IoDriver::Epoll, ParkMode::Hosted);
    let (client, _context) = connect(&server, IoDriver::Epoll);
    echo(&client);
}

#[test]
fn shards_that_spin_answer() {
    let conf = TransportConf {
        spin_us: 50,
        driver: IoDriver::Epoll,
        ..TransportConf::default()
    };
    let engine = Engine::builder(conf).shards(1).start().unwrap();
    let context = TransportContext::client_only(engine);
    let (server, _engine) = serve(IoDriver::Epoll, ParkMode::Bare);
    echo(&context.connect(&server.local_addr().to_string()).unwrap());
}

#[test]
fn an_engine_tells_which_driver_it_has() {
    assert_eq!(
        engine(IoDriver::Epoll, ParkMode::Bare).driver(),
        IoDriver::Epoll
    );
    let chosen = engine(IoDriver::Auto, ParkMode::Bare).driver();
    assert_eq!(
        chosen,
        probe(&Needs::default()).driver,
        "what `ringrail doctor` says"
    );
}
