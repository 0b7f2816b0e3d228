//! Chunks that a fetch compares with their digests carry no CRC32C, though both sides ask for it; what no
//! digest covers does.

mod support;

use std::path::Path;
use std::sync::Arc;

use ringrail::block::fetch::{FetchConf, Fetcher};
use ringrail::block::{BlockId, BlockServer, BlockServerConf, DirStore};
use ringrail::transport::metrics::MetricsSnapshot;
use ringrail::{Addr, Checksum, TransportConf, TransportContext};
use support::{CHUNK, assert_same, conf, engine_with, write};

/// Fetches what is in `from` over connections with checksums; what server and client counted.
fn fetch(from: &Path, verify: bool) -> (MetricsSnapshot, MetricsSnapshot) {
    let to = tempfile::tempdir().unwrap();
    let transport = TransportConf {
        checksum: Checksum::Always,
        ..TransportConf::default()
    };
    let store = Arc::new(DirStore::open_root(from).unwrap());
    let blocks = BlockServer::new(store, &BlockServerConf::default()).unwrap();
    let serving = blocks.context(engine_with(transport.clone()));
    let addr: Addr = "127.0.0.1:0".parse().unwrap();
    let server = serving.create_server(addr).unwrap();
    let asking = TransportContext::client_only(engine_with(transport));
    let clients = asking.create_client_factory(Vec::new());
    let conf = FetchConf { verify, ..conf() };
    let address = server.local_addr().to_string();
    let report = Fetcher::new(clients, address, conf)
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert!(report.is_complete());
    assert_same(from, to.path());
    (serving.engine().metrics(), asking.engine().metrics())
}

#[test]
fn verified_chunks_come_without_checksums_and_others_with_them() {
    let from = tempfile::tempdir().unwrap();
    let total = 40 * CHUNK;
    write(from.path(), "file", total);
    let (server, client) = fetch(from.path(), true);
    assert_eq!(server.bytes_out_summed + server.bytes_out_sum_known, 0);
    assert_eq!(client.bytes_in_summed, 0, "{client}");
    assert_eq!(server.bytes_out_sendfile, total as u64, "{server}");
    let (server, client) = fetch(from.path(), false);
    let summed = server.bytes_out_summed + server.bytes_out_sum_known;
    assert_eq!(summed, total as u64, "{server}");
    assert!(client.errors_checksum == 0 && client.bytes_in > total as u64);
}

#[test]
fn manifests_have_no_digest_and_keep_their_checksums() {
    let from = tempfile::tempdir().unwrap();
    for number in 0..4000 {
        write(from.path(), &format!("{number:0200}"), 0);
    }
    let (server, _) = fetch(from.path(), true);
    assert!(server.bytes_out_summed > 0, "{server}");
}
