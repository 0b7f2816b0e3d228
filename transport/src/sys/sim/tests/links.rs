//! Links: time, bandwidth, buffers, backlog.

use super::rules::both;
use crate::sys::driver::{Driver, Listening, Op, Park};
use crate::sys::sim::{Link, SimSpec, SimWorld};
use crate::sys::socket::{Addr, ListenSpec, SocketSpec, UnixAddr};

fn world(link: Link) -> SimWorld {
    let world = SimWorld::new(1);
    world.set_link(link);
    world
}

#[test]
fn bytes_take_the_delay_and_the_time_of_the_bandwidth() {
    let mut both = both(world(Link {
        delay_ns: 1_000_000,
        bytes_per_sec: Some(1_000_000),
        ..Link::default()
    }));
    let start_ns = both.world.now_ns();
    both.send(both.near, 50_000);
    both.recv(both.far, 50_000);
    assert_eq!(both.settle(), [(1, 50_000), (2, 50_000)]);
    assert_eq!(both.world.now_ns() - start_ns, 50_000_000 + 1_000_000);
}

#[test]
fn connecting_takes_a_round_trip_and_accepting_half_a_one_more() {
    let world = world(Link {
        delay_ns: 1_000_000,
        ..Link::default()
    });
    let start_ns = world.now_ns();
    let both = both(world);
    assert_eq!(both.world.now_ns() - start_ns, 3_000_000);
}

#[test]
fn both_buffers_full_make_a_send_wait_for_the_reader() {
    let mut both = both(world(Link {
        send_buffer_len: 3000,
        recv_buffer_len: 2000,
        ..Link::default()
    }));
    both.send(both.near, 5000);
    assert_eq!(both.settle(), [(1, 5000)]);
    both.send(both.near, 1);
    assert_eq!(both.settle(), [], "not one byte more");
    both.recv(both.far, 1);
    assert_eq!(both.settle(), [(2, 1), (1, 1)]);
}

#[test]
fn a_socket_s_own_buffers_come_before_the_link_s() {
    let mut both = both(world(Link::default()));
    let small = SocketSpec {
        send_buffer_len: Some(100),
        recv_buffer_len: Some(100),
        ..SocketSpec::default()
    };
    let addr = both.addr.clone();
    both.driver.configure(both.near, &addr, &small).unwrap();
    both.driver.configure(both.far, &addr, &small).unwrap();
    both.send(both.near, 201);
    assert_eq!(both.settle(), []);
    both.recv(both.far, 1);
    assert_eq!(both.settle(), [(2, 1), (1, 201)]);
}

#[test]
fn a_full_backlog_delays_connects_until_there_is_room() {
    let world = SimWorld::new(1);
    let mut driver = world.driver(SimSpec::default());
    let mut spec = ListenSpec::new("10.0.0.1:7".parse().unwrap());
    spec.backlog = 2;
    let (listener, addr) = driver.listen(Listening::Spec(spec)).unwrap();
    for token in 1..=3 {
        let sock = driver.socket(&addr, &SocketSpec::default()).unwrap();
        let addr = addr.clone();
        driver.submit(token, Op::Connect { sock, addr }).unwrap();
    }
    let mut connected = Vec::new();
    let mut turn = |driver: &mut crate::sys::sim::SimDriver| {
        driver.enter(Park::Until(None)).unwrap();
        connected.extend(
            std::iter::from_fn(|| driver.next())
                .filter(|done| done.token != 9)
                .map(|done| (done.token, done.result)),
        );
        connected.len()
    };
    let soon = world.now_ns() + 500_000_000;
    assert!(!world.run(soon, || turn(&mut driver) > 2));
    driver.submit(9, Op::Accept { listener }).unwrap();
    assert!(world.run(u64::MAX, || turn(&mut driver) > 2));
    assert_eq!(connected, [(1, 0), (2, 0), (3, 0)]);
}

#[test]
fn listeners_that_share_an_address_share_its_connections() {
    let world = SimWorld::new(1);
    let mut drivers = [(); 2].map(|()| world.driver(SimSpec::default()));
    let mut spec = ListenSpec::new("10.0.0.1:7".parse().unwrap());
    spec.reuse_port = true;
    let addr = spec.addr.clone();
    for driver in &mut drivers {
        let on = Listening::Spec(spec.clone());
        let (listener, _) = driver.listen(on).unwrap();
        driver.submit(0, Op::Accept { listener }).unwrap();
    }
    let mut client = world.driver(SimSpec::default());
    for _ in 0..40 {
        let sock = client.socket(&addr, &SocketSpec::default()).unwrap();
        let addr = addr.clone();
        client.submit(0, Op::Connect { sock, addr }).unwrap();
    }
    let mut counts = [0; 2];
    world.run(u64::MAX, || {
        client.enter(Park::Until(None)).unwrap();
        while client.next().is_some() {}
        for (driver, count) in drivers.iter_mut().zip(&mut counts) {
            driver.enter(Park::Until(None)).unwrap();
            *count += std::iter::from_fn(|| driver.next()).count();
        }
        false
    });
    assert_eq!(counts.iter().sum::<usize>(), 40);
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
}

#[test]
fn unix_domain_names_are_addresses_too() {
    let world = SimWorld::new(1);
    let mut driver = world.driver(SimSpec::default());
    let addr = Addr::Unix(UnixAddr::Path("/run/nobody.sock".into()));
    let sock = driver.socket(&addr, &SocketSpec::default()).unwrap();
    let connect = |addr: &Addr| Op::Connect {
        sock,
        addr: addr.clone(),
    };
    driver.submit(0, connect(&addr)).unwrap();
    driver.enter(Park::No).unwrap();
    world.run_until_idle();
    driver.enter(Park::No).unwrap();
    assert_eq!(driver.next().unwrap().result, -libc::ENOENT);
    driver
        .listen(Listening::Spec(ListenSpec::new(addr.clone())))
        .unwrap();
    driver.submit(0, connect(&addr)).unwrap();
    driver.enter(Park::No).unwrap();
    world.run_until_idle();
    driver.enter(Park::No).unwrap();
    assert_eq!(driver.next().unwrap().result, 0);
    assert_eq!(driver.local_addr(sock), Some(Addr::Unix(UnixAddr::Unnamed)));
}
