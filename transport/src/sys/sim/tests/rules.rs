//! The rules that the engine must keep: each one broken, and the seed told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::buf::Pool;
use crate::sys::driver::{Driver, Listening, Op, Park, Payload, Sock};
use crate::sys::sim::{SimDriver, SimSpec, SimWorld};
use crate::sys::socket::{Addr, ListenSpec, SocketSpec};

const SEED: u64 = 0xabcd;

pub(super) struct Both {
    pub(super) world: SimWorld,
    pub(super) driver: SimDriver,
    pub(super) pool: Pool,
    pub(super) listener: Sock,
    pub(super) addr: Addr,
    /// Both ends of a connection.
    pub(super) near: Sock,
    pub(super) far: Sock,
}

/// A connection in a world without faults; the accept is still posted.
pub(super) fn both(world: SimWorld) -> Both {
    let mut driver = world.driver(SimSpec::default());
    let pool = Pool::new(64 << 20, 0);
    driver.refill(&pool);
    let spec = ListenSpec::new("10.0.0.1:0".parse().unwrap());
    let (listener, addr) = driver.listen(Listening::Spec(spec)).unwrap();
    driver.submit(0, Op::Accept { listener }).unwrap();
    let near = driver.socket(&addr, &SocketSpec::default()).unwrap();
    let connect = Op::Connect {
        sock: near,
        addr: addr.clone(),
    };
    driver.submit(0, connect).unwrap();
    let mut far = None;
    world.run(u64::MAX, || {
        driver.enter(Park::Until(None)).unwrap();
        while let Some(done) = driver.next() {
            if let Payload::Accepted { sock, .. } = done.payload {
                far = Some(sock);
            }
        }
        far.is_some()
    });
    Both {
        world,
        driver,
        pool,
        listener,
        addr,
        near,
        far: far.expect("accepted"),
    }
}

impl Both {
    pub(super) fn send(&mut self, sock: Sock, len: usize) {
        let mut gather = self.pool.gather(64).unwrap();
        gather.put_body(Bytes::from(vec![7; len]).into());
        let more = false;
        self.driver
            .submit(1, Op::Send { sock, gather, more })
            .unwrap();
    }

    pub(super) fn recv(&mut self, sock: Sock, len: usize) {
        let buf = self.pool.lease(len).unwrap();
        let at = 0;
        self.driver
            .submit(
                2,
                Op::Recv {
                    sock,
                    buf,
                    at,
                    len,
                    whole: true,
                    linked: false,
                },
            )
            .unwrap();
    }

    /// Runs until nothing happens any more; every completion as token and result.
    pub(super) fn settle(&mut self) -> Vec<(u64, i32)> {
        let mut all = Vec::new();
        let (world, driver) = (&self.world, &mut self.driver);
        world.run(u64::MAX, || {
            driver.enter(Park::Until(None)).unwrap();
            while let Some(done) = driver.next() {
                all.push((done.token, done.result));
            }
            false
        });
        all
    }
}

/// The message of what breaks a rule.
fn broken(breach: impl FnOnce(&mut Both)) -> String {
    let mut both = both(SimWorld::new(SEED));
    let panic = catch_unwind(AssertUnwindSafe(|| breach(&mut both))).expect_err("a rule is broken");
    let message = *panic.downcast::<String>().unwrap();
    assert!(message.contains("seed 0xabcd"), "{message}");
    assert!(message.contains("connected"), "the trace: {message}");
    message
}

#[test]
fn a_socket_is_not_closed_under_its_operation() {
    let message = broken(|both| {
        both.recv(both.near, 10);
        both.driver.close(both.near);
    });
    assert!(
        message.contains("closed while its recv is outstanding"),
        "{message}"
    );
    let message = broken(|both| both.driver.close(both.listener));
    assert!(
        message.contains("closed while its accept is outstanding"),
        "{message}"
    );
}

#[test]
fn a_completion_that_waits_to_be_taken_is_outstanding_too() {
    let message = broken(|both| {
        both.send(both.near, 10);
        both.driver.enter(Park::No).unwrap();
        assert!(both.driver.ready());
        both.driver.close(both.near);
    });
    assert!(
        message.contains("closed while its send is outstanding"),
        "{message}"
    );
}

