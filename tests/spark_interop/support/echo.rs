//! A ringrail server that does what the Java peers' server does (`Handler.java`, `Content.java`), so
//! that the same questions can be asked of either.

use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ringrail::codec::native::FailureCode;
use ringrail::transport::buf::{Lease, ManagedBuffer};
use ringrail::transport::server::{DeferredResponder, StreamManager, UploadSink, UploadStart};
use ringrail::transport::spark::{Protocols, ServerAuthentication};
use ringrail::{
    Connection, Engine, ParkMode, ReceivedBytes, RequestError, Responder, RpcFailure, RpcHandler,
    TransportConf, TransportContext, TransportServer,
};
use sha2::{Digest, Sha256};

use super::pattern;

/// Length of a chunk.
pub(crate) const CHUNK_LEN: u64 = 300_007;
/// Length of the source of chunks and streams.
pub(crate) const SOURCE_LEN: u64 = 10 * CHUNK_LEN;

/// A running server.
pub(crate) struct EchoServer {
    pub(crate) port: u16,
    one_ways: Arc<AtomicU64>,
    _server: TransportServer,
    _context: TransportContext,
}

impl EchoServer {
    /// Serves `source`, which holds the pattern, to peers that speak either protocol, or to those
    /// that authenticate.
    pub(crate) fn start(source: ManagedBuffer, auth: Option<ServerAuthentication>) -> Self {
        let one_ways = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&one_ways);
        let context = TransportContext::new(engine(), move || {
            Rc::new(Handler {
                source: source.clone(),
                one_ways: Arc::clone(&count),
                silent: Default::default(),
            })
        });
        let context = match auth {
            Some(auth) => context.with_spark_authentication(auth),
            None => context.with_protocols(Protocols::Either),
        };
        let addr = "127.0.0.1:0".parse().expect("an address");
        let server = context.create_server(addr).expect("a port");
        let text = server.local_addr().to_string();
        let port = text.rsplit(':').next().and_then(|port| port.parse().ok());
        Self {
            port: port.expect("a port"),
            one_ways,
            _server: server,
            _context: context,
        }
    }

    /// One-way messages so far.
    pub(crate) fn one_ways(&self) -> u64 {
        self.one_ways.load(Ordering::SeqCst)
    }
}

/// One shard that leaves the processors to Java.
pub(crate) fn engine() -> Engine {
    let engine = Engine::builder(TransportConf::default()).shards(1);
    let engine = engine.unpinned().park(ParkMode::Bare).start();
    engine.unwrap_or_else(|error| panic!("{error}"))
}

/// The source in memory.
pub(crate) fn memory() -> ManagedBuffer {
    Bytes::from(pattern(0, SOURCE_LEN as usize)).into()
}

/// The source in a file.
pub(crate) fn file() -> ManagedBuffer {
    use std::io::Write;
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&pattern(0, SOURCE_LEN as usize))
        .expect("room");
    let file: Arc<File> = Arc::new(file);
    ManagedBuffer::whole_file(file).expect("a file")
}

struct Handler {
    source: ManagedBuffer,
    one_ways: Arc<AtomicU64>,
    /// Requests that are never answered.
    silent: std::cell::RefCell<Vec<DeferredResponder>>,
}

fn failure(text: &str) -> RpcFailure {
    RpcFailure::new(FailureCode::Internal, text.to_owned())
}

impl RpcHandler for Handler {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        match body.bytes() {
            b"!never" => self.silent.borrow_mut().push(reply.defer()),
            b"!close" => {
                self.silent.borrow_mut().push(reply.defer());
                from.close();
            }
            bytes => match bytes.strip_prefix(b"!fail ") {
                Some(text) => reply.fail(&failure(&String::from_utf8_lossy(text))),
                None => reply.reply(bytes),
            },
        }
    }

    fn receive_one_way(&self, _: &Connection, _: ReceivedBytes<'_>) {
        self.one_ways.fetch_add(1, Ordering::SeqCst);
    }

    fn receive_stream(
        &self,
        _: &Connection,
        upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, RpcFailure> {
        if upload.meta == b"!refuse" {
            return Err(failure("uploads are refused"));
        }
        Ok(Box::new(Sink {
            fails: upload.meta == b"!fail",
            len: 0,
            sha: Sha256::new(),
        }))
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Handler {
    fn get_chunk(
        &self,
        _: &Connection,
        stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        let number = stream_id.wrapping_add(u64::from(index)) % (SOURCE_LEN / CHUNK_LEN);
        if index > i32::MAX as u32 {
            return Err(failure(&format!("no chunk {index} of stream {stream_id}")));
        }
        Ok(self.source.slice(number * CHUNK_LEN, CHUNK_LEN))
    }

    fn open_stream(&self, _: &Connection, name: &str) -> Result<Option<ManagedBuffer>, RpcFailure> {
        if name == "empty" {
            return Ok(Some(Bytes::new().into()));
        }
        let piece = name.split_once('/').and_then(|(offset, len)| {
            Some(self.source.slice(offset.parse().ok()?, len.parse().ok()?))
        });
        Ok(piece)
    }
}

/// Answers with length and digest, as the Java server does.
struct Sink {
    fails: bool,
    len: usize,
    sha: Sha256,
}

impl UploadSink for Sink {
    fn on_data(&mut self, data: Lease) -> Result<(), RpcFailure> {
        self.len += data.len();
        self.sha.update(&data[..]);
        Ok(())
    }

    fn on_complete(self: Box<Self>, reply: Responder<'_>) {
        if self.fails {
            return reply.fail(&failure("the upload is not wanted after all"));
        }
        let digest = self.sha.finalize();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        reply.reply(format!("{} {hex}", self.len).as_bytes());
    }

    fn on_failure(&mut self, _: &RequestError) {}
}
