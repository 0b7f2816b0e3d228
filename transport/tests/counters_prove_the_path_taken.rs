//! Counters prove the path of the bytes: bodies are sent from their place in memory and received
//! straight into their lease, without a copy in user space.

mod support;

use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use ringrail_transport::buf::{ManagedBuffer, Mapping};
use ringrail_transport::client::ChunkOptions;
use ringrail_transport::metrics::MetricsSnapshot;
use ringrail_transport::server::StreamManager;
use ringrail_transport::{
    Checksum, Connection, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportConf,
    TransportContext,
};
use support::{content, engine};

const CHUNK: usize = 4 << 20;
const SMALL: usize = 32 << 10;

/// Serves chunk `n` of one buffer in portions of the stream's number.
struct Portions(ManagedBuffer);

impl RpcHandler for Portions {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        reply.reply(body.bytes());
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Portions {
    fn get_chunk(&self, _: &Connection, len: u64, n: u32) -> Result<ManagedBuffer, RpcFailure> {
        Ok(self.0.slice(u64::from(n) * len, len))
    }
}

/// Fetches 8 chunks of `len` after a few to warm up; what server and client counted for the 8.
fn fetch(data: ManagedBuffer, len: usize, checksum: bool) -> (MetricsSnapshot, MetricsSnapshot) {
    let conf = TransportConf {
        checksum: match checksum {
            true => Checksum::Always,
            false => Checksum::Never,
        },
        ..TransportConf::default()
    };
    let served = TransportContext::new(engine(conf.clone()), move || {
        Rc::new(Portions(data.clone()))
    });
    let server = served
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let asking = TransportContext::client_only(engine(conf));
    let clients = asking.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    let whole = content(5, 9 * CHUNK);
    let options = ChunkOptions {
        len_hint: Some(len as u64),
        ..ChunkOptions::default()
    };
    // The first may still come by the multishot receive that its request has cancelled.
    for _ in 0..3 {
        let first = client.fetch_chunk(len as u64, 0, &options);
        first.wait().unwrap();
    }
    // A send is counted when its completion is taken, which the last chunk may have outrun; the
    // answer to a further request has not.
    client.send_rpc("").wait().unwrap();
    let (served_before, asked_before) = (served.engine().metrics(), asking.engine().metrics());
    for n in 1..9 {
        let chunk = client.fetch_chunk(len as u64, n, &options).wait().unwrap();
        let start = n as usize * len;
        assert!(chunk[..] == whole[start..start + len], "chunk {n}");
    }
    client.send_rpc("").wait().unwrap();
    (
        served.engine().metrics().since(&served_before),
        asking.engine().metrics().since(&asked_before),
    )
}

fn file() -> Arc<File> {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content(5, 9 * CHUNK)).unwrap();
    Arc::new(file)
}

/// Bytes copied in user space.
fn copied(metrics: &MetricsSnapshot) -> u64 {
    metrics.copies_straddle_bytes
        + metrics.copies_misaligned_bytes
        + metrics.copies_prefix_bytes
        + metrics.copies_coalesced_bytes
        + metrics.copies_kept_bytes
}

#[test]
fn chunks_of_memory_are_gathered_and_received_in_place() {
    let (server, client) = fetch(content(5, 9 * CHUNK).into(), CHUNK, false);
    let total = 8 * CHUNK as u64;
    assert!(server.bytes_out_gathered >= total);
    assert_eq!(server.bytes_out_sendfile + server.bytes_out_file_read, 0);
    assert_eq!(client.bytes_in_exact, total);
    assert_eq!(
        (copied(&server), copied(&client)),
        (0, 0),
        "{server}{client}"
    );
}

#[test]
fn large_chunks_of_a_file_in_memory_leave_by_sendfile() {
    let (server, client) = fetch(ManagedBuffer::whole_file(file()).unwrap(), CHUNK, false);
    let total = 8 * CHUNK as u64;
    assert_eq!(server.bytes_out_sendfile, total, "{server}");
    assert_eq!((server.bytes_out_file_read, copied(&server)), (0, 0));
    assert_eq!((client.bytes_in_exact, copied(&client)), (total, 0));
}

