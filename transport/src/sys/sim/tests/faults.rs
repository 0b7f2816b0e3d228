//! Each fault: that it happens when ordered, as ordered.

use std::io::Write;
use std::sync::Arc;

use super::rules::{Both, both};
use crate::sys::driver::{Driver, Op, Park, Payload};
use crate::sys::sim::{Direction, Faults, Injury, Kind, Script, SimWorld, When};
use crate::sys::socket::SocketSpec;

fn with(set: impl FnOnce(&mut Faults)) -> Both {
    let both = both(SimWorld::new(3));
    let mut faults = Faults::default();
    set(&mut faults);
    both.world.set_faults(faults);
    both
}

fn scripted(when: When, injury: Injury) -> Both {
    let world = SimWorld::new(3);
    world.script(Script {
        connection: 0,
        when,
        injury,
    });
    both(world)
}

#[test]
fn a_reset_comes_after_exactly_the_ordered_byte() {
    for count in [1, 999, 5000] {
        let at = When::Byte(Direction::ToServer, count);
        let mut both = scripted(at, Injury::Reset);
        both.send(both.near, 9000);
        both.recv(both.far, 9000);
        assert_eq!(both.settle(), [(1, 9000), (2, count as i32)]);
        both.recv(both.far, 1);
        both.recv(both.near, 1);
        both.send(both.far, 1);
        assert_eq!(
            both.settle(),
            [
                (2, -libc::ECONNRESET),
                (2, -libc::ECONNRESET),
                (1, -libc::EPIPE)
            ]
        );
        both.recv(both.far, 1);
        assert_eq!(both.settle(), [(2, 0)], "an error is told once");
    }
}

#[test]
fn a_reset_at_a_time_ends_what_waits() {
    let mut both = scripted(When::Time(2_000_000_000), Injury::Reset);
    both.recv(both.near, 10);
    both.send(both.far, 4);
    both.recv(both.far, 10);
    // The receive with bytes reports them; the one without reports the error.
    assert_eq!(both.settle(), [(1, 4), (2, 4), (2, -libc::ECONNRESET)]);
}

#[test]
fn a_vanished_peer_takes_bytes_until_the_buffer_is_full() {
    let at = When::Byte(Direction::ToClient, 100);
    let mut both = scripted(at, Injury::Vanish);
    both.send(both.far, 300);
    both.recv(both.near, 300);
    assert_eq!(both.settle(), [(1, 300)]);
    both.send(both.near, (256 << 10) + 1);
    assert_eq!(both.settle(), [], "neither end is told");
    assert_eq!(both.driver.host().in_flight(), 3);
}

#[test]
fn an_unplugged_host_is_silent_and_cannot_be_reached() {
    let mut both = both(SimWorld::new(3));
    both.driver.host().unplug();
    both.send(both.near, 10);
    both.recv(both.far, 10);
    assert_eq!(both.settle(), [(1, 10)]);
    let sock = both.driver.socket(&both.addr, &SocketSpec::default());
    let (sock, addr) = (sock.unwrap(), both.addr.clone());
    both.driver.submit(3, Op::Connect { sock, addr }).unwrap();
    assert_eq!(both.settle(), [(3, -libc::ETIMEDOUT)]);
}

#[test]
fn sends_and_receives_complete_short() {
    let mut both = with(|faults| faults.short_send = 1.0);
    both.send(both.near, 1 << 20);
    let done = both.settle();
    assert!(matches!(done[..], [(1, 1..0x10_0000)]), "{done:?}");

    let mut both = with(|faults| faults.short_recv = 1.0);
    both.send(both.near, 1 << 16);
    both.recv(both.far, 1 << 16);
    let done = both.settle();
    assert!(
        matches!(done[..], [(1, 0x1_0000), (2, 1..0x1_0000)]),
        "{done:?}"
    );
}

#[test]
fn multishot_ends_for_want_of_buffers_though_there_are_some() {
    let mut both = with(|faults| faults.no_buffers = 1.0);
    let sock = both.far;
    both.driver.submit(5, Op::RecvMulti { sock }).unwrap();
    both.send(both.near, 10);
    assert_eq!(both.settle(), [(1, 10), (5, -libc::ENOBUFS)]);
    assert_eq!(both.driver.stats().no_buffers, 1);
    both.world.set_faults(Faults::default());
    both.driver.submit(5, Op::RecvMulti { sock }).unwrap();
    assert_eq!(both.settle(), [(5, 10)], "the bytes are still there");
}

