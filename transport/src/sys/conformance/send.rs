//! Sends from memory and from files; reads of files.

use super::*;

pub(super) fn a_gather_goes_out_in_order_and_resumes<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let body = pattern(10_000);
    let mut gather = shard.pool.gather(64).unwrap();
    gather.put(b"head");
    gather.put_body(Bytes::from(body.clone()).into());
    gather.put(b"middle");
    let mut lease = shard.buffer(100);
    lease.put(&body[..100]);
    gather.put_body(lease.freeze().into());
    let expected = [b"head", &body[..], b"middle", &body[..100]].concat();

    // As after a send that ended short, in the middle of the second piece.
    gather.advance(1234);
    let more = false;
    let key = shard.submit(Op::Send {
        sock: near,
        gather,
        more,
    });
    let done = shard.end_of(key);
    assert_eq!(done.outcome().unwrap(), expected.len() - 1234);
    let Payload::Gather(gather) = done.payload else {
        panic!("{done:?}");
    };
    assert_eq!(
        gather.remaining(),
        expected.len() - 1234,
        "not yet advanced"
    );
    drop(gather);
    shard.driver.shutdown(near, false);
    assert_eq!(shard.drain(far), &expected[1234..]);
    shard.finish(&[near, far]);
}

pub(super) fn a_full_socket_makes_a_send_wait<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair_with(SocketSpec {
        send_buffer_len: Some(16 << 10),
        recv_buffer_len: Some(16 << 10),
        ..SocketSpec::default()
    });
    let sent = pattern(4 << 20);
    let (gather, more) = (shard.gather(&sent), false);
    let send = shard.submit(Op::Send {
        sock: near,
        gather,
        more,
    });
    for _ in 0..5 {
        shard.turn();
    }
    assert!(shard.done.is_empty(), "4 MiB do not fit into the buffers");
    let recv = shard.recv(far, sent.len());
    let done = shard.end_of(recv);
    assert_eq!(done.outcome().unwrap(), sent.len());
    let Payload::Buffer(mut buf) = done.payload else {
        panic!("{done:?}");
    };
    assert!(buf.buffer_mut()[..sent.len()] == sent);
    drop(buf);
    assert_eq!(shard.end_of(send).outcome().unwrap(), sent.len());
    shard.finish(&[near, far]);
}

pub(super) fn a_file_goes_out_between_its_head_and_its_padding<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let bytes = pattern(2 << 20);
    let file = file_of(&bytes);
    let mut head = shard.gather(b"a head of which some is sent: ");
    head.advance(2);
    let remaining = head.remaining();
    let (offset, len, padding) = (777, 1 << 20, 15);
    let total = remaining + len + padding;
    let send = shard.submit(Op::SendFile {
        sock: near,
        head,
        file,
        offset,
        len,
        padding,
    });
    let recv = shard.recv(far, total);
    let received = shard.end_of(recv);
    assert_eq!(received.outcome().unwrap(), total);
    let done = shard.end_of(send);
    assert_eq!(done.outcome().unwrap(), total);
    let Payload::Gather(head) = done.payload else {
        panic!("{done:?}");
    };
    assert_eq!(head.remaining(), remaining, "not yet advanced");
    let Payload::Buffer(mut buf) = received.payload else {
        panic!("{received:?}");
    };
    let (front, back) = buf.buffer_mut()[..total].split_at(remaining);
    assert_eq!(front, b"head of which some is sent: ");
    assert!(back[..len] == bytes[777..777 + len]);
    assert_eq!(back[len..], [0; 15]);
    drop((buf, head));
    shard.finish(&[near, far]);
}

pub(super) fn a_file_that_ends_early_is_sent_short_and_without_padding<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let file = file_of(&pattern(1000));
    let mut results = Vec::new();
    for offset in [900, 1000] {
        let (head, file) = (shard.pool.gather(64).unwrap(), Arc::clone(&file));
        let key = shard.submit(Op::SendFile {
            sock: near,
            head,
            file,
            offset,
            len: 500,
            padding: 8,
        });
        results.push(shard.end_of(key).result);
    }
    assert_eq!(results, [100, 0]);
    shard.driver.shutdown(near, false);
    assert_eq!(shard.drain(far), &pattern(1000)[900..]);
    shard.finish(&[near, far]);
}

pub(super) fn files_are_read_where_and_as_far_as_they_go<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let bytes = pattern(10_000);
    let file = file_of(&bytes);
    for (offset, len, expected) in [(0, 100, 100), (5000, 5000, 5000), (9000, 5000, 1000)] {
        let buf = shard.buffer(8192);
        let key = shard.submit(Op::Read {
            file: Arc::clone(&file),
            offset,
            buf,
            at: 50,
            len,
        });
        let done = shard.end_of(key);
        assert_eq!(done.outcome().unwrap(), expected);
        let Payload::Buffer(mut buf) = done.payload else {
            panic!("{done:?}");
        };
        let from = offset as usize;
        assert_eq!(
            &buf.buffer_mut()[50..50 + expected],
            &bytes[from..from + expected]
        );
    }
    // Just written and read: in memory, where the kernel can tell.
    let mut into = vec![0; 1000];
    let len = shard.driver.read_resident(&file, 9500, &mut into).unwrap();
    assert_eq!(&into[..len], &bytes[9500..]);
    shard.finish(&[]);
}
