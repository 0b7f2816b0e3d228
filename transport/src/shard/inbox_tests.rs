//! Tests of the inbox on real threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Inbox, PushError, Pushed};

#[test]
fn a_full_inbox_gives_the_message_back_and_counts_it() {
    let inbox = Inbox::new(3);
    for message in 0..3 {
        assert_eq!(inbox.push(message), Ok(Pushed { wake_needed: false }));
    }
    assert_eq!(inbox.push(3), Err(PushError::Full(3)));
    assert_eq!(inbox.push(4).unwrap_err().into_inner(), 4);
    assert_eq!((inbox.len(), inbox.capacity()), (3, 3));

    let mut seen = Vec::new();
    assert_eq!(inbox.drain(2, |message| seen.push(message)), 2);
    assert_eq!(inbox.drain(2, |message| seen.push(message)), 1);
    assert_eq!(seen, [0, 1, 2]);

    let stats = inbox.stats();
    assert_eq!((stats.pushed, stats.full, stats.wakes), (3, 2, 0));
    assert_eq!(stats.depth_max, 3);
}

#[test]
fn only_the_first_push_to_a_sleeper_has_to_wake_it() {
    let inbox = Inbox::new(8);
    assert!(inbox.prepare_sleep());
    assert!(inbox.push(1).unwrap().wake_needed);
    assert!(!inbox.push(2).unwrap().wake_needed);
    inbox.finish_sleep();
    assert!(!inbox.push(3).unwrap().wake_needed);
    assert_eq!(inbox.stats().wakes, 1);
}

#[test]
fn a_shard_with_messages_waiting_is_not_let_to_sleep() {
    let inbox = Inbox::new(8);
    let _ = inbox.push(1).unwrap();
    assert!(!inbox.prepare_sleep());
    assert!(
        !inbox.push(2).unwrap().wake_needed,
        "a refused sleep leaves the flag disarmed"
    );
    assert_eq!(inbox.drain(8, drop), 2);
    assert!(inbox.prepare_sleep());
    inbox.finish_sleep();
    assert!(!inbox.push(3).unwrap().wake_needed);
}

#[test]
fn a_closed_inbox_refuses_and_drops_what_waits() {
    let inbox = Inbox::new(8);
    let message = Arc::new(());
    let _ = inbox.push(Arc::clone(&message)).unwrap();
    assert_eq!(Arc::strong_count(&message), 2);
    inbox.close();
    assert!(inbox.is_closed());
    assert_eq!(Arc::strong_count(&message), 1);
    assert!(matches!(
        inbox.push(Arc::clone(&message)),
        Err(PushError::Closed(_))
    ));
    assert!(!inbox.prepare_sleep());
    inbox.finish_sleep();
    assert!(inbox.is_closed(), "sleeping never reopens an inbox");
}

/// Many pushers against a shard that parks whenever it may: every message comes
/// exactly once and each pusher's come in order. A lost wake-up would hang.
#[test]
fn messages_from_many_threads_arrive_once_and_in_each_ones_order() {
    const PUSHERS: usize = 4;
    const EACH: usize = 20_000;
    let inbox = Arc::new(Inbox::new(64));
    let shard = thread::current();
    let wakes_sent = Arc::new(AtomicUsize::new(0));

    let pushers: Vec<_> = (0..PUSHERS)
        .map(|pusher| {
            let (inbox, shard, wakes) = (inbox.clone(), shard.clone(), wakes_sent.clone());
            thread::spawn(move || {
                for number in 0..EACH {
                    if push_until_accepted(&inbox, (pusher, number)) {
                        wakes.fetch_add(1, Ordering::Relaxed);
                        shard.unpark();
                    }
                }
            })
        })
        .collect();

    let mut next = [0; PUSHERS];
    while next.iter().sum::<usize>() < PUSHERS * EACH {
        let drained = inbox.drain(16, |(pusher, number): (usize, usize)| {
            assert_eq!(number, next[pusher]);
            next[pusher] += 1;
        });
        if drained == 0 && inbox.prepare_sleep() {
            thread::park();
            inbox.finish_sleep();
        }
    }
    for pusher in pushers {
        pusher.join().unwrap();
    }

    let stats = inbox.stats();
    assert_eq!(stats.pushed, (PUSHERS * EACH) as u64);
    assert_eq!(stats.wakes, wakes_sent.load(Ordering::Relaxed) as u64);
    assert!(stats.depth_max <= 64);
}

fn push_until_accepted<T>(inbox: &Inbox<T>, mut message: T) -> bool {
    loop {
        match inbox.push(message) {
            Ok(pushed) => return pushed.wake_needed,
            Err(refused) => message = refused.into_inner(),
        }
        thread::yield_now();
    }
}
