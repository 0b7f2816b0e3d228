//! Promises of the ring's driver alone: budgets, sends that do not wait, sockets that are its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::sys::driver::Payload;

fn driver() -> (UringDriver, Pool) {
    let pool = Pool::new(16 << 20, 8 << 20);
    let mut driver = UringDriver::new(&UringSpec::default()).expect("this kernel has io_uring");
    driver.refill(&pool);
    (driver, pool)
}

/// A connection between a test and the driver.
fn pair(driver: &mut UringDriver) -> (UnixStream, Sock) {
    let (peer, own) = UnixStream::pair().unwrap();
    own.set_nonblocking(true).unwrap();
    (peer, driver.socks.insert(OwnedFd::from(own)))
}

fn send(driver: &mut UringDriver, pool: &Pool, sock: Sock, token: u64, len: usize) {
    let mut gather = pool.gather(64).unwrap();
    gather.put_body(Bytes::from(vec![7; len]).into());
    let more = false;
    driver
        .submit(token, Op::Send { sock, gather, more })
        .unwrap();
}

/// Writes until the socket takes no more; how many bytes it took.
fn fill(driver: &UringDriver, sock: Sock) -> usize {
    let fd = driver
        .socks
        .get(sock)
        .unwrap()
        .try_clone_to_owned()
        .unwrap();
    let mut stream = UnixStream::from(fd);
    let (mut filled, piece) = (0, [1; 4096]);
    while let Ok(count) = stream.write(&piece) {
        filled += count;
    }
    filled
}

#[test]
fn a_full_socket_does_not_keep_a_park_from_what_else_comes() {
    let (mut driver, pool) = driver();
    let (mut slow_peer, slow) = pair(&mut driver);
    let (mut quick_peer, quick) = pair(&mut driver);
    let filled = fill(&driver, slow);
    driver.submit(1, Op::RecvMulti { sock: quick }).unwrap();
    driver.enter(Park::No).unwrap();
    for round in 0..3 {
        let before = driver.stats();
        quick_peer.write_all(b"ping").unwrap();
        send(&mut driver, &pool, slow, 2, 100);
        // Nothing bounds this park: it ends with the ping, in the one call that it costs.
        driver.enter(Park::Until(None)).unwrap();
        let stats = driver.stats();
        assert_eq!(stats.enters - before.enters, 1, "round {round}");
        let posted = stats.submitted - before.submitted;
        assert_eq!(posted, 1, "the send alone: no timeout bounds the park");
        let done = driver.next().expect("the ping");
        assert_eq!((done.token, done.result), (1, 4));
        assert!(driver.next().is_none(), "the send waits for its socket");
    }
    // The stalled send continues when the peer reads.
    let mut read = vec![0; filled + 300];
    slow_peer
        .set_read_timeout(Some(std::time::Duration::from_secs(20)))
        .unwrap();
    let mut sent = 0;
    let mut at = 0;
    while sent < 3 {
        if at < read.len() {
            at += slow_peer.read(&mut read[at..]).unwrap();
        }
        driver
            .enter(Park::Until(Some(driver.now_ns() + 1_000_000)))
            .unwrap();
        while let Some(done) = driver.next() {
            assert_eq!((done.token, done.result), (2, 100));
            sent += 1;
        }
    }
    assert!(read[..filled].iter().all(|byte| *byte == 1));
}

#[test]
fn quick_sends_are_done_in_the_call_that_submits_them() {
    let (mut driver, pool) = driver();
    let (mut peer, sock) = pair(&mut driver);
    driver.submit(1, Op::RecvMulti { sock }).unwrap();
    driver.enter(Park::No).unwrap();
    for _ in 0..50 {
        peer.write_all(b"ask").unwrap();
        send(&mut driver, &pool, sock, 2, 3);
        let before = driver.stats().enters;
        driver.enter(Park::Until(None)).unwrap();
        assert_eq!(driver.stats().enters - before, 1);
        let mut tokens: Vec<u64> = std::iter::from_fn(|| driver.next())
            .map(|done| done.token)
            .collect();
        tokens.sort_unstable();
        assert_eq!(tokens, [1, 2], "both came back by one call");
        driver.refill(&pool);
        peer.read_exact(&mut [0; 3]).unwrap();
    }
}

