//! Futures on shards of real rings: on both kinds of park, woken from here and from other threads.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Elapsed, JoinError, SpawnError};
use crate::conf::{ParkMode, TransportConf};
use crate::shard::Engine;

fn engine_of(park: ParkMode, conf: TransportConf) -> Engine {
    let builder = Engine::builder(conf).shards(1).unpinned();
    builder.park(park).start().expect("an engine")
}

fn on_both(check: impl Fn(Engine)) {
    check(engine_of(ParkMode::Bare, TransportConf::default()));
    check(engine_of(ParkMode::Hosted, TransportConf::default()));
}

#[test]
fn a_future_wakes_by_its_own_thread_by_timers_and_by_other_threads() {
    on_both(|engine| {
        let (go, gone) = oneshot::channel::<u32>();
        let join = engine.spawn_on(0, |shard| {
            let shard = shard.clone();
            async move {
                let (local, of_local) = oneshot::channel();
                let other = shard.spawn(async move { of_local.await.expect("sent") });
                shard.sleep(Duration::from_millis(2)).await;
                local.send(1).expect("waited for");
                other.expect("room").await.expect("it ends") + gone.await.expect("sent")
            }
        });
        std::thread::sleep(Duration::from_millis(20));
        go.send(41).expect("waited for");
        assert_eq!(join.wait(), Ok(42));
    });
}

#[test]
fn many_wake_ups_of_other_threads_are_not_lost() {
    on_both(|engine| {
        let rounds = 2_000;
        let (ask, mut asked) = tokio::sync::mpsc::channel::<u32>(1);
        let (answer, answers) = std::sync::mpsc::channel();
        let join = engine.spawn_on(0, move |_| async move {
            let mut sum = 0u64;
            while let Some(n) = asked.recv().await {
                sum += u64::from(n);
                answer.send(n).expect("the test listens");
            }
            sum
        });
        for n in 0..rounds {
            ask.blocking_send(n).expect("it runs");
            if n % 2 == 0 {
                let answer = answers.recv_timeout(Duration::from_secs(20));
                assert!(answer.is_ok(), "wake-up {n} was lost");
            }
        }
        drop(ask);
        assert_eq!(
            join.wait(),
            Ok(u64::from(rounds) * u64::from(rounds - 1) / 2)
        );
    });
}

#[test]
fn a_future_that_wakes_itself_leaves_the_others_their_turns() {
    let engine = engine_of(ParkMode::Bare, TransportConf::default());
    let turns = engine.spawn_on(0, |shard| {
        let shard = shard.clone();
        async move {
            let over = Rc::new(Cell::new(false));
            let (seen, polls) = (Rc::clone(&over), Rc::new(Cell::new(0u64)));
            let count = Rc::clone(&polls);
            let busy = shard.spawn(poll_fn(move |cx| {
                count.set(count.get() + 1);
                cx.waker().wake_by_ref();
                if seen.get() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }));
            shard.sleep(Duration::from_millis(5)).await;
            over.set(true);
            busy.expect("room").await.expect("it ends");
            polls.get()
        }
    });
    assert!(turns.wait().expect("it ends") > 2);
}

#[test]
fn a_panic_ends_one_future_and_its_handle_says_so() {
    on_both(|engine| {
        let join = engine.spawn_on(0, |shard| {
            let shard = shard.clone();
            async move {
                let bad = shard.spawn(async { panic!("as the test wants it") });
                bad.expect("room").await
            }
        });
        assert_eq!(join.wait(), Ok(Err(JoinError::Ended)));
        let gone = engine.spawn_on(0, |_| async { panic!("as the test wants it") });
        assert_eq!(gone.wait(), Err::<(), _>(JoinError::Ended));
        assert_eq!(
            engine.spawn_on(0, |_| async { 1 }).wait(),
            Ok(1),
            "the shard goes on"
        );
        assert_eq!(engine.metrics().handler_panics, 2);
    });
}

#[test]
fn an_aborted_future_is_dropped_and_a_late_waker_finds_nobody() {
    let engine = engine_of(ParkMode::Bare, TransportConf::default());
    let join = engine.spawn_on(0, |shard| {
        let shard = shard.clone();
        async move {
            let (alive, kept) = (Rc::new(()), Rc::new(RefCell::new(None::<Waker>)));
            let (of_future, place) = (Rc::clone(&alive), Rc::clone(&kept));
            let stuck = shard.spawn(poll_fn(move |cx| {
                let _ = &of_future;
                *place.borrow_mut() = Some(cx.waker().clone());
                Poll::<()>::Pending
            }));
            let stuck = stuck.expect("room");
            shard.sleep(Duration::from_millis(1)).await;
            assert_eq!(Rc::strong_count(&alive), 2);
            stuck.abort();
            assert_eq!(Rc::strong_count(&alive), 1, "dropped at once");
            let outcome = stuck.await;
            // Its slot goes to the next future, which may be woken for nothing.
            let next = shard.spawn(async { 7 }).expect("room");
            if let Some(late) = kept.take() {
                late.wake();
            }
            (outcome, next.await)
        }
    });
    assert_eq!(join.wait(), Ok((Err(JoinError::Ended), Ok(7))));
}

#[test]
fn a_timeout_drops_what_is_late_and_passes_on_what_is_not() {
    on_both(|engine| {
        let join = engine.spawn_on(0, |shard| {
            let shard = shard.clone();
            async move {
                let limit = Duration::from_millis(3);
                let late = shard.timeout(limit, std::future::pending::<()>()).await;
                (
                    late,
                    shard.timeout(Duration::from_secs(60), async { 5 }).await,
                )
            }
        });
        assert_eq!(
            join.wait(),
            Ok((Err(Elapsed(Duration::from_millis(3))), Ok(5)))
        );
    });
}

#[test]
fn futures_beyond_the_limit_are_refused_and_told_why() {
    let conf = TransportConf {
        max_futures: 3,
        ..TransportConf::default()
    };
    let engine = engine_of(ParkMode::Bare, conf);
    let join = engine.spawn_on(0, |shard| {
        let shard = shard.clone();
        async move {
            let first = shard.spawn(std::future::pending::<()>()).expect("room");
            let second = shard.spawn(std::future::pending::<()>()).expect("room");
            let refused = shard.spawn(async {}).err();
            first.abort();
            assert!(shard.spawn(async {}).is_ok(), "room again");
            drop(second);
            refused
        }
    });
    let refused = join.wait().expect("it ends").expect("refused");
    assert_eq!(refused, SpawnError::TooMany { shard: 0, limit: 3 });
    assert!(
        refused
            .to_string()
            .contains("ringrail.transport.maxFutures")
    );
}

#[test]
fn another_thread_is_told_to_use_spawn_on() {
    let engine = engine_of(ParkMode::Bare, TransportConf::default());
    let refused = engine.shards()[0].spawn(async {}).err();
    assert_eq!(refused, Some(SpawnError::OtherThread { shard: 0 }));
}

#[test]
fn an_engine_that_ends_drops_its_futures_and_tells_who_waits() {
    on_both(|engine| {
        let (dropped, tell) = std::sync::mpsc::channel::<()>();
        let join = engine.spawn_on(0, move |_| async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
        });
        engine.spawn_on(0, |_| async {}).wait().expect("it runs");
        drop(engine);
        assert_eq!(join.wait(), Err(JoinError::Ended));
        assert!(tell.recv().is_err(), "the future was dropped");
    });
}