#[test]
fn one_send_and_one_receive_at_a_time() {
    let message = broken(|both| {
        both.send(both.near, 10);
        both.recv(both.near, 10);
        both.send(both.near, 10);
    });
    assert!(message.contains("send beside send"), "{message}");
    let message = broken(|both| {
        both.recv(both.near, 10);
        let sock = both.near;
        let _ = both.driver.submit(0, Op::RecvMulti { sock });
    });
    assert!(message.contains("recv_multi beside recv"), "{message}");
    let message = broken(|both| {
        both.send(both.near, 10);
        let head = both.pool.gather(64).unwrap();
        let (sock, offset, len) = (both.near, 0, 10);
        let file = std::sync::Arc::new(tempfile::tempfile().unwrap());
        let send = Op::SendFile {
            sock,
            head,
            file,
            offset,
            len,
            padding: 0,
        };
        let _ = both.driver.submit(0, send);
    });
    assert!(message.contains("send_file beside send"), "{message}");
}

#[test]
fn a_linked_receive_is_followed_by_its_second_half() {
    fn linked(both: &mut Both) {
        let buf = both.pool.lease(10).unwrap();
        let recv = Op::Recv {
            sock: both.near,
            buf,
            at: 0,
            len: 10,
            whole: true,
            linked: true,
        };
        both.driver.submit(0, recv).unwrap();
    }
    let breaches: [fn(&mut Both); 4] = [
        |both| both.driver.enter(Park::No).unwrap(),
        |both| both.send(both.near, 10),
        |both| both.recv(both.far, 10),
        |both| both.driver.cancel(crate::sys::driver::OpKey(0)),
    ];
    for breach in breaches {
        let message = broken(|both| {
            linked(both);
            breach(both);
        });
        assert!(
            message.contains("where another receive is due"),
            "{message}"
        );
    }
    let message = broken(|both| {
        linked(both);
        both.recv(both.near, 10);
        both.recv(both.near, 10);
    });
    assert!(message.contains("recv beside recv"), "{message}");
    let message = broken(|both| {
        linked(both);
        both.recv(both.near, 10);
        both.send(both.far, 10);
        both.driver.enter(Park::No).unwrap();
        both.world.run_until_idle();
        both.driver.enter(Park::No).unwrap();
        while both.driver.next().is_some() {}
        both.driver.close(both.near);
    });
    assert!(message.contains("closed while its recv"), "{message}");
}

#[test]
fn a_closed_socket_is_not_used() {
    let uses: [fn(&mut Both); 4] = [
        |both| both.send(both.near, 10),
        |both| both.driver.shutdown(both.near, false),
        |both| drop(both.driver.local_addr(both.near)),
        |both| both.driver.close(both.near),
    ];
    for act in uses {
        let message = broken(|both| {
            both.driver.close(both.near);
            act(both);
        });
        assert!(message.contains("use of a closed socket"), "{message}");
    }
}

#[test]
fn a_socket_belongs_to_one_driver() {
    let message = broken(|both| {
        let mut other = both.world.driver(SimSpec::default());
        other.close(both.near);
    });
    assert!(message.contains("is host 0's, not host 1's"), "{message}");
}

#[test]
fn a_socket_carries_data_only_once_its_connect_has_completed() {
    let message = broken(|both| {
        let sock = both.driver.socket(&both.addr, &SocketSpec::default());
        both.recv(sock.unwrap(), 10);
    });
    assert!(message.contains("not ready for it"), "{message}");
}

#[test]
fn a_clean_shutdown_leaves_nothing() {
    let message = broken(|both| both.driver.assert_quiescent());
    assert!(message.contains("1 operations in flight"), "{message}");
    let message = broken(|both| {
        let key = crate::sys::driver::OpKey(0);
        both.driver.cancel(key);
        both.settle();
        both.driver.assert_quiescent();
    });
    assert!(message.contains("3 sockets open"), "{message}");
}

#[test]
fn a_shard_that_parks_in_the_past_for_ever_is_caught() {
    let message = broken(|both| {
        let past_ns = both.world.now_ns() - 1;
        both.world.run(u64::MAX, || {
            both.driver.enter(Park::Until(Some(past_ns))).unwrap();
            false
        });
    });
    assert!(
        message.contains("parks until a time that is past"),
        "{message}"
    );
}
