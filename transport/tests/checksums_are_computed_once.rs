//! Checksums of what does not change are computed once, files whose checksums are known leave by
//! `sendfile`, and a file that changes is never sent as what it was.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringrail_codec::native::{
    ChunkData, ChunkRequest, Credit, FailureCode, Flags, HEADER_LEN, Header, Hello, Kind, Limits,
    Terms,
};
use ringrail_transport::buf::{GRANULE_LEN, ManagedBuffer, Mapping};
use ringrail_transport::metrics::MetricsSnapshot;
use ringrail_transport::server::StreamManager;
use ringrail_transport::{
    Checksum, ChunkOptions, Connection, ReceivedBytes, Reply, RequestError, Responder, RpcFailure,
    RpcHandler, TransportClient, TransportConf, TransportContext, TransportServer,
};
use support::{content, engine};

const MIB: usize = 1 << 20;

/// Serves chunk `n` of stream `len`: `len` bytes from `n * len` on.
struct Chunks(ManagedBuffer);

impl RpcHandler for Chunks {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        reply.reply(body.bytes());
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Chunks {
    fn get_chunk(&self, _: &Connection, len: u64, n: u32) -> Result<ManagedBuffer, RpcFailure> {
        Ok(self.0.slice(u64::from(n) * len, len))
    }
}

struct Sides {
    server: TransportServer,
    serving: TransportContext,
    asking: TransportContext,
    client: TransportClient,
}

impl Sides {
    fn new(data: ManagedBuffer) -> Self {
        Self::with(data, TransportConf::default())
    }

    fn with(data: ManagedBuffer, conf: TransportConf) -> Self {
        let conf = TransportConf {
            checksum: Checksum::Always,
            ..conf
        };
        let serving =
            TransportContext::new(engine(conf.clone()), move || Rc::new(Chunks(data.clone())));
        let server = serving.create_server("127.0.0.1:0".parse().unwrap());
        let server = server.unwrap();
        let asking = TransportContext::client_only(engine(conf));
        let clients = asking.create_client_factory(Vec::new());
        let addr = server.local_addr().to_string();
        let client = clients.create_client_blocking(&addr).unwrap();
        Self {
            server,
            serving,
            asking,
            client,
        }
    }

    fn fetch(&self, len: usize, n: u32) -> Result<Reply, RequestError> {
        let options = ChunkOptions {
            len_hint: Some(len as u64),
            ..ChunkOptions::default()
        };
        self.client.fetch_chunk(len as u64, n, &options).wait()
    }

    /// Fetches all chunks of `len` of something that is `whole`; what the server counted for it.
    fn fetch_all(&self, whole: &[u8], len: usize) -> MetricsSnapshot {
        let before = self.settled();
        for (n, expected) in (0..).zip(whole.chunks_exact(len)) {
            let chunk = self.fetch(len, n).unwrap();
            assert!(chunk[..] == *expected, "chunk {n} of {len}");
        }
        self.settled().since(&before)
    }