#[test]
fn multishot_ends_with_a_good_result() {
    let mut both = with(|faults| faults.multishot_end = 1.0);
    let sock = both.far;
    both.driver.submit(5, Op::RecvMulti { sock }).unwrap();
    both.send(both.near, 10);
    both.settle();
    both.send(both.near, 10);
    assert_eq!(both.settle(), [(1, 10)], "it has ended");
    both.driver.submit(5, Op::RecvMulti { sock }).unwrap();
    assert_eq!(both.settle(), [(5, 10)]);
}

#[test]
fn what_overflows_the_queue_comes_with_the_next_enter_and_in_order() {
    let mut both = with(|faults| {
        faults.cq_entries = Some(2);
        faults.short_recv = 1.0;
    });
    let sock = both.far;
    both.send(both.near, 50_000);
    both.settle();
    let key = both.driver.submit(5, Op::RecvMulti { sock }).unwrap();
    both.driver.enter(Park::No).unwrap();
    let mut sizes = Vec::new();
    while both.driver.ready() {
        let mut count = 0;
        while let Some(done) = both.driver.next() {
            assert_eq!(done.key, key);
            sizes.push(done.result);
            count += 1;
        }
        assert!(count <= 2);
        both.driver.enter(Park::No).unwrap();
    }
    assert_eq!(sizes.iter().sum::<i32>(), 50_000);
    assert_eq!(both.driver.stats().cq_overflows, sizes.len() as u64 - 2);
}

#[test]
fn late_completions_let_others_overtake_but_not_their_own_operation() {
    let mut overtaken = 0;
    for seed in 0..50 {
        let mut both = both(SimWorld::new(seed));
        both.world.set_faults(Faults {
            late: 0.5,
            late_ns: 1_000_000,
            short_recv: 1.0,
            ..Faults::default()
        });
        let sock = both.far;
        both.driver.submit(5, Op::RecvMulti { sock }).unwrap();
        for len in [10_000, 20_000] {
            both.send(both.near, len);
            both.world.run_until_idle();
            let (mut tokens, mut sizes) = (Vec::new(), 0);
            while both.driver.ready() || sizes < len as i32 {
                both.driver.refill(&both.pool);
                both.driver.enter(Park::No).unwrap();
                while let Some(done) = both.driver.next() {
                    tokens.push(done.token);
                    sizes += if done.token == 5 { done.result } else { 0 };
                }
                both.world.step();
            }
            assert_eq!(sizes, len as i32);
            overtaken += usize::from(tokens[0] == 5);
            while both.driver.next().is_some() {}
            both.settle();
        }
    }
    assert!(overtaken > 5, "{overtaken}");
}

#[test]
fn a_late_cancel_finds_the_operation_done() {
    let mut both = with(|faults| {
        faults.late_cancel = 1.0;
        faults.late_cancel_ns = 1_000_000_000;
    });
    both.recv(both.far, 10);
    let key = both.driver.submit(7, Op::RecvMulti { sock: both.near });
    both.driver.cancel(key.unwrap());
    both.send(both.near, 10);
    // The cancel of one operation is under way; the other is not its business.
    assert_eq!(both.settle(), [(1, 10), (2, 10), (7, -libc::ECANCELED)]);

    let sock = both.near;
    let key = both.driver.submit(7, Op::RecvMulti { sock }).unwrap();
    both.driver.cancel(key);
    both.send(both.far, 10);
    assert_eq!(both.settle(), [(1, 10), (7, 10), (7, -libc::ECANCELED)]);
}

#[test]
fn connects_are_refused_or_hang() {
    for (refused, hang, expected) in [(1.0, 0.0, libc::ECONNREFUSED), (0.0, 1.0, libc::ETIMEDOUT)] {
        let mut both = with(|faults| {
            faults.connect_refused = refused;
            faults.connect_hang = hang;
        });
        let sock = both.driver.socket(&both.addr, &SocketSpec::default());
        let (sock, addr) = (sock.unwrap(), both.addr.clone());
        both.driver.submit(3, Op::Connect { sock, addr }).unwrap();
        assert_eq!(both.settle(), [(3, -expected)]);
    }
}

