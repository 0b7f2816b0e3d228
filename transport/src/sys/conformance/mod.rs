//! Requirements of every driver, as one test suite that all of them pass.
//!
//! A [`Rig`] makes drivers and lets time pass: the io_uring and epoll rigs wait in the kernel, the simulated
//! one moves its world's clock. The tests know only the trait.

mod cancel;
mod linked;
mod open;
mod receive;
mod send;
mod turn;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;

use crate::buf::{Gather, LeaseMut, Pool};

use super::driver::{
    Completion, Driver, LINGER_COMPLETIONS, Listening, Op, OpKey, Park, Payload, Sock, Waker,
};
use super::epoll::{EpollDriver, EpollSpec};
use super::sim::{SimDriver, SimSpec, SimWorld};
use super::socket::{Addr, ListenSpec, SocketError, SocketSpec};
use super::uring::{UringDriver, UringSpec};

/// Turns before a test fails: far more than any test needs.
const MAX_TURNS: usize = 20_000;
/// Time that one turn waits for an event, in nanoseconds.
const TURN_NS: u64 = 1_000_000;
/// Places of the receive group in these tests.
const BUFFERS: u16 = 4;
/// Bytes of a receive buffer in these tests.
const BUFFER_LEN: usize = 4096;

/// Makes drivers of one kind, and lets time pass for them.
trait Rig {
    type D: Driver;
    fn new() -> Self;
    fn driver(&self, max_ops: usize) -> Self::D;
    /// Enters and waits until something happens, or until this time.
    fn park(&self, driver: &mut Self::D, until_ns: Option<u64>);
}

struct Kernel;

impl Rig for Kernel {
    type D = UringDriver;

    fn new() -> Self {
        Kernel
    }

    fn driver(&self, max_ops: usize) -> UringDriver {
        let spec = UringSpec {
            sq_entries: 8,
            cq_entries: 64,
            recv_buffers: BUFFERS,
            recv_buffer_len: BUFFER_LEN,
            max_ops,
            notify: false,
            ..UringSpec::default()
        };
        UringDriver::new(&spec).unwrap()
    }

    fn park(&self, driver: &mut UringDriver, until_ns: Option<u64>) {
        driver.enter(Park::Until(until_ns)).unwrap();
    }
}

struct Readiness;

impl Rig for Readiness {
    type D = EpollDriver;

    fn new() -> Self {
        Readiness
    }

    fn driver(&self, max_ops: usize) -> EpollDriver {
        let spec = EpollSpec {
            recv_buffers: BUFFERS,
            recv_buffer_len: BUFFER_LEN,
            max_ops,
        };
        EpollDriver::new(&spec).unwrap()
    }

    fn park(&self, driver: &mut EpollDriver, until_ns: Option<u64>) {
        driver.enter(Park::Until(until_ns)).unwrap();
    }
}

struct Simulated(SimWorld);

impl Rig for Simulated {
    type D = SimDriver;

    fn new() -> Self {
        Simulated(SimWorld::new(1))
    }

    fn driver(&self, max_ops: usize) -> SimDriver {
        self.0.driver(SimSpec {
            max_ops,
            recv_buffers: BUFFERS,
            recv_buffer_len: BUFFER_LEN,
            ..SimSpec::default()
        })
    }

    fn park(&self, driver: &mut SimDriver, until_ns: Option<u64>) {
        driver.enter(Park::Until(until_ns)).unwrap();
        let until_ns = driver.parked_until();
        while driver.host().is_idle() && until_ns.is_none_or(|at_ns| self.0.now_ns() < at_ns) {
            let next = [self.0.next_event_ns(), until_ns];
            let Some(at_ns) = next.into_iter().flatten().min() else {
                break;
            };
            self.0.advance_to(at_ns);
        }
        driver.enter(Park::No).unwrap();
    }
}

/// A driver with what a shard has around it.
struct Shard<R: Rig> {
    rig: R,
    driver: R::D,
    pool: Pool,
    done: Vec<Completion>,
}

/// Tokens are never looked at by a driver; a large one must come back as it is.
const TOKEN: u64 = 0xfeed_0000_0000_0000;

impl<R: Rig> Shard<R> {
    fn new() -> Self {
        Self::with_ops(64)
    }

    fn with_ops(max_ops: usize) -> Self {
        let rig = R::new();
        let mut driver = rig.driver(max_ops);
        let pool = Pool::new(64 << 20, 0);
        assert_eq!(driver.refill(&pool), usize::from(BUFFERS));
        Self {
            rig,
            driver,
            pool,
            done: Vec::new(),
        }
    }

    fn submit(&mut self, op: Op) -> OpKey {
        self.driver.submit(TOKEN, op).expect("the table has room")
    }

    fn turn(&mut self) {
        let until_ns = self.driver.now_ns() + TURN_NS;
        self.rig.park(&mut self.driver, Some(until_ns));
        while let Some(done) = self.driver.next() {
            assert_eq!(done.token, TOKEN);
            self.done.push(done);
        }
    }

    /// The next completion of an operation.
    fn next_of(&mut self, key: OpKey) -> Completion {
        for _ in 0..MAX_TURNS {
            if let Some(at) = self.done.iter().position(|done| done.key == key) {
                return self.done.remove(at);
            }
            self.turn();
        }
        panic!("no completion of {key:?}");
    }

    /// The only completion of an operation.
    fn end_of(&mut self, key: OpKey) -> Completion {
        let done = self.next_of(key);
        assert!(!done.more, "{done:?}");
        for _ in 0..3 {
            self.turn();
        }
        assert!(
            self.done.iter().all(|done| done.key != key),
            "completed twice"
        );
        done
    }

    fn listen(&mut self) -> (Sock, Addr) {
        self.listen_with(SocketSpec::default())
    }