/// Chunks of a file, then of one that is mapped.
fn fetch_plain_and_mapped(len: usize) -> [(MetricsSnapshot, MetricsSnapshot); 2] {
    let plain = ManagedBuffer::whole_file(file()).unwrap();
    let file = file();
    let mapping = Mapping::of(&file).unwrap();
    let mapped = ManagedBuffer::mapped_file(file, mapping, 0, 9 * CHUNK as u64);
    [plain, mapped].map(|data| fetch(data, len, false))
}

#[test]
fn small_chunks_of_a_file_are_read_or_sent_from_its_mapping() {
    let total = 8 * SMALL as u64;
    let [(server, _), (mapped, client)] = fetch_plain_and_mapped(SMALL);
    assert_eq!(
        (server.bytes_out_file_read, server.bytes_out_sendfile),
        (total, 0)
    );
    assert_eq!(
        (mapped.bytes_out_mapped, mapped.bytes_out_file_read),
        (total, 0),
        "{mapped}"
    );
    assert_eq!((copied(&mapped), copied(&client)), (0, 0));
}

#[test]
fn chunks_of_some_size_leave_by_sendfile_unless_their_file_is_mapped() {
    const MIDDLE: usize = 64 << 10;
    let total = 8 * MIDDLE as u64;
    let [(server, _), (mapped, _)] = fetch_plain_and_mapped(MIDDLE);
    assert_eq!(
        (server.bytes_out_sendfile, server.bytes_out_file_read),
        (total, 0)
    );
    assert_eq!(
        (mapped.bytes_out_mapped, mapped.bytes_out_sendfile),
        (total, 0)
    );
}

#[test]
fn checksums_need_the_bytes_so_files_are_read() {
    let (server, _) = fetch(ManagedBuffer::whole_file(file()).unwrap(), CHUNK, true);
    assert_eq!(server.bytes_out_file_read, 8 * CHUNK as u64, "{server}");
    assert_eq!(server.bytes_out_sendfile, 0);
}

#[test]
fn chunks_come_in_the_order_of_asking_whatever_has_to_be_read_first() {
    let file = file();
    let pages = 4096;
    let served = TransportContext::new(engine(TransportConf::default()), move || {
        Rc::new(Portions(
            ManagedBuffer::whole_file(Arc::clone(&file)).unwrap(),
        ))
    });
    let server = served
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let asking = TransportContext::client_only(engine(TransportConf::default()));
    let clients = asking.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    let (order, arrived) = std::sync::mpsc::channel();
    asking
        .engine()
        .run_on(0, move |_| {
            let conn = client.here().expect("open");
            let handler: Rc<dyn ringrail_transport::ResponseHandler> = Rc::new(Order(order));
            for n in 0..200u32 {
                // Small and large ones in turn: read, and sent straight from the file.
                let len = if n % 3 == 0 { 1 << 20 } else { pages };
                let options = ChunkOptions {
                    len_hint: Some(len),
                    ..ChunkOptions::default()
                };
                conn.fetch_chunk_with(len, n % 30, &options, &handler, u64::from(n))
                    .expect("there is room");
            }
        })
        .unwrap();
    let seen: Vec<u64> = arrived.iter().take(200).collect();
    assert!(seen.iter().copied().eq(0..200), "{seen:?}");
}

/// Tells the order in which answers came.
struct Order(std::sync::mpsc::Sender<u64>);

impl ringrail_transport::ResponseHandler for Order {
    fn on_response(
        &self,
        _: &ringrail_transport::ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, ringrail_transport::RequestError>,
    ) {
        outcome.expect("a chunk");
        // The test may have seen enough.
        let _ = self.0.send(token);
    }
}
