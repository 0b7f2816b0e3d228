//! A peer that takes file bytes as fast as they are sent, and does nothing with them, does not keep a
//! shard to itself: others are answered while it still has hundreds of chunks to come.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringrail_codec::native::{ChunkRequest, Hello, Limits, Terms};
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::StreamManager;
use ringrail_transport::{
    Connection, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportConf, TransportContext,
};
use support::{engine, eventually};

const CHUNK: u64 = 4 << 20;
const CHUNKS: u64 = 1500;

/// Echoes requests; every chunk is the same file.
struct Files(Arc<File>);

impl RpcHandler for Files {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        reply.reply(body.bytes());
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Files {
    fn get_chunk(&self, _: &Connection, _: u64, _: u32) -> Result<ManagedBuffer, RpcFailure> {
        Ok(ManagedBuffer::file(Arc::clone(&self.0), 0, CHUNK))
    }
}

/// Says hello and asks for everything at once.
fn ask_for_all(stream: &mut TcpStream) {
    let mut hello = [0; 4096];
    let terms = Terms::new(&Limits::DEFAULT);
    let len = Hello { terms, ext: &[] }.encode(&mut hello).unwrap();
    stream.write_all(&hello[..len]).unwrap();
    stream.read_exact(&mut [0; 4096][..len]).unwrap();
    let mut asked = Vec::new();
    for id in 1..=CHUNKS {
        let request = ChunkRequest {
            id,
            deadline_us: 0,
            stream_id: 1,
            chunk_index: 0,
            offset: 0,
            max_len: u64::MAX,
            credit: CHUNK,
            unsummed: false,
        };
        asked.extend(request.header().encode());
        asked.extend(request.body());
    }
    stream.write_all(&asked).unwrap();
}

/// Has the kernel throw away what has come; how much, or nothing at the end.
fn discard(stream: &TcpStream) -> u64 {
    let flags = rustix::net::RecvFlags::TRUNC;
    // With this flag TCP copies nothing; the buffer only tells how much may be taken.
    thread_local! {
        static ROOM: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; 1 << 20]);
    }
    ROOM.with_borrow_mut(|room| {
        let taken = rustix::net::recv(stream.as_fd(), room.as_mut_slice(), flags);
        taken.map_or(0, |(_, len)| len as u64)
    })
}

#[test]
fn a_discarding_receiver_leaves_room_for_a_pinger() {
    let conf = TransportConf {
        checksum: ringrail_transport::Checksum::Never,
        ..TransportConf::default()
    };
    let context = TransportContext::new(engine(conf), || {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create("chunk", flags).unwrap());
        (&file).write_all(&vec![7; CHUNK as usize]).unwrap();
        Rc::new(Files(Arc::new(file)))
    });
    let server = context.create_server("127.0.0.1:0".parse().unwrap());
    let address = server.as_ref().unwrap().local_addr().to_string();
    let mut greedy = TcpStream::connect(&address).unwrap();
    ask_for_all(&mut greedy);
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let discarding = std::thread::spawn(move || {
        loop {
            match discard(&greedy) {
                0 => return,
                count => counter.fetch_add(count, Ordering::Relaxed),
            };
            if counter.load(Ordering::Relaxed) >= CHUNKS * CHUNK {
                return;
            }
        }
    });
    eventually("it has begun", || taken.load(Ordering::Relaxed) > CHUNK);
    let clients = TransportContext::client_only(engine(TransportConf::default()));
    let clients = clients.create_client_factory(Vec::new());
    let client = clients.create_client_blocking(&address).unwrap();
    for _ in 0..20 {
        assert_eq!(&client.send_rpc("ping").wait().unwrap()[..], b"ping");
    }
    let so_far = taken.load(Ordering::Relaxed);
    assert!(
        so_far < CHUNKS * CHUNK,
        "the pinger was served when the other had everything"
    );
    discarding.join().unwrap();
    let sent = context.engine().metrics().bytes_out_sendfile;
    assert!(sent >= CHUNKS * CHUNK / 2, "by sendfile: {sent}");
}