    fn listen_with(&mut self, socket: SocketSpec) -> (Sock, Addr) {
        let mut spec = ListenSpec::new("127.0.0.1:0".parse().unwrap());
        spec.socket = socket;
        self.driver.listen(Listening::Spec(spec)).unwrap()
    }

    /// A connection with this shard at both ends: connected, accepted.
    fn pair(&mut self) -> (Sock, Sock) {
        self.pair_with(SocketSpec::default())
    }

    fn pair_with(&mut self, spec: SocketSpec) -> (Sock, Sock) {
        let (listener, addr) = self.listen_with(spec.clone());
        let accept = self.submit(Op::Accept { listener });
        let sock = self.driver.socket(&addr, &spec).unwrap();
        let connect = self.submit(Op::Connect { sock, addr });
        assert_eq!(self.end_of(connect).outcome().unwrap(), 0);
        let accepted = self.next_of(accept);
        let Payload::Accepted { sock: other, peer } = accepted.payload else {
            panic!("{accepted:?}");
        };
        assert_eq!(self.driver.local_addr(sock), Some(peer));
        self.driver.cancel(accept);
        assert_eq!(self.end_of(accept).result, -libc::ECANCELED);
        self.driver.close(listener);
        (sock, other)
    }

    fn buffer(&self, len: usize) -> LeaseMut {
        self.pool.lease(len).unwrap()
    }

    fn gather(&self, bytes: &[u8]) -> Gather {
        let mut gather = self.pool.gather(64).unwrap();
        gather.put_body(Bytes::copy_from_slice(bytes).into());
        gather
    }

    fn send(&mut self, sock: Sock, bytes: &[u8]) {
        let (gather, more) = (self.gather(bytes), false);
        let key = self.submit(Op::Send { sock, gather, more });
        assert_eq!(self.end_of(key).outcome().unwrap(), bytes.len());
    }

    fn recv(&mut self, sock: Sock, len: usize) -> OpKey {
        let buf = self.buffer(len);
        self.submit(Op::Recv {
            sock,
            buf,
            at: 0,
            len,
            whole: true,
            linked: false,
        })
    }

    /// Receives everything up to the end of the stream, in buffers of the group.
    fn drain(&mut self, sock: Sock) -> Vec<u8> {
        let mut all = Vec::new();
        let mut key = self.submit(Op::RecvMulti { sock });
        loop {
            let done = self.next_of(key);
            match (done.result, done.payload) {
                (0, _) => {
                    assert!(!done.more, "the end of the stream ends the operation");
                    return all;
                }
                (len, Payload::Received(lease)) => {
                    assert_eq!(usize::try_from(len), Ok(lease.len()));
                    all.extend_from_slice(lease.as_slice());
                }
                (result, _) => assert_eq!(result, -libc::ENOBUFS),
            }
            self.driver.refill(&self.pool);
            if !done.more {
                key = self.submit(Op::RecvMulti { sock });
            }
        }
    }

    /// Closes the sockets, and sees that nothing is left.
    fn finish(mut self, socks: &[Sock]) {
        for sock in socks {
            self.driver.close(*sock);
        }
        self.turn();
        assert!(self.done.is_empty(), "{:?}", self.done);
        let Self { driver, pool, .. } = self;
        drop(driver);
        assert_eq!(pool.stats().leased_bytes, 0, "a buffer was lost");
    }
}

fn connect_to(sock: Sock, addr: &Addr) -> Op {
    let addr = addr.clone();
    Op::Connect { sock, addr }
}

/// Bytes in which every 4-byte window is different from its neighbours.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32)
        .flat_map(|at| at.wrapping_mul(0x9e37_79b1).to_be_bytes())
        .take(len)
        .collect()
}

fn file_of(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

macro_rules! suite {
    ($($group:ident: $($name:ident)*,)*) => {
        mod kernel {
            $($(#[test] fn $name() { super::$group::$name::<super::Kernel>(); })*)*
        }
        mod readiness {
            $($(#[test] fn $name() { super::$group::$name::<super::Readiness>(); })*)*
        }
        mod simulated {
            $($(#[test] fn $name() { super::$group::$name::<super::Simulated>(); })*)*
        }
    };
}

suite! {
    open: accepts_many_until_cancelled a_taken_address_is_refused a_connect_to_nobody_is_refused,
    receive: a_multishot_receive_gives_everything_and_then_the_end an_exact_receive_waits_for_all_of_it a_peer_that_closed_ends_both_directions shutting_down_both_directions_ends_a_receive a_dry_group_ends_receives_until_it_is_refilled a_refill_is_bounded_by_the_pool completions_that_nobody_takes_hold_no_more_than_the_group,
    linked: a_linked_receive_hands_over_to_the_next a_linked_receive_that_ends_short_cancels_the_next a_cancelled_linked_receive_takes_the_next_along a_receive_that_waits_for_its_link_is_reached_by_no_cancel a_linked_receive_needs_two_places_in_the_table,
    send: a_gather_goes_out_in_order_and_resumes a_full_socket_makes_a_send_wait a_file_goes_out_between_its_head_and_its_padding a_file_that_ends_early_is_sent_short_and_without_padding files_are_read_where_and_as_far_as_they_go,
    cancel: cancelled_operations_complete_once a_cancelled_receive_tells_what_it_got a_cancelled_memory_send_ends a_cancelled_file_send_ends operations_in_flight_give_their_memory_back_with_the_driver,
    turn: a_full_table_gives_the_operation_back more_operations_than_the_rings_hold_all_complete a_park_ends_at_its_time a_park_that_lingers_collects_what_comes_meanwhile enough_completions_end_a_park_that_lingers any_thread_wakes_a_parked_driver,
}