    /// The server's counters, after all of its answers have been sent.
    fn settled(&self) -> MetricsSnapshot {
        self.client.send_rpc("").wait().unwrap();
        self.serving.engine().metrics()
    }
}

/// A file with that content, which has not changed for so long that its checksums may be kept.
fn settled_file(content: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    settle();
    Arc::new(file)
}

/// Lets a change of a file lie so far back that the next one will show in its times.
fn settle() {
    std::thread::sleep(Duration::from_millis(150));
}

#[test]
fn blocks_of_memory_are_summed_once_whatever_is_cut_from_them() {
    let whole = content(3, 4 * MIB + 12_345);
    let sides = Sides::new(ManagedBuffer::block(whole.clone()));
    let first = sides.fetch_all(&whole, MIB);
    assert_eq!(first.bytes_out_summed, 4 * MIB as u64, "{first}");
    for len in [MIB, 128 << 10, 64 << 10, 4 * MIB] {
        let again = sides.fetch_all(&whole, len);
        assert_eq!(again.bytes_out_summed, 0, "{len}: {again}");
        assert_eq!(again.bytes_out_sum_known, 4 * MIB as u64, "{len}");
    }
    // A range that begins within a piece is summed correctly from that offset.
    let odd = sides.fetch_all(&whole, 1_000_000);
    assert!(
        odd.bytes_out_summed > 0 && odd.bytes_out_sum_known > 0,
        "{odd}"
    );
    let received = sides.asking.engine().metrics();
    assert!(received.bytes_in_summed > 0 && received.errors_checksum == 0);
}

#[test]
fn memory_that_is_no_block_is_summed_each_time() {
    let whole = content(3, 2 * MIB);
    let sides = Sides::new(whole.clone().into());
    for _ in 0..2 {
        let counted = sides.fetch_all(&whole, MIB);
        assert_eq!(counted.bytes_out_summed, 2 * MIB as u64);
    }
}

#[test]
fn a_file_whose_checksums_are_known_leaves_by_sendfile() {
    let whole = content(5, 8 * MIB);
    let sides = Sides::new(ManagedBuffer::whole_file(settled_file(&whole)).unwrap());
    let total = 8 * MIB as u64;
    let first = sides.fetch_all(&whole, 4 * MIB);
    assert_eq!(
        (first.bytes_out_file_read, first.bytes_out_summed),
        (total, total),
        "{first}"
    );
    let again = sides.fetch_all(&whole, 4 * MIB);
    assert_eq!(
        (again.bytes_out_sendfile, again.bytes_out_sum_known),
        (total, total),
        "{again}"
    );
    assert_eq!((again.bytes_out_file_read, again.bytes_out_summed), (0, 0));
    let smaller = sides.fetch_all(&whole, 64 << 10);
    assert_eq!(smaller.bytes_out_sendfile, total, "{smaller}");
}

#[test]
fn a_chunk_that_begins_within_a_piece_is_read_there_and_sent_directly_behind() {
    let whole = content(5, 8 * MIB);
    let sides = Sides::new(ManagedBuffer::whole_file(settled_file(&whole)).unwrap());
    const LEN: usize = 3 * MIB + 4096;
    sides.fetch_all(&whole, LEN);
    let again = sides.fetch_all(&whole, LEN);
    // Short ends are not cut: at most four pieces and a part of one, at either end of each of the two chunks.
    let ends = 2 * 2 * 5 * GRANULE_LEN;
    assert!(again.bytes_out_file_read < ends, "{again}");
    assert_eq!(
        again.bytes_out_sendfile + again.bytes_out_file_read,
        2 * LEN as u64
    );
}

#[test]
fn a_mapped_file_leaves_from_its_mapping_once_its_checksums_are_known() {
    let whole = content(6, 2 * MIB);
    let file = settled_file(&whole);
    let mapping = Mapping::of(&file).unwrap();
    let sides = Sides::new(ManagedBuffer::mapped_file(file, mapping, 0, 2 * MIB as u64));
    let len = 128 << 10;
    let first = sides.fetch_all(&whole, len);
    assert_eq!(first.bytes_out_file_read, 2 * MIB as u64, "{first}");
    let again = sides.fetch_all(&whole, len);
    assert_eq!(
        (again.bytes_out_mapped, again.bytes_out_file_read),
        (2 * MIB as u64, 0),
        "{again}"
    );
}

#[test]
fn without_memory_for_checksums_files_are_read_each_time() {
    let whole = content(5, 2 * MIB);
    let conf = TransportConf {
        checksum_cache: 0,
        ..TransportConf::default()
    };
    let data = ManagedBuffer::whole_file(settled_file(&whole)).unwrap();
    let sides = Sides::with(data, conf);
    for _ in 0..2 {
        let counted = sides.fetch_all(&whole, MIB);
        assert_eq!(counted.bytes_out_file_read, 2 * MIB as u64);
    }
}

#[test]
fn a_file_that_changed_is_read_again_and_sent_as_it_is() {
    let mut whole = content(7, 4 * MIB).to_vec();
    let file = settled_file(&whole);
    let sides = Sides::new(ManagedBuffer::whole_file(Arc::clone(&file)).unwrap());
    sides.fetch_all(&whole, 2 * MIB);
    sides.fetch_all(&whole, 2 * MIB);
    whole[3 * MIB + 5] ^= 0x40;
    file.write_all_at(&whole[3 * MIB..][..100], 3 * MIB as u64)
        .unwrap();
    // At once: the kernel's times may not tell of a further change, so nothing is kept.
    let changed = sides.fetch_all(&whole, 2 * MIB);
    assert_eq!(changed.bytes_out_sendfile, 0, "{changed}");
    settle();
    sides.fetch_all(&whole, 2 * MIB);
    let again = sides.fetch_all(&whole, 2 * MIB);
    assert_eq!(again.bytes_out_sendfile, 4 * MIB as u64, "{again}");
    assert_eq!(sides.asking.engine().metrics().errors_checksum, 0);
}

#[test]
fn a_file_that_another_replaced_is_not_taken_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("block");
    let (old, new) = (content(1, MIB), content(2, MIB));
    for whole in [&old, &new] {
        std::fs::write(&path, whole).unwrap();
        settle();
        let file = Arc::new(File::open(&path).unwrap());
        let sides = Sides::new(ManagedBuffer::whole_file(file).unwrap());
        sides.fetch_all(whole, MIB);
        sides.fetch_all(whole, MIB);
        std::fs::remove_file(&path).unwrap();
    }
}

/// A client by hand: asks for a chunk with credit for a part of it.
struct ByHand(TcpStream);

