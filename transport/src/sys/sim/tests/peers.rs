//! Two small peers over the trait: one sends a stream and then its end, the other receives it.
//!
//! They continue after every fault that loses nothing, and stop if data is lost, so that the
//! received bytes can be judged.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use crate::buf::Pool;
use crate::sys::driver::{Completion, Driver, Listening, Op, OpKey, Park, Payload, Sock};
use crate::sys::sim::{Rng, SimDriver, SimSpec, SimWorld};
use crate::sys::socket::{Addr, ListenSpec, SocketSpec};

/// Time after which a silent stream is given up.
const PATIENCE_NS: u64 = 300_000_000_000;

/// True for an error after which the same operation may simply be posted again.
fn is_passing(errno: i32) -> bool {
    matches!(
        errno,
        libc::EINTR | libc::ENOBUFS | libc::EMFILE | libc::ECANCELED
    )
}

/// State that both peers have.
pub(super) struct Peer {
    pub(super) driver: SimDriver,
    pool: Pool,
    sock: Option<Sock>,
    /// In flight.
    pending: Vec<OpKey>,
    /// Nothing more to do; nothing in flight on the socket, which is closed.
    done: bool,
    /// Why it gave up.
    pub(super) failed: Option<i32>,
}

impl Peer {
    fn new(world: &SimWorld) -> Self {
        let spec = SimSpec {
            recv_buffers: 4,
            recv_buffer_len: 4096,
            ..SimSpec::default()
        };
        Self {
            driver: world.driver(spec),
            pool: Pool::new(8 << 20, 0),
            sock: None,
            pending: Vec::new(),
            done: false,
            failed: None,
        }
    }

    fn post(&mut self, op: Op) -> OpKey {
        let key = self.driver.submit(0, op).expect("room for two operations");
        self.pending.push(key);
        key
    }

    fn take(&mut self) -> Option<Completion> {
        let done = self.driver.next()?;
        if !done.more {
            self.pending.retain(|key| *key != done.key);
        }
        Some(done)
    }

    fn recv(&mut self, sock: Sock, len: usize) {
        let buf = self.pool.lease(len).unwrap();
        let at = 0;
        self.post(Op::Recv {
            sock,
            buf,
            at,
            len,
            whole: true,
            linked: false,
        });
    }

    fn end(&mut self, failed: Option<i32>) {
        self.failed = failed;
        self.done = true;
        if let Some(sock) = self.sock.take() {
            self.driver.close(sock);
        }
    }

    fn cancel_all(&mut self) {
        for key in &self.pending {
            self.driver.cancel(*key);
        }
    }

    /// One turn of waiting for what was cancelled; true when all of it has come.
    fn wind_down(&mut self) -> bool {
        self.driver.enter(Park::Until(None)).unwrap();
        while let Some(done) = self.take() {
            if let Payload::Accepted { sock, .. } = done.payload {
                self.driver.close(sock);
            }
        }
        self.pending.is_empty()
    }
}

pub(super) struct Sender {
    pub(super) peer: Peer,
    bytes: Vec<u8>,
    file: Option<Arc<File>>,
    sent: usize,
}

impl Sender {
    fn new(world: &SimWorld, addr: &Addr, bytes: &[u8], file: Option<Arc<File>>) -> Self {
        let mut peer = Peer::new(world);
        match peer.driver.socket(addr, &SocketSpec::default()) {
            Ok(sock) => {
                peer.sock = Some(sock);
                let addr = addr.clone();
                peer.post(Op::Connect { sock, addr });
            }
            Err(_) => peer.end(Some(libc::EMFILE)),
        }
        Self {
            peer,
            bytes: bytes.to_vec(),
            file,
            sent: 0,
        }
    }

    fn send_rest(&mut self, rng: &mut Rng) {
        let sock = self.peer.sock.expect("connected");
        let left = self.bytes.len() - self.sent;
        if left == 0 {
            self.peer.driver.shutdown(sock, false);
            return self.peer.recv(sock, 1);
        }
        let mut gather = self.peer.pool.gather(64).unwrap();
        let len = rng.cut(left.min(64 << 10));
        let op = match &self.file {
            Some(file) if rng.chance(0.5) => Op::SendFile {
                sock,
                head: gather,
                file: Arc::clone(file),
                offset: self.sent as u64,
                len,
                padding: 0,
            },
            _ => {
                let (front, back) = self.bytes[self.sent..self.sent + len].split_at(len / 2);
                gather.put_body(Bytes::copy_from_slice(front).into());
                gather.put_body(Bytes::copy_from_slice(back).into());
                let more = false;
                Op::Send { sock, gather, more }
            }
        };
        self.peer.post(op);
    }

