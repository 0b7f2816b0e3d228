//! Deadlines, drain and keep-alive, by the numbers.

use std::time::Duration;

use ringrail_codec::native::*;

#[test]
fn deadlines_are_rounded_up_and_long_ones_do_not_travel() {
    let us = |nanos| deadline_us(Some(Duration::from_nanos(nanos)));
    assert_eq!(deadline_us(None), NO_DEADLINE_US);
    assert_eq!((us(0), us(1), us(1000), us(1001)), (1, 1, 1, 2));
    assert_eq!(deadline_us(Some(MAX_DEADLINE)), u32::MAX);
    assert_eq!(
        deadline_us(Some(MAX_DEADLINE + Duration::from_nanos(1))),
        NO_DEADLINE_US
    );
    assert_eq!(deadline_us(Some(Duration::MAX)), NO_DEADLINE_US);
}

#[test]
fn a_deadline_is_over_when_its_time_has_come() {
    assert_eq!(Deadline::from_wire(NO_DEADLINE_US, 5), None);
    let deadline = Deadline::from_wire(100, 1000).expect("there is one");
    assert_eq!(deadline.at_us(), 1100);
    assert!(!deadline.is_over(1099) && deadline.is_over(1100));
    assert_eq!(
        (deadline.to_wire(1099), deadline.to_wire(1100)),
        (Some(1), None)
    );
    let late = Deadline::from_wire(u32::MAX, u64::MAX - 1).expect("there is one");
    assert_eq!(late.at_us(), u64::MAX);
    assert_eq!(
        late.to_wire(0),
        Some(NO_DEADLINE_US),
        "too far away to travel"
    );
}

#[test]
fn a_draining_side_finishes_what_it_has_and_takes_nothing_new() {
    let mut drainer = Drainer::new();
    assert!(drainer.admit(4) && drainer.admit(9) && drainer.admit(7));
    assert!(!drainer.finish(), "not draining yet");
    let drain = drainer
        .begin(DrainReason::Shutdown, "bye")
        .expect("the first time");
    assert_eq!((drain.last_id, drain.text), (9, "bye"));
    assert_eq!(drainer.begin(DrainReason::Idle, "again"), None);
    assert!(!drainer.admit(5) && !drainer.admit(10));
    assert_eq!((drainer.serving(), drainer.is_drained()), (2, false));
    assert!(!drainer.finish());
    assert!(drainer.finish(), "that was the last one");
}

#[test]
fn an_idle_side_is_drained_at_once() {
    let mut drainer = Drainer::new();
    assert!(!drainer.is_drained());
    assert!(drainer.begin(DrainReason::MaxAge, "").is_some());
    assert!(drainer.is_drained() && drainer.is_draining());
}

#[test]
#[should_panic(expected = "not admitted")]
fn a_request_finishes_once() {
    Drainer::new().finish();
}

#[test]
fn what_a_drain_says_about_ones_own_requests() {
    let drain = |last_id| Drain {
        last_id,
        reason: DrainReason::Shutdown,
        text: "",
    };
    let mut notice = DrainNotice::new();
    assert!(notice.may_send() && notice.may_be_served(100));
    notice.on_drain(&drain(20));
    assert!(!notice.may_send());
    assert!(notice.may_be_served(20) && !notice.may_be_served(21));
    notice.on_drain(&drain(10));
    assert!(!notice.may_be_served(11));
    notice.on_drain(&drain(30));
    assert!(
        !notice.may_be_served(11),
        "a later Drain gives nothing back"
    );
}

#[test]
fn silence_is_pinged_once_and_then_deadly() {
    let mut alive = KeepAlive::new(100, 300, 0);
    assert_eq!(alive.poll(99), KeepAliveStep::Wait { until_us: 100 });
    let KeepAliveStep::Ping(ping) = alive.poll(100) else {
        panic!("100 µs of silence");
    };
    assert_eq!(alive.poll(250), KeepAliveStep::Wait { until_us: 300 });
    assert_eq!(
        alive.on_pong(
            &Pong {
                opaque: ping.opaque
            },
            260
        ),
        Some(160)
    );
    assert_eq!(alive.poll(300), KeepAliveStep::Wait { until_us: 360 });
    assert!(matches!(alive.poll(360), KeepAliveStep::Ping(next) if next != ping));
    assert_eq!(alive.poll(560), KeepAliveStep::Dead { silent_us: 300 });
}

#[test]
fn every_byte_is_a_sign_of_life_and_a_strange_pong_is_nothing_more() {
    let mut alive = KeepAlive::new(100, 300, 0);
    alive.on_receive(90);
    assert_eq!(alive.poll(100), KeepAliveStep::Wait { until_us: 190 });
    assert_eq!(alive.on_pong(&Pong { opaque: 77 }, 150), None);
    assert_eq!(alive.poll(200), KeepAliveStep::Wait { until_us: 250 });
    assert!(matches!(alive.poll(250), KeepAliveStep::Ping(_)));
    alive.on_receive(280);
    assert_eq!(alive.poll(290), KeepAliveStep::Wait { until_us: 380 });
    assert!(
        matches!(alive.poll(380), KeepAliveStep::Ping(_)),
        "a new silence, a new ping"
    );
}

#[test]
fn keep_alive_can_be_turned_off() {
    let mut off = KeepAlive::new(0, 0, 5);
    assert_eq!(
        off.poll(u64::MAX - 6),
        KeepAliveStep::Wait { until_us: u64::MAX }
    );
    let mut deaf = KeepAlive::new(0, 300, 0);
    assert_eq!(deaf.poll(299), KeepAliveStep::Wait { until_us: 300 });
    assert_eq!(deaf.poll(300), KeepAliveStep::Dead { silent_us: 300 });
}

#[test]
fn pings_that_are_never_read_end_at_a_bound() {
    let mut debt = PongDebt::default();
    for opaque in 0..u64::from(MAX_PENDING_PONGS) {
        assert_eq!(debt.on_ping(&Ping { opaque }), Ok(Pong { opaque }));
    }
    assert_eq!(debt.on_ping(&Ping { opaque: 0 }), Err(PingFlood));
    debt.on_pong_sent();
    assert!(debt.on_ping(&Ping { opaque: 0 }).is_ok());
}