#[test]
fn a_send_that_is_cancelled_before_it_waits_ends() {
    let (mut driver, pool) = driver();
    let (_peer, sock) = pair(&mut driver);
    fill(&driver, sock);
    let gather = {
        let mut gather = pool.gather(64).unwrap();
        gather.put(b"x");
        gather
    };
    let more = false;
    let key = driver.submit(5, Op::Send { sock, gather, more }).unwrap();
    driver.enter(Park::No).unwrap();
    driver.cancel(key);
    let done = loop {
        if let Some(done) = driver.next() {
            break done;
        }
        driver.enter(Park::Until(None)).unwrap();
    };
    assert_eq!((done.token, done.result), (5, -libc::ECANCELED));
    assert!(matches!(done.payload, Payload::Gather(_)));
}

/// A file of zeros, in memory.
fn file(len: u64) -> Arc<File> {
    let memory = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let file = File::from(memory);
    file.set_len(len).unwrap();
    Arc::new(file)
}

/// A peer that takes file bytes at any rate gets a bounded number per call, and completions for others
/// in the same call are reported first.
#[test]
fn file_sends_leave_room_for_others() {
    const SLICE: usize = 1 << 20;
    let (mut driver, pool) = driver();
    // The peer takes everything at once: no send ever waits for it.
    let sink = std::fs::OpenOptions::new().write(true).open("/dev/null");
    let sink = driver.socks.insert(OwnedFd::from(sink.unwrap()));
    let (mut peer, sock) = pair(&mut driver);
    let file = file(SLICE as u64);
    let post = |driver: &mut UringDriver| {
        let op = Op::SendFile {
            sock: sink,
            head: pool.gather(64).unwrap(),
            file: Arc::clone(&file),
            offset: 0,
            len: SLICE,
            padding: 0,
        };
        driver.submit(9, op).unwrap();
    };
    driver.submit(1, Op::RecvMulti { sock }).unwrap();
    driver.enter(Park::No).unwrap();
    post(&mut driver);
    let mut all = 0;
    for _ in 0..20 {
        peer.write_all(b"ping").unwrap();
        driver.enter(Park::Until(None)).unwrap();
        let first = driver.next().expect("the ping");
        assert_eq!(first.token, 1, "before the file's");
        let mut moved = 0;
        while let Some(done) = driver.next() {
            assert_eq!((done.token, done.result as usize), (9, SLICE));
            moved += SLICE;
            assert!(moved <= FILE_BUDGET + SLICE, "{moved} bytes in one call");
            post(&mut driver);
        }
        driver.refill(&pool);
        all += moved;
    }
    assert!(all >= 10 * FILE_BUDGET, "and they do go on: {all}");
}

#[test]
fn a_driver_closes_what_it_owns_and_nothing_else() {
    let (mut driver, _pool) = driver();
    let (mut peer, sock) = pair(&mut driver);
    let (mut stranger, other) = UnixStream::pair().unwrap();
    driver.close(Sock(std::os::fd::AsRawFd::as_raw_fd(&other)));
    stranger.write_all(b"x").unwrap();
    // Dies with an operation in flight.
    driver.submit(1, Op::RecvMulti { sock }).unwrap();
    driver.enter(Park::No).unwrap();
    drop(driver);
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "the peer sees the end");
}

#[test]
fn the_drop_of_a_driver_does_not_wait_for_ever() {
    let (mut driver, _pool) = driver();
    // An operation that no kernel knows of, and none will complete.
    let key = driver.ops.insert(1, State::Accept);
    let start = driver.now_ns();
    assert!(!driver.end_operations(3_000_000));
    assert!(driver.now_ns() - start >= 3_000_000);
    driver.ops.remove(key);
}

#[test]
fn what_is_posted_and_not_submitted_is_told() {
    let (mut driver, pool) = driver();
    let (_peer, sock) = pair(&mut driver);
    driver.enter(Park::No).unwrap();
    assert!(!driver.has_posted());
    send(&mut driver, &pool, sock, 1, 10);
    assert!(
        driver.has_posted(),
        "whoever sleeps elsewhere must enter first"
    );
    driver.enter(Park::No).unwrap();
    assert!(!driver.has_posted());
}
