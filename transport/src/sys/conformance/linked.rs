//! Receives linked to one another: the second begins when the first has all its bytes.

use super::*;

impl<R: Rig> Shard<R> {
    /// Two receives on one socket, the second linked behind the first.
    fn recv_linked(&mut self, sock: Sock, first: usize, second: usize) -> (OpKey, OpKey) {
        let buf = self.buffer(first);
        let key = self.submit(Op::Recv {
            sock,
            buf,
            at: 0,
            len: first,
            whole: true,
            linked: true,
        });
        (key, self.recv(sock, second))
    }

    fn bytes_of(&mut self, key: OpKey) -> (i32, Vec<u8>) {
        let done = self.next_of(key);
        let Payload::Buffer(mut buf) = done.payload else {
            panic!("{done:?}");
        };
        let len = usize::try_from(done.result).unwrap_or(0);
        (done.result, buf.buffer_mut()[..len].to_vec())
    }
}

pub(super) fn a_linked_receive_hands_over_to_the_next<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let sent = pattern(5000);
    let (first, second) = shard.recv_linked(far, 4000, 1000);
    for part in [&sent[..100], &sent[100..4100], &sent[4100..]] {
        shard.send(near, part);
    }
    while shard.done.len() < 2 {
        shard.turn();
    }
    assert_eq!(shard.done[0].key, first, "in their order");
    assert_eq!(shard.bytes_of(first), (4000, sent[..4000].to_vec()));
    assert_eq!(shard.bytes_of(second), (1000, sent[4000..].to_vec()));
    shard.finish(&[near, far]);
}

pub(super) fn a_linked_receive_that_ends_short_cancels_the_next<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let (first, second) = shard.recv_linked(far, 4000, 1000);
    shard.send(near, &pattern(10));
    shard.driver.shutdown(near, false);
    while shard.done.len() < 2 {
        shard.turn();
    }
    assert_eq!(shard.done[0].key, first, "in their order");
    assert_eq!(shard.bytes_of(first), (10, pattern(10)));
    assert_eq!(shard.bytes_of(second), (-libc::ECANCELED, Vec::new()));
    shard.finish(&[near, far]);
}

pub(super) fn a_cancelled_linked_receive_takes_the_next_along<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let (first, second) = shard.recv_linked(far, 4000, 1000);
    shard.turn();
    shard.driver.cancel(first);
    assert_eq!(shard.bytes_of(first).0, -libc::ECANCELED);
    assert_eq!(shard.bytes_of(second).0, -libc::ECANCELED);
    shard.finish(&[near, far]);
}

pub(super) fn a_receive_that_waits_for_its_link_is_reached_by_no_cancel<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let (first, second) = shard.recv_linked(far, 10, 5);
    for _ in 0..3 {
        shard.turn();
    }
    shard.driver.cancel(second);
    for _ in 0..3 {
        shard.turn();
    }
    assert!(shard.done.is_empty(), "{:?}", shard.done);
    shard.send(near, &pattern(15));
    assert_eq!(shard.bytes_of(first).0, 10);
    assert_eq!(shard.bytes_of(second).0, 5);
    shard.finish(&[near, far]);
}

pub(super) fn a_linked_receive_needs_two_places_in_the_table<R: Rig>() {
    let mut shard = Shard::<R>::with_ops(3);
    let (near, far) = shard.pair();
    let others = [
        shard.recv(near, 1),
        shard.submit(Op::RecvMulti { sock: far }),
    ];
    let refused = shard.driver.submit(
        TOKEN,
        Op::Recv {
            sock: near,
            buf: shard.pool.lease(10).unwrap(),
            at: 0,
            len: 10,
            whole: true,
            linked: true,
        },
    );
    assert!(refused.is_err());
    drop(refused);
    for key in others {
        shard.driver.cancel(key);
        assert_eq!(shard.end_of(key).result, -libc::ECANCELED);
    }
    shard.finish(&[near, far]);
}
