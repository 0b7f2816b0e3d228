//! Receives: multishot and exact, their ends, the group of buffers.

use super::*;

pub(super) fn a_multishot_receive_gives_everything_and_then_the_end<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let sent = pattern(3 * BUFFER_LEN + 5);
    shard.send(near, &sent);
    shard.driver.shutdown(near, false);
    assert_eq!(shard.drain(far), sent);
    shard.send(far, b"the other way still goes");
    let back = shard.recv(near, 24);
    assert_eq!(shard.end_of(back).result, 24);
    shard.finish(&[near, far]);
}

pub(super) fn an_exact_receive_waits_for_all_of_it<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let sent = pattern(9000);
    let (at, len) = (100, 6000);
    let buf = shard.buffer(8192);
    let key = shard.submit(Op::Recv {
        sock: far,
        buf,
        at,
        len,
        whole: true,
        linked: false,
    });
    shard.send(near, &sent[..1000]);
    for _ in 0..5 {
        shard.turn();
    }
    assert!(shard.done.is_empty(), "1000 of {len} bytes are not enough");
    shard.send(near, &sent[1000..]);
    let done = shard.end_of(key);
    assert_eq!(done.result, 6000);
    let Payload::Buffer(mut buf) = done.payload else {
        panic!("{done:?}");
    };
    assert_eq!(&buf.buffer_mut()[at..at + len], &sent[..len]);
    drop(buf);

    let key = shard.recv(far, 6000);
    shard.driver.shutdown(near, false);
    let done = shard.end_of(key);
    assert_eq!(done.result, 3000, "short at the end of the stream");
    let Payload::Buffer(mut buf) = done.payload else {
        panic!("{done:?}");
    };
    assert_eq!(&buf.buffer_mut()[..3000], &sent[6000..]);
    drop(buf);
    let key = shard.recv(far, 1);
    assert_eq!(shard.end_of(key).result, 0);
    shard.finish(&[near, far]);
}

pub(super) fn a_peer_that_closed_ends_both_directions<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    shard.send(near, b"never read");
    for _ in 0..3 {
        shard.turn();
    }
    // Unread bytes make the close a reset.
    shard.driver.close(far);
    for _ in 0..3 {
        shard.turn();
    }
    let recv = shard.recv(near, 10);
    assert_eq!(shard.end_of(recv).result, -libc::ECONNRESET);
    let (sock, gather, more) = (near, shard.gather(b"x"), false);
    let send = shard.submit(Op::Send { sock, gather, more });
    let done = shard.end_of(send);
    assert_eq!(done.result, -libc::EPIPE);
    drop(done);
    let recv = shard.recv(near, 10);
    assert_eq!(shard.end_of(recv).result, 0);
    shard.finish(&[near]);
}

pub(super) fn shutting_down_both_directions_ends_a_receive<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let multi = shard.submit(Op::RecvMulti { sock: near });
    shard.turn();
    shard.driver.shutdown(near, true);
    assert_eq!(shard.end_of(multi).result, 0);
    assert_eq!(shard.drain(far), b"");
    shard.finish(&[near, far]);
}

pub(super) fn a_dry_group_ends_receives_until_it_is_refilled<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let sent = pattern((usize::from(BUFFERS) + 2) * BUFFER_LEN);
    let key = shard.submit(Op::RecvMulti { sock: far });
    shard.send(near, &sent);
    let (mut held, mut received) = (Vec::new(), Vec::new());
    let last = loop {
        let done = shard.next_of(key);
        match done.payload {
            Payload::Received(lease) => {
                received.extend_from_slice(lease.as_slice());
                held.push(lease);
            }
            _ => break done,
        }
    };
    assert_eq!((last.result, last.more), (-libc::ENOBUFS, false));
    assert!(held.len() <= usize::from(BUFFERS));
    assert_eq!(shard.driver.stats().no_buffers, 1);
    drop(held);
    assert_eq!(shard.driver.refill(&shard.pool), usize::from(BUFFERS));
    shard.driver.shutdown(near, false);
    received.extend(shard.drain(far));
    assert!(received == sent, "nothing is lost");
    shard.finish(&[near, far]);
}

pub(super) fn a_refill_is_bounded_by_the_pool<R: Rig>() {
    let rig = R::new();
    let mut driver = rig.driver(8);
    let pool = Pool::new(2 * BUFFER_LEN, 0);
    assert_eq!(driver.refill(&pool), 2, "{BUFFERS} places, memory for 2");
    assert_eq!(pool.stats().leased_bytes, 2 * BUFFER_LEN);
    let larger = Pool::new(1 << 20, 0);
    assert_eq!(driver.refill(&larger), usize::from(BUFFERS));
    assert_eq!(larger.stats().leased_bytes, 2 * BUFFER_LEN);
}

/// The engine takes a part of the completions per turn; what it has not taken must not cost ever more memory.
pub(super) fn completions_that_nobody_takes_hold_no_more_than_the_group<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let sent = pattern(16 * BUFFER_LEN);
    let (gather, more) = (shard.gather(&sent), false);
    let sock = near;
    let send = shard.submit(Op::Send { sock, gather, more });
    let mut receive = shard.submit(Op::RecvMulti { sock: far });
    let group = usize::from(BUFFERS) * BUFFER_LEN;
    for _ in 0..10 {
        let until_ns = shard.driver.now_ns() + TURN_NS;
        shard.rig.park(&mut shard.driver, Some(until_ns));
        shard.driver.refill(&shard.pool);
        let leased = shard.pool.stats().leased_bytes;
        assert!(leased <= group + BUFFER_LEN, "{leased} bytes of {group}");
    }
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let done = shard.next_of(receive);
        if let Payload::Received(lease) = done.payload {
            got.extend_from_slice(lease.as_slice());
        }
        shard.driver.refill(&shard.pool);
        if !done.more {
            receive = shard.submit(Op::RecvMulti { sock: far });
        }
    }
    assert_eq!(got, sent);
    assert_eq!(usize::try_from(shard.end_of(send).result), Ok(sent.len()));
    shard.driver.cancel(receive);
    while shard.next_of(receive).more {}
    shard.finish(&[near, far]);
}
