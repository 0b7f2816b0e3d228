//! The table of operations, parking and waking.

use super::*;

pub(super) fn a_full_table_gives_the_operation_back<R: Rig>() {
    let mut shard = Shard::<R>::with_ops(2);
    let file = file_of(b"abc");
    let read = |buf| Op::Read {
        file: Arc::clone(&file),
        offset: 0,
        buf,
        at: 0,
        len: 3,
    };
    let buffers = [(); 3].map(|()| shard.buffer(4096));
    let [first, second, third] = buffers.map(|buf| shard.driver.submit(TOKEN, read(buf)));
    let back = third.unwrap_err();
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(shard.end_of(first).result, 3);
    let third = shard.submit(back);
    assert_eq!(shard.end_of(second).result, 3);
    assert_eq!(shard.end_of(third).result, 3);
    shard.finish(&[]);
}

/// So many reads of a file of three bytes.
fn reads_of_three<R: Rig>(shard: &mut Shard<R>, count: u32) -> Vec<OpKey> {
    let file = file_of(b"abc");
    let read = |_| {
        let (buf, file) = (shard.buffer(4096), Arc::clone(&file));
        shard.submit(Op::Read {
            file,
            offset: 0,
            buf,
            at: 0,
            len: 3,
        })
    };
    (0..count).map(read).collect()
}

pub(super) fn more_operations_than_the_rings_hold_all_complete<R: Rig>() {
    let mut shard = Shard::<R>::with_ops(300);
    let keys = reads_of_three(&mut shard, 300);
    for key in keys {
        assert_eq!(shard.next_of(key).result, 3);
    }
    shard.finish(&[]);
}

pub(super) fn a_park_ends_at_its_time<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let until_ns = shard.driver.now_ns() + 3_000_000;
    shard.rig.park(&mut shard.driver, Some(until_ns));
    // The kernel may return early for reasons of its own, but not indefinitely often.
    for _ in 0..MAX_TURNS {
        if shard.driver.now_ns() >= until_ns {
            return shard.finish(&[]);
        }
        shard.rig.park(&mut shard.driver, Some(until_ns));
    }
    panic!("the time never came");
}

pub(super) fn a_park_that_lingers_collects_what_comes_meanwhile<R: Rig>() {
    const LEAST_NS: u64 = 5_000_000;
    let mut shard = Shard::<R>::new();
    let (near, far) = shard.pair();
    let receive = shard.submit(Op::RecvMulti { sock: far });
    shard.turn();
    let began_ns = shard.driver.now_ns();
    let (gather, more) = (shard.gather(b"early"), false);
    let sock = near;
    let send = shard.submit(Op::Send { sock, gather, more });
    let lingers = shard.driver.linger(LEAST_NS);
    shard.rig.park(&mut shard.driver, None);
    if lingers {
        assert!(shard.driver.now_ns() - began_ns >= LEAST_NS);
        let came: Vec<_> = std::iter::from_fn(|| shard.driver.next()).collect();
        assert_eq!(came.len(), 2, "{came:?}");
        shard.done.extend(came);
    }
    assert_eq!(shard.end_of(send).result, 5);
    assert_eq!(shard.next_of(receive).result, 5);
    shard.driver.cancel(receive);
    assert_eq!(shard.end_of(receive).result, -libc::ECANCELED);
    shard.finish(&[near, far]);
}

pub(super) fn enough_completions_end_a_park_that_lingers<R: Rig>() {
    const LEAST_NS: u64 = 60_000_000_000;
    let mut shard = Shard::<R>::new();
    let keys = reads_of_three(&mut shard, LINGER_COMPLETIONS);
    let began_ns = shard.driver.now_ns();
    shard.driver.linger(LEAST_NS);
    shard.rig.park(&mut shard.driver, None);
    assert!(shard.driver.now_ns() - began_ns < LEAST_NS);
    for key in keys {
        assert_eq!(shard.next_of(key).result, 3);
    }
    shard.finish(&[]);
}

pub(super) fn any_thread_wakes_a_parked_driver<R: Rig>() {
    let mut shard = Shard::<R>::new();
    let waker: Waker = shard.driver.waker();
    // A wake-up before the park: it returns at once.
    let early = waker.clone();
    std::thread::spawn(move || early.wake()).join().unwrap();
    shard.driver.enter(Park::Until(None)).unwrap();
    assert!(shard.driver.next().is_none());
    // One at the same time. A park that slept through it would never end.
    let thread = std::thread::spawn(move || waker.wake());
    shard.driver.enter(Park::Until(None)).unwrap();
    assert!(shard.driver.next().is_none());
    thread.join().unwrap();
    shard.finish(&[]);
}
