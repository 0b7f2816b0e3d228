//! A file served in chunks, fetched with several chunks in flight beside the RPC that opened it.
//!
//! ```sh
//! cargo run --example chunks_of_a_file
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use ringrail::codec::native::FailureCode;
use ringrail::transport::buf::ManagedBuffer;
use ringrail::transport::client::{ChunkOptions, RequestFuture};
use ringrail::transport::server::{OneForOneStreamManager, StreamManager};
use ringrail::{
    Checksum, Connection, Engine, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportConf,
    TransportContext,
};

/// Bytes of a chunk; from 256 KiB on, `sendfile` moves them.
const CHUNK_LEN: u64 = 512 << 10;
/// Chunks asked for at a time.
const IN_FLIGHT: usize = 4;

/// Opens the file as a stream of chunks for whoever asks, and serves the chunks.
struct FileHandler {
    file: Arc<File>,
    len: u64,
    streams: OneForOneStreamManager,
}

impl RpcHandler for FileHandler {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        if body.bytes() != b"open" {
            let failure = RpcFailure::new(FailureCode::InvalidArgument, "say `open`");
            return reply.fail(&failure);
        }
        let (file, len) = (Arc::clone(&self.file), self.len);
        let count = len.div_ceil(CHUNK_LEN);
        let chunks = (0..count).map(move |index| {
            let offset = index * CHUNK_LEN;
            let part = CHUNK_LEN.min(len - offset);
            Ok(ManagedBuffer::file(Arc::clone(&file), offset, part))
        });
        let stream = self.streams.register_stream(from, chunks);
        // The reply is an rkyv archive, written in the send buffer.
        reply.reply_archive(&(stream, count as u32, len));
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(&self.streams)
    }
}

/// Fetches a file of `content`; what came, and how many of its bytes no user space copied.
pub(crate) fn run(content: &[u8]) -> Result<(Vec<u8>, u64), Box<dyn Error>> {
    let mut file = tempfile::tempfile()?;
    file.write_all(content)?;
    let (file, len) = (Arc::new(file), content.len() as u64);

    // A file must be read to be summed; without sums the kernel sends it by itself.
    let conf = TransportConf {
        checksum: Checksum::Never,
        ..TransportConf::default()
    };
    let engine = Engine::builder(conf).shards(1).start()?;
    let context = TransportContext::new(engine, move || {
        Rc::new(FileHandler {
            file: Arc::clone(&file),
            len,
            streams: OneForOneStreamManager::new(),
        })
    });
    let server = context.create_server("127.0.0.1:0".parse()?)?;
    let clients = context.create_client_factory(Vec::new());
    let client = clients.create_client_blocking(&server.local_addr().to_string())?;

    let opened = client.send_rpc("open").wait()?;
    let opened = opened.access::<(u64, u32, u64)>()?;
    let (stream, count) = (opened.0.to_native(), opened.1.to_native());
    let options = ChunkOptions {
        // Memory is promised before the request leaves, which saves a round trip.
        len_hint: Some(CHUNK_LEN.min(len)),
        ..ChunkOptions::default()
    };
    let (mut got, mut asked) = (Vec::new(), VecDeque::new());
    for index in 0..count {
        if asked.len() == IN_FLIGHT {
            take(&mut asked, &mut got)?;
        }
        asked.push_back(client.fetch_chunk(stream, index, &options));
    }
    while !asked.is_empty() {
        take(&mut asked, &mut got)?;
    }
    let by_sendfile = context.engine().metrics().bytes_out_sendfile;
    server.drain()?;
    Ok((got, by_sendfile))
}

fn take(asked: &mut VecDeque<RequestFuture>, got: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    if let Some(chunk) = asked.pop_front() {
        got.extend_from_slice(&chunk.wait()?);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let content: Vec<u8> = (0..5_000_000u32).map(|at| (at / 7) as u8).collect();
    let (got, by_sendfile) = run(&content)?;
    println!(
        "{} bytes came, {}; {by_sendfile} of them by sendfile",
        got.len(),
        if got == content {
            "as they were"
        } else {
            "and not as they were"
        }
    );
    Ok(())
}
