//! Cancelling, and the end of the driver.

use super::*;

pub(super) fn cancelled_operations_complete_once<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let multi = shard.submit(Op::RecvMulti { sock: near });
    let exact = shard.recv(far, 100);
    shard.turn();
    shard.driver.cancel(multi);
    shard.driver.cancel(exact);
    shard.driver.cancel(exact);
    assert_eq!(shard.end_of(multi).result, -libc::ECANCELED);
    let done = shard.end_of(exact);
    assert_eq!(done.result, -libc::ECANCELED);
    assert!(
        matches!(done.payload, Payload::Buffer(_)),
        "the buffer comes back"
    );
    drop(done);
    shard.driver.cancel(multi);
    shard.driver.cancel(OpKey(12_345));
    shard.turn();
    shard.finish(&[near, far]);
}

pub(super) fn a_cancelled_receive_tells_what_it_got<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let key = shard.recv(far, 100);
    shard.send(near, b"some");
    for _ in 0..3 {
        shard.turn();
    }
    shard.driver.cancel(key);
    let done = shard.end_of(key);
    assert_eq!(done.result, 4);
    drop(done);
    shard.finish(&[near, far]);
}

/// A send that the peer does not let end, cancelled half-way.
fn a_cancelled_send_ends<R: Rig>(file: bool) {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair_with(SocketSpec {
        send_buffer_len: Some(16 << 10),
        recv_buffer_len: Some(16 << 10),
        ..SocketSpec::default()
    });
    let len = 4 << 20;
    let key = if file {
        let (head, file) = (shard.gather(b"head"), file_of(&pattern(len)));
        let (sock, offset) = (near, 0);
        shard.submit(Op::SendFile {
            sock,
            head,
            file,
            offset,
            len,
            padding: 0,
        })
    } else {
        let (sock, gather, more) = (near, shard.gather(&pattern(len)), false);
        shard.submit(Op::Send { sock, gather, more })
    };
    for _ in 0..5 {
        shard.turn();
    }
    shard.driver.cancel(key);
    let done = shard.end_of(key);
    let part = usize::try_from(done.result).is_ok_and(|sent| sent < len);
    assert!(part || done.result == -libc::ECANCELED, "{done:?}");
    drop(done);
    shard.finish(&[near, far]);
}

pub(super) fn a_cancelled_memory_send_ends<R: Rig>() {
    a_cancelled_send_ends::<R>(false);
}

pub(super) fn a_cancelled_file_send_ends<R: Rig>() {
    a_cancelled_send_ends::<R>(true);
}

pub(super) fn operations_in_flight_give_their_memory_back_with_the_driver<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair_with(SocketSpec {
        send_buffer_len: Some(16 << 10),
        recv_buffer_len: Some(16 << 10),
        ..SocketSpec::default()
    });
    let (listener, _) = shard.listen();
    shard.submit(Op::Accept { listener });
    shard.recv(near, 100);
    let (head, file) = (shard.gather(b"head"), file_of(&pattern(4 << 20)));
    shard.submit(Op::SendFile {
        sock: near,
        head,
        file,
        offset: 0,
        len: 4 << 20,
        padding: 0,
    });
    for _ in 0..5 {
        shard.turn();
    }
    // Not even entered.
    let (gather, more) = (shard.gather(&pattern(4 << 20)), false);
    let sock = far;
    shard.submit(Op::Send { sock, gather, more });
    let Shard { driver, pool, .. } = shard;
    drop(driver);
    assert_eq!(pool.stats().leased_bytes, 0);
}