impl ByHand {
    fn new(addr: &str) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut bytes = [0; 256];
        let terms = Terms::new(&Limits::DEFAULT);
        let len = Hello { terms, ext: &[] }.encode(&mut bytes).unwrap();
        stream.write_all(&bytes[..len]).unwrap();
        stream.read_exact(&mut bytes[..len]).unwrap();
        Self(stream)
    }

    fn ask(&mut self, len: u64, credit: u64) {
        let request = ChunkRequest {
            id: 1,
            stream_id: len,
            chunk_index: 0,
            offset: 0,
            max_len: ChunkRequest::TO_THE_END,
            credit,
            deadline_us: 0,
            unsummed: false,
        };
        self.0.write_all(&request.header().encode()).unwrap();
        self.0.write_all(&request.body()).unwrap();
    }

    fn grant(&mut self, bytes: u64) {
        let by_responder = false;
        let credit = Credit {
            id: 1,
            bytes,
            by_responder,
        };
        self.0.write_all(&credit.header().encode()).unwrap();
    }

    /// The next frame; `None` where the connection has ended.
    fn frame(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut head = [0; HEADER_LEN];
        self.0.read_exact(&mut head).ok()?;
        let header = Header::decode(&head).unwrap();
        let mut body = vec![0; header.padded_body_len()];
        self.0.read_exact(&mut body).ok()?;
        body.truncate(header.body_len as usize);
        Some((header, body))
    }

    /// Slices up to that many bytes, each with its checksum; how many had one that was right.
    fn slices(&mut self, bytes: u64) -> Vec<u8> {
        let mut got = Vec::new();
        while (got.len() as u64) < bytes {
            let (header, body) = self.frame().expect("a slice");
            ChunkData::from_header(&header).unwrap();
            assert!(header.flags.contains(Flags::CRC));
            header
                .check_body(&body)
                .expect("bytes and sum are of one file");
            got.extend(body);
        }
        got
    }
}

/// A chunk of which a part has come with known checksums when `change` is done to its file.
fn changed_midway(change: impl Fn(&File)) -> (ByHand, Vec<u8>, Sides) {
    let whole = content(9, 4 * MIB);
    let file = settled_file(&whole);
    let sides = Sides::new(ManagedBuffer::whole_file(Arc::clone(&file)).unwrap());
    sides.fetch_all(&whole, 4 * MIB);
    let mut peer = ByHand::new(&sides.server.local_addr().to_string());
    peer.ask(4 * MIB as u64, MIB as u64);
    assert!(peer.slices(MIB as u64) == whole[..MIB]);
    let counted = sides.settled();
    assert_eq!(counted.bytes_out_sendfile, MIB as u64, "{counted}");
    change(&file);
    peer.grant(3 * MIB as u64);
    (peer, whole.to_vec(), sides)
}

#[test]
fn a_file_that_changes_midway_goes_on_with_new_checksums() {
    let (mut peer, whole, _sides) = changed_midway(|file| {
        file.write_all_at(b"changed", 2 * MIB as u64).unwrap();
    });
    let rest = peer.slices(3 * MIB as u64);
    assert_eq!(&rest[MIB..MIB + 7], b"changed");
    assert!(rest[MIB + 7..] == whole[2 * MIB + 7..]);
}

#[test]
fn a_file_that_is_shortened_midway_fails_its_chunk() {
    let (mut peer, _, sides) = changed_midway(|file| file.set_len(MIB as u64 + 100).unwrap());
    let (header, body) = peer.frame().expect("a frame");
    let header = match header.kind {
        // The available part of the slice may arrive first.
        Kind::ChunkData => {
            header.check_body(&body).expect("what there is of it");
            assert_eq!(body.len(), 100);
            peer.frame().expect("a failure").0
        }
        _ => header,
    };
    assert_eq!(header.kind, Kind::ChunkFailure);
    assert_eq!(header.code, FailureCode::SourceTruncated.to_wire());
    // The connection and its other requests go on.
    drop(peer);
    sides.client.send_rpc("alive").wait().unwrap();
}

#[test]
fn what_a_digest_covers_comes_without_a_checksum_though_both_sides_want_them() {
    let whole = content(4, 4 * MIB);
    let sides = Sides::new(ManagedBuffer::whole_file(settled_file(&whole)).unwrap());
    let before = (sides.settled(), sides.asking.engine().metrics());
    let options = ChunkOptions {
        checksum: false,
        ..ChunkOptions::default()
    };
    let chunk = sides.client.fetch_chunk(2 * MIB as u64, 1, &options);
    assert!(chunk.wait().unwrap()[..] == whole[2 * MIB..]);
    let served = sides.settled().since(&before.0);
    let asked = sides.asking.engine().metrics().since(&before.1);
    assert_eq!(served.bytes_out_sendfile, 2 * MIB as u64, "{served}");
    assert_eq!((served.bytes_out_summed, asked.bytes_in_summed), (0, 0));
    // Others on the same connection have theirs.
    let others = sides.fetch_all(&whole, MIB);
    assert_eq!(others.bytes_out_summed, 4 * MIB as u64, "{others}");
}
