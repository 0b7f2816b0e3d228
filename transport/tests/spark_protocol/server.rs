//! The server of these tests: echoes, chunks, streams, uploads, answers that come late or never.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use ringrail_codec::native::FailureCode;
use ringrail_transport::buf::{Lease, ManagedBuffer, Mapping};
use ringrail_transport::server::{
    DeferredResponder, MergedBlocks, MergedBlocksRequest, StreamManager, UploadSink, UploadStart,
};
use ringrail_transport::spark::{Protocols, ServerAuthentication};
use ringrail_transport::{
    Connection, ReceivedBytes, RequestError, Responder, RpcFailure, RpcHandler, TransportConf,
    TransportContext, TransportServer,
};

use crate::support::{content, engine};

/// An observation of the handler, for the test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    OneWay(Vec<u8>),
    ClientId(Option<String>),
    Inactive,
}

pub(crate) struct Handler {
    seen: Sender<Seen>,
    /// Stream 9 serves this.
    file: Arc<File>,
    late: RefCell<Vec<DeferredResponder>>,
}

impl RpcHandler for Handler {
    /// `fail…` fails, `late…` waits for `now`, `hold…` is never answered; everything else is echoed.
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let bytes = body.bytes();
        if bytes.starts_with(b"fail") {
            let failure = RpcFailure::new(FailureCode::Internal, "it failed");
            return reply.fail(&failure.caused_by("a cause"));
        }
        if bytes.starts_with(b"late") {
            return self.late.borrow_mut().push(reply.defer());
        }
        if bytes == b"now" {
            for late in self.late.borrow_mut().drain(..) {
                late.reply(bytes::Bytes::from_static(b"better late"));
            }
        }
        reply.reply(bytes);
    }

    fn receive_one_way(&self, _: &Connection, body: ReceivedBytes<'_>) {
        let _ = self.seen.send(Seen::OneWay(body.bytes().to_vec()));
    }

    fn receive_stream(
        &self,
        _: &Connection,
        upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, RpcFailure> {
        if upload.meta == b"refuse" {
            return Err(RpcFailure::new(FailureCode::Unsupported, "not taken"));
        }
        Ok(Box::new(Upload {
            meta: upload.meta.to_vec(),
            data: Vec::new(),
        }))
    }

    fn merged_blocks(
        &self,
        _: &Connection,
        request: MergedBlocksRequest<'_>,
    ) -> Result<MergedBlocks, RpcFailure> {
        let text = format!("{request:?}");
        Ok(MergedBlocks {
            num_chunks: 3,
            bitmaps: bytes::Bytes::from(text).into(),
        })
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }

    fn channel_active(&self, connection: &Connection) {
        let id = connection.client_id().map(|id| id.to_string());
        let _ = self.seen.send(Seen::ClientId(id));
    }

    fn channel_inactive(&self, _: &Connection) {
        let _ = self.seen.send(Seen::Inactive);
    }
}

impl StreamManager for Handler {
    /// Chunk `n` of stream `len` has `len` bytes; of stream 9, the file from byte `n` on.
    fn get_chunk(&self, _: &Connection, len: u64, n: u32) -> Result<ManagedBuffer, RpcFailure> {
        if len == 9 {
            let file = ManagedBuffer::whole_file(Arc::clone(&self.file));
            let file =
                file.map_err(|error| RpcFailure::new(FailureCode::SourceIo, error.to_string()))?;
            return Ok(file.slice(u64::from(n), file.len() - u64::from(n)));
        }
        if len > 64 << 20 {
            return Err(RpcFailure::new(FailureCode::StreamClosed, "no such stream"));
        }
        Ok(content(u64::from(n), len as usize).into())
    }

    fn open_stream(
        &self,
        from: &Connection,
        name: &str,
    ) -> Result<Option<ManagedBuffer>, RpcFailure> {
        if name == "file" {
            return Ok(ManagedBuffer::whole_file(Arc::clone(&self.file)).ok());
        }
        if name == "mapped" {
            let mapped = Mapping::of(&self.file).ok();
            return Ok(mapped.and_then(|all| all.slice(0, 100_000)).map(Into::into));
        }
        // A chunk, as Spark's servers name it.
        if let Some((len, n)) = name.split_once('_')
            && let (Ok(len), Ok(n)) = (len.parse(), n.parse())
        {
            return self.get_chunk(from, len, n).map(Some);
        }
        Ok(name.parse().ok().map(|len| content(0, len).into()))
    }
}

/// Answers with its metadata and the bytes it got; fails at the end where the metadata says so.
struct Upload {
    meta: Vec<u8>,
    data: Vec<u8>,
}

impl UploadSink for Upload {
    fn on_data(&mut self, data: Lease) -> Result<(), RpcFailure> {
        self.data.extend_from_slice(&data);
        Ok(())
    }

    fn on_complete(self: Box<Self>, reply: Responder<'_>) {
        if self.meta == b"fail" {
            return reply.fail(&RpcFailure::new(FailureCode::Internal, "failed at its end"));
        }
        let answer = [&self.meta[..], &self.data].concat();
        reply.reply(&answer);
    }

    fn on_failure(&mut self, _: &RequestError) {}
}

/// Bytes of the file that stream 9 serves.
pub(crate) const FILE_LEN: usize = 3 << 20;

pub(crate) struct Server {
    pub(crate) context: TransportContext,
    pub(crate) server: TransportServer,
    pub(crate) seen: Receiver<Seen>,
}

impl Server {
    pub(crate) fn port(&self) -> u16 {
        self.server.port().expect("tcp")
    }

    pub(crate) fn addr(&self) -> String {
        self.server.local_addr().to_string()
    }
}

fn file() -> Arc<File> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&content(9, FILE_LEN)).expect("written");
    Arc::new(file)
}

pub(crate) fn start(conf: TransportConf, auth: Option<ServerAuthentication>) -> Server {
    let (seen, see) = channel();
    let file = file();
    let context = TransportContext::new(engine(conf), move || {
        Rc::new(Handler {
            seen: seen.clone(),
            file: Arc::clone(&file),
            late: RefCell::default(),
        })
    });
    let context = match auth {
        Some(auth) => context.with_spark_authentication(auth),
        None => context.with_protocols(Protocols::Either),
    };
    let server = context
        .create_server("127.0.0.1:0".parse().expect("an address"))
        .expect("a free port");
    Server {
        context,
        server,
        seen: see,
    }
}

pub(crate) fn server() -> Server {
    start(TransportConf::default(), None)
}
