//! Listening, connecting, accepting.

use super::*;

pub(super) fn accepts_many_until_cancelled<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (listener, addr) = shard.listen();
    let accept = shard.submit(Op::Accept { listener });
    let mut socks = Vec::new();
    for _ in 0..3 {
        let sock = shard.driver.socket(&addr, &SocketSpec::default()).unwrap();
        let connect = shard.submit(connect_to(sock, &addr));
        assert_eq!(shard.end_of(connect).result, 0);
        let accepted = shard.next_of(accept);
        assert!(accepted.more);
        let Payload::Accepted { sock: other, peer } = accepted.payload else {
            panic!("{accepted:?}");
        };
        let spec = SocketSpec::default();
        shard.driver.configure(other, &peer, &spec).unwrap();
        assert_eq!(shard.driver.local_addr(other).as_ref(), Some(&addr));
        socks.extend([sock, other]);
    }
    shard.driver.cancel(accept);
    assert_eq!(shard.end_of(accept).result, -libc::ECANCELED);
    socks.push(listener);
    shard.finish(&socks);
}

pub(super) fn a_taken_address_is_refused<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (listener, addr) = shard.listen();
    let again = shard.driver.listen(Listening::Spec(ListenSpec::new(addr)));
    assert!(matches!(again, Err(SocketError::InUse { .. })));
    shard.finish(&[listener]);
}

pub(super) fn a_connect_to_nobody_is_refused<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (listener, addr) = shard.listen();
    shard.driver.close(listener);
    shard.turn();
    let sock = shard.driver.socket(&addr, &SocketSpec::default()).unwrap();
    let connect = shard.submit(Op::Connect { sock, addr });
    assert_eq!(shard.end_of(connect).result, -libc::ECONNREFUSED);
    shard.finish(&[sock]);
}