    fn turn(&mut self, rng: &mut Rng) {
        self.peer.driver.enter(Park::Until(None)).unwrap();
        while let Some(done) = self.peer.take() {
            match (done.outcome(), &done.payload) {
                (Ok(0), Payload::Buffer(_)) => self.peer.end(None),
                (Ok(len), _) => {
                    self.sent += len;
                    self.send_rest(rng);
                }
                (Err(_), _) if is_passing(-done.result) => self.send_rest(rng),
                (Err(_), _) => self.peer.end(Some(-done.result)),
            }
        }
    }
}

pub(super) struct Receiver {
    pub(super) peer: Peer,
    listener: Sock,
    accept: OpKey,
    pub(super) bytes: Vec<u8>,
}

impl Receiver {
    fn new(world: &SimWorld) -> (Self, Addr) {
        let mut peer = Peer::new(world);
        let spec = ListenSpec::new("127.0.0.1:0".parse().unwrap());
        let (listener, addr) = peer.driver.listen(Listening::Spec(spec)).unwrap();
        let accept = peer.post(Op::Accept { listener });
        let receiver = Self {
            peer,
            listener,
            accept,
            bytes: Vec::new(),
        };
        (receiver, addr)
    }

    /// One way of receiving or the other.
    fn receive(&mut self, rng: &mut Rng) {
        let Some(sock) = self.peer.sock else {
            return;
        };
        if rng.chance(0.5) {
            self.peer.driver.refill(&self.peer.pool);
            self.peer.post(Op::RecvMulti { sock });
        } else {
            self.peer.recv(sock, rng.cut(20_000));
        }
    }

    fn accepted(&mut self, done: Completion, rng: &mut Rng) {
        if !done.more {
            let listener = self.listener;
            self.accept = self.peer.post(Op::Accept { listener });
        }
        if let Payload::Accepted { sock, .. } = done.payload {
            self.peer.sock = Some(sock);
            self.receive(rng);
        }
    }

    fn received(&mut self, done: Completion, rng: &mut Rng) {
        match (done.outcome(), done.payload) {
            (Ok(0), _) => return self.peer.end(None),
            (Ok(_), Payload::Received(lease)) => self.bytes.extend_from_slice(lease.as_slice()),
            (Ok(len), Payload::Buffer(mut buf)) => {
                self.bytes.extend_from_slice(&buf.buffer_mut()[..len]);
            }
            (Ok(_), payload) => panic!("a receive gave {payload:?}"),
            (Err(_), _) if is_passing(-done.result) => {}
            (Err(_), _) => return self.peer.end(Some(-done.result)),
        }
        self.peer.driver.refill(&self.peer.pool);
        if !done.more {
            self.receive(rng);
        } else if rng.chance(0.1) {
            // From multishot to exact, maybe: cancel, and go on when that has come.
            self.peer.driver.cancel(done.key);
        }
    }

    fn turn(&mut self, rng: &mut Rng) {
        self.peer.driver.enter(Park::Until(None)).unwrap();
        while let Some(done) = self.peer.take() {
            if done.key == self.accept {
                self.accepted(done, rng);
            } else {
                self.received(done, rng);
            }
        }
    }
}

/// Sends `bytes` through a world, partly from `file` if there is one, which holds the same; then
/// sees that both ends leave nothing behind.
pub(super) fn stream(
    world: &SimWorld,
    bytes: &[u8],
    file: Option<Arc<File>>,
) -> (Sender, Receiver) {
    let mut rng = world.fork_rng();
    let (mut receiver, addr) = Receiver::new(world);
    let mut sender = Sender::new(world, &addr, bytes, file);
    world.run(world.now_ns() + PATIENCE_NS, || {
        sender.turn(&mut rng);
        receiver.turn(&mut rng);
        sender.peer.done && receiver.peer.done
    });
    for peer in [&mut sender.peer, &mut receiver.peer] {
        peer.cancel_all();
    }
    let ended = world.run(world.now_ns() + PATIENCE_NS, || {
        // Both must run, whatever the other returns.
        sender.peer.wind_down() & receiver.peer.wind_down()
    });
    assert!(ended, "cancelled operations complete");
    receiver.peer.driver.close(receiver.listener);
    for peer in [&mut sender.peer, &mut receiver.peer] {
        if !peer.done {
            peer.end(Some(libc::ETIME));
        }
        peer.driver.assert_quiescent();
    }
    (sender, receiver)
}