#[test]
fn sockets_and_accepts_fail_for_want_of_descriptors() {
    let mut both = with(|faults| faults.accept_error = 1.0);
    let sock = both.driver.socket(&both.addr, &SocketSpec::default());
    let (sock, addr, listener) = (sock.unwrap(), both.addr.clone(), both.listener);
    both.driver.submit(3, Op::Connect { sock, addr }).unwrap();
    assert_eq!(both.settle(), [(3, 0), (0, -libc::EMFILE)]);
    both.world.set_faults(Faults {
        socket_error: 1.0,
        ..Faults::default()
    });
    let refused = both.driver.socket(&both.addr, &SocketSpec::default());
    assert!(refused.unwrap_err().to_string().contains("ulimit -n"));
    // The connection is still there to be accepted.
    both.driver.submit(4, Op::Accept { listener }).unwrap();
    assert_eq!(both.settle(), [(4, 0)]);
}

#[test]
fn a_connection_that_was_reset_before_it_was_accepted_has_no_peer() {
    let world = SimWorld::new(3);
    world.script(Script {
        connection: 1,
        when: When::Byte(Direction::ToServer, 0),
        injury: Injury::Reset,
    });
    let mut both = both(world);
    both.driver.host().fail_next(Kind::Accept, libc::EMFILE);
    let sock = both.driver.socket(&both.addr, &SocketSpec::default());
    let (sock, addr, listener) = (sock.unwrap(), both.addr.clone(), both.listener);
    both.driver.submit(3, Op::Connect { sock, addr }).unwrap();
    both.settle();
    both.driver.submit(4, Op::Accept { listener }).unwrap();
    both.driver.enter(Park::No).unwrap();
    let done = both.driver.next().unwrap();
    assert!(matches!((done.result, done.payload), (0, Payload::None)));
}

#[test]
fn the_next_operation_of_a_kind_fails_as_ordered() {
    let mut both = both(SimWorld::new(3));
    both.driver.host().fail_next(Kind::Recv, libc::EINTR);
    both.driver.host().fail_next(Kind::Send, libc::ENOMEM);
    both.recv(both.far, 10);
    both.send(both.near, 10);
    assert_eq!(both.settle(), [(2, -libc::EINTR), (1, -libc::ENOMEM)]);
    both.recv(both.far, 10);
    both.send(both.near, 10);
    assert_eq!(both.settle(), [(1, 10), (2, 10)]);
}

#[test]
fn parked_drivers_are_woken_for_nothing() {
    let mut both = with(|faults| faults.spurious_wake = 1.0);
    both.driver.enter(Park::Until(None)).unwrap();
    assert!(!both.driver.ready());
    both.world.run_until_idle();
    assert!(both.driver.ready());
    both.driver.enter(Park::Until(None)).unwrap();
    assert!(both.driver.next().is_none());
}

#[test]
fn cold_files_take_the_disk_s_time_once() {
    let mut both = with(|faults| {
        faults.cold = 1.0;
        faults.disk_ns = 5_000_000;
    });
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[9; 200_000]).unwrap();
    let file = Arc::new(file);
    let mut into = [0; 100];
    assert_eq!(both.driver.is_resident(&file, 0, 100), Some(false));
    let error = both.driver.read_resident(&file, 0, &mut into).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);

    let start_ns = both.world.now_ns();
    let read = Op::Read {
        file: Arc::clone(&file),
        offset: 0,
        buf: both.pool.lease(1 << 16).unwrap(),
        at: 0,
        len: 1 << 16,
    };
    both.driver.submit(6, read).unwrap();
    assert_eq!(both.settle(), [(6, 1 << 16)]);
    let took_ns = both.world.now_ns() - start_ns;
    assert!((500_000..=5_000_000).contains(&took_ns), "{took_ns}");

    assert_eq!(both.driver.is_resident(&file, 0, 1 << 16), Some(true));
    assert_eq!(
        both.driver.is_resident(&file, 0, (1 << 16) + 1),
        Some(false)
    );
    assert_eq!(
        both.driver.read_resident(&file, 65_500, &mut into).unwrap(),
        36
    );
    assert_eq!(into[..36], [9; 36]);
    assert_eq!(both.world.cold_sends(), 0);
}

#[test]
fn reads_fail_and_end_short() {
    for (short, error) in [(1.0, 0.0), (0.0, 1.0)] {
        let mut both = with(|faults| {
            faults.short_read = short;
            faults.read_error = error;
        });
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[9; 4096]).unwrap();
        let read = Op::Read {
            file: Arc::new(file),
            offset: 0,
            buf: both.pool.lease(4096).unwrap(),
            at: 0,
            len: 4096,
        };
        both.driver.submit(6, read).unwrap();
        let done = both.settle();
        match done[..] {
            [(6, result)] if error > 0.0 => assert_eq!(result, -libc::EIO),
            [(6, result)] => assert!((1..4096).contains(&result), "{result}"),
            _ => panic!("{done:?}"),
        }
    }
}
