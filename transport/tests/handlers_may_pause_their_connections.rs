//! A handler that has to wait for something pauses its connection: requests keep their order, other connections
//! go on, and what ends meanwhile is not asked again.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ringrail_codec::native::FailureCode;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::client::ChunkOptions;
use ringrail_transport::server::{Pause, StreamManager};
use ringrail_transport::spark::Protocols;
use ringrail_transport::{
    Connection, Engine, ParkMode, ReceivedBytes, Responder, RpcFailure, RpcHandler,
    TransportClient, TransportConf, TransportContext, TransportServer,
};

/// The requests that the handler received, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// Pauses at every second access to chunk 1 and the stream `cold`.
struct Slow {
    log: Log,
    pauses: Sender<Pause>,
    warm: Cell<bool>,
}

impl Slow {
    /// Pauses at the first look, and finds it at the second.
    fn look(&self, from: &Connection, what: &str) -> Result<ManagedBuffer, RpcFailure> {
        self.log.lock().unwrap().push(what.to_owned());
        if self.warm.replace(!self.warm.get()) {
            return Ok(Bytes::copy_from_slice(what.as_bytes()).into());
        }
        self.pauses.send(from.pause()).unwrap();
        Err(RpcFailure::new(FailureCode::Internal, "never told"))
    }
}

impl RpcHandler for Slow {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let text = String::from_utf8_lossy(body.bytes()).into_owned();
        self.log.lock().unwrap().push(text);
        reply.reply(body.bytes());
    }

    fn channel_inactive(&self, _: &Connection) {
        self.log.lock().unwrap().push("gone".to_owned());
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Slow {
    fn get_chunk(
        &self,
        from: &Connection,
        _: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        if index == 1 {
            return self.look(from, "chunk 1");
        }
        self.log.lock().unwrap().push(format!("chunk {index}"));
        Ok(Bytes::from_static(b"warm").into())
    }

    fn open_stream(
        &self,
        from: &Connection,
        name: &str,
    ) -> Result<Option<ManagedBuffer>, RpcFailure> {
        self.look(from, name).map(Some)
    }
}

/// A server of one shard, so that all connections share it, and two clients.
struct Ground {
    log: Log,
    pauses: Receiver<Pause>,
    one: TransportClient,
    other: TransportClient,
    engine: Engine,
    _server: TransportServer,
}

fn engine() -> Engine {
    let builder = Engine::builder(TransportConf::default()).shards(1);
    builder.unpinned().park(ParkMode::Bare).start().unwrap()
}

impl Ground {
    fn new(protocol: Protocols) -> Self {
        let log = Log::default();
        let (pauses, paused) = channel();
        let (seen, pauses) = (Arc::clone(&log), Mutex::new(pauses));
        let engine = engine();
        let context = TransportContext::new(engine.clone(), move || {
            Rc::new(Slow {
                log: Arc::clone(&seen),
                pauses: pauses.lock().unwrap().clone(),
                warm: Cell::new(false),
            })
        });
        let context = context.with_protocols(protocol);
        let server = context
            .create_server("127.0.0.1:0".parse().unwrap())
            .unwrap();
        let connect = || {
            let factory = match protocol {
                Protocols::Spark => context.create_spark_client_factory(None, Vec::new()),
                _ => context.create_client_factory(Vec::new()),
            };
            let address = server.local_addr().to_string();
            factory.create_unmanaged_client_blocking(&address).unwrap()
        };
        Self {
            log,
            pauses: paused,
            one: connect(),
            other: connect(),
            engine,
            _server: server,
        }
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

fn rpc(client: &TransportClient, text: &'static str) {
    let reply = client.send_rpc(Bytes::from_static(text.as_bytes())).wait();
    assert_eq!(reply.unwrap().to_vec(), text.as_bytes());
}

#[test]
fn requests_keep_their_order_and_others_go_on() {
    for protocol in [Protocols::Native, Protocols::Spark] {
        let ground = Ground::new(protocol);
        let options = ChunkOptions::default();
        let chunk = |index| ground.one.fetch_chunk(7, index, &options);
        let (cold, warm) = (chunk(1), chunk(2));
        let later = ground.one.send_rpc(Bytes::from_static(b"later"));
        let pause = ground.pauses.recv().unwrap();
        rpc(&ground.other, "meanwhile");
        assert_eq!(ground.log(), ["chunk 1", "meanwhile"]);
        std::thread::spawn(move || drop(pause)).join().unwrap();
        assert_eq!(cold.wait().unwrap().to_vec(), b"chunk 1");
        assert_eq!(warm.wait().unwrap().to_vec(), b"warm");
        assert_eq!(later.wait().unwrap().to_vec(), b"later");
        assert_eq!(ground.log(), ["chunk 1", "chunk 2", "later"]);
    }
}

#[test]
fn streams_wait_as_well() {
    for protocol in [Protocols::Native, Protocols::Spark] {
        let ground = Ground::new(protocol);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut reader = ground.one.stream_blocking("cold", 0).unwrap();
                reader.blocking_next().unwrap().unwrap().to_vec()
            });
            let pause = ground.pauses.recv().unwrap();
            rpc(&ground.other, "meanwhile");
            drop(pause);
            assert_eq!(reading.join().unwrap(), b"cold");
        });
        assert_eq!(ground.log(), ["cold", "meanwhile", "cold"]);
    }
}

#[test]
fn what_is_retracted_or_over_is_not_asked_again() {
    let ground = Ground::new(Protocols::Native);
    let cold = ground.one.fetch_chunk(7, 1, &ChunkOptions::default());
    let pause = ground.pauses.recv().unwrap();
    let frames = ground.engine.metrics().frames_in;
    drop(cold);
    let later = ground.one.send_rpc(Bytes::from_static(b"later"));
    // Until the server has the Cancel and the request; a call is two frames, its answer included.
    let mut calls = 0;
    while ground.engine.metrics().frames_in < frames + 2 + 2 * calls {
        rpc(&ground.other, "meanwhile");
        calls += 1;
    }
    drop(pause);
    assert_eq!(later.wait().unwrap().to_vec(), b"later");
    let log = ground.log();
    let asked = log.iter().filter(|it| *it == "chunk 1").count();
    assert_eq!(asked, 1, "{log:?}");

    // The handler's next look finds it: what is retracted was never looked at again.
    let cold = ground.one.fetch_chunk(7, 1, &ChunkOptions::default());
    assert_eq!(cold.wait().unwrap().to_vec(), b"chunk 1");
    let lost = ground.one.fetch_chunk(7, 1, &ChunkOptions::default());
    let pause = ground.pauses.recv().unwrap();
    ground.one.close();
    assert!(lost.wait().is_err());
    while !ground.log.lock().unwrap().iter().any(|it| it == "gone") {
        rpc(&ground.other, "meanwhile");
    }
    drop(pause);
    rpc(&ground.other, "still there");
    let log = ground.log();
    let asked = log.iter().filter(|it| *it == "chunk 1").count();
    assert_eq!(asked, 2, "{log:?}");
}
