//! Budget, reserve and return of the pool's buffers.

use super::*;

#[test]
fn a_returned_buffer_is_the_next_one_out() {
    let pool = Pool::new(1 << 20, 0);
    let first = pool.lease(100).unwrap();
    let address = first.as_slice().as_ptr();
    drop(first);
    assert_eq!(pool.lease(4096).unwrap().as_slice().as_ptr(), address);
    assert_eq!(pool.stats().fresh, 1);
}

#[test]
fn the_budget_is_hard_and_the_reserve_is_apart() {
    let pool = Pool::new(64 << 10, 16 << 10);
    let held: Vec<_> = (0..12).map(|_| pool.lease(4096).unwrap()).collect();
    assert!(pool.lease(1).is_none());
    let reserved: Vec<_> = (0..4).map(|_| pool.lease_reserved(1).unwrap()).collect();
    assert!(pool.lease_reserved(1).is_none());
    assert_eq!(pool.stats().leased_bytes, 64 << 10);
    assert_eq!(pool.stats().exhausted, 2);
    drop((held, reserved));
    assert_eq!(pool.stats().leased_bytes, 0);
    assert!(
        pool.lease(40 << 10).is_none(),
        "a 64 KiB class does not fit beside the reserve"
    );
}

#[test]
fn receive_buffers_have_a_part_of_the_reserve_to_themselves() {
    let pool = Pool::with_receive_part(64 << 10, 32 << 10, 16 << 10);
    let data: Vec<_> = (0..8).map(|_| pool.lease(4096).unwrap()).collect();
    let control: Vec<_> = (0..4).map(|_| pool.lease_reserved(4096).unwrap()).collect();
    assert!(pool.lease(1).is_none() && pool.lease_reserved(1).is_none());
    let receive: Vec<_> = (0..4).map(|_| pool.lease_receive(4096).unwrap()).collect();
    assert!(pool.lease_receive(1).is_none());
    drop((data, control, receive));
    assert_eq!(pool.stats().leased_bytes, 0);
}

#[test]
fn free_memory_of_another_class_makes_room() {
    let pool = Pool::new(1 << 20, 0);
    drop(pool.lease(1 << 20).unwrap());
    assert_eq!(pool.stats().mapped_bytes, 1 << 20);
    assert!(pool.lease(4096).is_some());
    assert_eq!(pool.stats().mapped_bytes, 4096);
}

#[test]
fn sizes_that_alternate_at_the_budget_map_nothing_anew() {
    let pool = Pool::new(8 << 20, 0);
    let mut fresh = 0;
    for round in 0..100 {
        let large: Vec<_> = (0..4).map(|_| pool.lease(2 << 20).unwrap()).collect();
        drop(large);
        let small: Vec<_> = (0..4).map(|_| pool.lease(1 << 20).unwrap()).collect();
        assert!(small.iter().all(|lease| lease.capacity() >= 1 << 20));
        assert!(pool.stats().leased_bytes <= 8 << 20);
        drop(small);
        match round {
            0 => fresh = pool.stats().fresh,
            _ => assert_eq!(pool.stats().fresh, fresh, "round {round}"),
        }
    }
    assert_eq!(fresh, 4);
}

#[test]
fn a_larger_buffer_is_given_within_the_limit_of_its_lane_alone() {
    let pool = Pool::new(4 << 20, 1 << 20);
    drop(pool.lease_reserved(4 << 20).unwrap());
    // The data lane has 3 MiB: a buffer of 4 MiB would be beyond them.
    let lease = pool.lease(2 << 20).unwrap();
    assert_eq!(lease.capacity(), 2 << 20);
    assert_eq!(pool.stats().leased_bytes, 2 << 20);
    drop(lease);
    drop(pool.lease_reserved(4 << 20).unwrap());
    let lease = pool.lease_reserved(2 << 20).unwrap();
    assert_eq!(lease.capacity(), 4 << 20);
    assert_eq!(pool.stats().leased_bytes, 4 << 20);
    assert_eq!(pool.stats().high_water_bytes, 4 << 20);
}

#[test]
fn leases_come_home_from_other_threads() {
    let pool = Pool::new(1 << 20, 0);
    for _ in 0..100 {
        let lease = pool.lease(100).unwrap().freeze();
        std::thread::spawn(move || drop(lease)).join().unwrap();
    }
    assert_eq!(pool.stats().leased_bytes, 0);
    assert_eq!(pool.stats().fresh, 1);
}

#[test]
fn the_pool_may_die_first() {
    let pool = Pool::new(1 << 20, 0);
    let shared = Arc::clone(&pool.inner.shared);
    let mut lease = pool.lease(100).unwrap();
    lease.put(b"still here");
    let (here, there) = (lease.freeze(), pool.lease(100).unwrap().freeze());
    drop(pool.lease(100).unwrap());
    drop(pool);
    assert_eq!(&here[..], b"still here");
    std::thread::spawn(move || drop(there)).join().unwrap();
    drop(here);
    assert_eq!(shared.mapped.load(Ordering::Relaxed), 0);
}

#[test]
fn a_reservation_counts_until_it_is_redeemed_or_dropped() {
    let pool = Pool::new(64 << 10, 0);
    let promise = pool.reserve(40 << 10).unwrap();
    assert_eq!(promise.capacity(), 64 << 10);
    assert!(pool.lease(1).is_none() && pool.reserve(1).is_none());
    assert_eq!(pool.stats().mapped_bytes, 0, "a promise maps nothing");
    let lease = promise.redeem().unwrap();
    assert_eq!(pool.stats().leased_bytes, 64 << 10);
    drop(lease);
    drop(pool.reserve(1).unwrap());
    assert_eq!(pool.stats().leased_bytes, 0);
}

#[test]
fn quarters_are_filled_where_the_pressure_says_so() {
    let pool = Pool::new(64 << 10, 0);
    let mut leases = Vec::new();
    for count in 0..=16 {
        for quarters in 1..=4 {
            let filled = pool.pressure() >= 64 * quarters;
            assert_eq!(pool.is_filled(quarters), filled, "{count} of 16 leased");
        }
        leases.extend(pool.lease(4096));
    }
    assert_eq!(leases.len(), 16);
}

#[test]
fn a_length_past_the_largest_class_is_refused() {
    assert!(
        Pool::new(usize::MAX, 0)
            .lease(super::super::MAX_LEASE_LEN + 1)
            .is_none()
    );
}
