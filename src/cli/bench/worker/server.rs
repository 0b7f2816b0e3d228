//! The serving process: echoes RPCs, serves chunks of memory or of a file.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use ringrail_floors::pattern;
use ringrail_floors::report::ServerReport;
use ringrail_floors::usage::{Who, cpu_seconds};
use ringrail_floors::workload::{Source, Workload};
use ringrail_transport::buf::{ManagedBuffer, Mapping, Pool};
use ringrail_transport::server::StreamManager;
use ringrail_transport::spark::Protocols;
use ringrail_transport::{
    Connection, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportContext,
};

use super::{Side, say};

/// Serves until stdin ends.
pub(crate) fn run(workload: &Workload, side: &Side) -> anyhow::Result<()> {
    workload.validate()?;
    let data = workload.source().map(load).transpose()?;
    let engine = side.engine(workload)?;
    let before = cpu_seconds(Who::Process);
    let reply = reply_pattern(workload);
    let (chunk_len, chunks) = (u64::from(workload.size()), workload.source_chunks());
    let context = TransportContext::new(engine, move || {
        let chunks = data.clone().map(|data| Chunks {
            data,
            chunk_len,
            chunks,
        });
        Rc::new(Serving {
            reply: reply.clone(),
            chunks,
        })
    });
    let context = if side.setup.spark {
        context.with_protocols(Protocols::Spark)
    } else {
        context
    };
    let server = context.create_server("127.0.0.1:0".parse()?)?;
    say(&format!("ready {}", server.local_addr()))?;
    until_stdin_ends()?;
    let metrics = context.engine().metrics();
    let report = ServerReport {
        cpu_s: cpu_seconds(Who::Process) - before,
        ops: Some(metrics.requests_in_rpc + metrics.requests_in_chunk),
        bytes: Some(metrics.bytes_out),
        extra: metrics
            .iter()
            .filter(|metric| metric.value > 0)
            .map(|metric| (metric.name.to_owned(), metric.value.into()))
            .collect(),
    };
    say(&serde_json::to_string(&report)?)
}

/// The harness ends a server by closing its stdin.
pub(super) fn until_stdin_ends() -> anyhow::Result<()> {
    let read = std::io::stdin().read_to_end(&mut Vec::new());
    read.context("waiting for the end of stdin").map(drop)
}

fn reply_pattern(workload: &Workload) -> Bytes {
    let mut reply = vec![0; workload.answer_size() as usize];
    if workload.source().is_none() {
        pattern::fill(0, &mut reply);
    }
    reply.into()
}

fn load(source: &Source) -> anyhow::Result<ManagedBuffer> {
    match source {
        Source::Memory { bytes } => {
            // Pooled memory, as an application would hold its blocks in; the pool may go first.
            let len = usize::try_from(*bytes)?;
            let pool = Pool::new(len.next_power_of_two(), 0);
            let mut region = pool.lease(len).context("leasing memory for the chunks")?;
            region.set_len(len);
            pattern::fill(0, &mut region.buffer_mut()[..len]);
            Ok(ManagedBuffer::block(region.freeze()))
        }
        Source::File { path, .. } => {
            let file =
                std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
            let len = file.metadata()?.size();
            let mapping = Mapping::of(&file).context("mapping the file")?;
            Ok(ManagedBuffer::mapped_file(Arc::new(file), mapping, 0, len))
        }
    }
}

struct Serving {
    reply: Bytes,
    chunks: Option<Chunks>,
}

impl RpcHandler for Serving {
    fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        if self.chunks.is_some() || body.bytes().len() == self.reply.len() {
            reply.reply(body.bytes());
        } else {
            reply.reply_body(self.reply.clone());
        }
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        self.chunks
            .as_ref()
            .map(|chunks| chunks as &dyn StreamManager)
    }
}

/// Chunks by number: the stream's id is the number, its only chunk is the chunk.
struct Chunks {
    data: ManagedBuffer,
    chunk_len: u64,
    chunks: u64,
}

impl StreamManager for Chunks {
    fn get_chunk(&self, _: &Connection, id: u64, _: u32) -> Result<ManagedBuffer, RpcFailure> {
        let offset = pattern::chunk_offset(id, self.chunks, self.chunk_len);
        Ok(self.data.slice(offset, self.chunk_len))
    }
}
