//! The wheel against a sorted map, and its edges one by one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{LEVELS, TICK_NS, TimerKey, TimerWheel, TimersFull};

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// A start whose ticks are about to carry through several levels.
const START_NS: u64 = ((1 << 36) - 70) * TICK_NS + 17;

fn fire_all(timers: &mut TimerWheel, now_ns: u64) -> Vec<u64> {
    let mut fired = Vec::new();
    let count = timers.advance(now_ns, |token| fired.push(token));
    assert_eq!(count, fired.len());
    fired
}

#[test]
fn a_timer_never_fires_early_and_at_most_a_tick_late() {
    for offset_ns in [1, TICK_NS - 1, TICK_NS, TICK_NS + 1, 90 * TICK_NS + 3] {
        let mut timers = TimerWheel::new(START_NS, 8);
        let deadline_ns = START_NS + offset_ns;
        timers.insert(deadline_ns, 7).unwrap();
        assert_eq!(fire_all(&mut timers, deadline_ns - 1), [0; 0]);
        assert_eq!(fire_all(&mut timers, deadline_ns + TICK_NS), [7]);
        assert!(timers.is_empty());
    }
}

#[test]
fn a_deadline_in_the_past_is_due_at_the_next_tick() {
    let mut timers = TimerWheel::new(START_NS, 8);
    timers.insert(0, 7).unwrap();
    let due_ns = timers.next_deadline().unwrap();
    assert!(due_ns > START_NS && due_ns <= START_NS + TICK_NS);
    assert_eq!(fire_all(&mut timers, due_ns), [7]);
}

#[test]
fn a_cancelled_or_fired_timer_cannot_be_cancelled_again() {
    let mut timers = TimerWheel::new(0, 8);
    let first = timers.insert(TICK_NS, 1).unwrap();
    assert!(timers.cancel(first));
    assert!(!timers.cancel(first));

    let second = timers.insert(TICK_NS, 2).unwrap();
    assert!(!timers.cancel(first), "a stale key names no later timer");
    assert_eq!(fire_all(&mut timers, TICK_NS), [2]);
    assert!(!timers.cancel(second));
    assert_eq!(timers.next_deadline(), None);
}

#[test]
fn the_limit_is_kept_and_entries_are_reused() {
    let mut timers = TimerWheel::new(0, 3);
    let keys: Vec<_> = (0..3)
        .map(|token| timers.insert(TICK_NS, token).unwrap())
        .collect();
    assert_eq!(timers.insert(TICK_NS, 9), Err(TimersFull { limit: 3 }));
    assert!(timers.cancel(keys[1]));
    assert!(timers.insert(TICK_NS, 9).is_ok());
    assert_eq!(timers.len(), 3);

    let capacity = timers.capacity();
    for round in 1..10_000 {
        let fired = fire_all(&mut timers, round * TICK_NS);
        for token in fired {
            timers.insert((round + token % 5) * TICK_NS, token).unwrap();
        }
    }
    assert_eq!(timers.capacity(), capacity);
}

#[test]
fn timers_can_be_cancelled_while_their_tick_fires() {
    let mut timers = TimerWheel::new(0, 8);
    let keys = [1, 2, 3].map(|token| timers.insert(TICK_NS, token).unwrap());
    let first = timers.pop_due(TICK_NS).unwrap();
    let mut left: BTreeSet<u64> = [1, 2, 3].into();
    left.remove(&first);
    let cancelled = *left.first().unwrap();
    assert!(timers.cancel(keys[cancelled as usize - 1]));
    left.remove(&cancelled);
    assert_eq!(
        fire_all(&mut timers, TICK_NS),
        left.into_iter().collect::<Vec<_>>()
    );
}

#[test]
fn a_sleeper_that_follows_next_deadline_reaches_a_far_timer_in_few_steps() {
    for deadline_ns in [50 * SECOND_NS, 20 * DAY_NS, 700 * DAY_NS] {
        let mut timers = TimerWheel::new(START_NS, 8);
        timers.insert(START_NS + deadline_ns, 1).unwrap();
        let mut steps = 0;
        let mut fired = 0;
        while let Some(now_ns) = timers.next_deadline() {
            fired += timers.advance(now_ns, drop);
            steps += 1;
        }
        assert_eq!(fired, 1);
        assert!(steps <= LEVELS, "{steps} steps");
    }
}

#[test]
fn a_deadline_beyond_the_wheel_waits_its_whole_time() {
    let mut timers = TimerWheel::new(START_NS, 8);
    timers.insert(START_NS + 5_000 * DAY_NS, 1).unwrap();
    timers.insert(u64::MAX, 2).unwrap();
    assert_eq!(fire_all(&mut timers, START_NS + 4_999 * DAY_NS), [0; 0]);
    assert_eq!(fire_all(&mut timers, START_NS + 5_001 * DAY_NS), [1]);
    assert_eq!(timers.len(), 1);
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let mut timers = TimerWheel::new(START_NS, 8);
    timers.insert(START_NS + 3 * TICK_NS, 1).unwrap();
    assert_eq!(fire_all(&mut timers, 0), [0; 0]);
    assert_eq!(fire_all(&mut timers, START_NS + 4 * TICK_NS), [1]);
}

#[derive(Debug, Clone)]
enum Op {
    Insert { after_ns: u64 },
    Cancel { pick: prop::sample::Index },
    Advance { by_ns: u64 },
    SleepToNext,
}

fn span() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..3 * TICK_NS,
        4 => 0..200 * TICK_NS,
        3 => 0..100 * SECOND_NS,
        2 => 0..30 * DAY_NS,
        1 => 0..3_000 * DAY_NS,
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => span().prop_map(|after_ns| Op::Insert { after_ns }),
        2 => any::<prop::sample::Index>().prop_map(|pick| Op::Cancel { pick }),
        3 => span().prop_map(|by_ns| Op::Advance { by_ns }),
        2 => Just(Op::SleepToNext),
    ]
}

/// Reference model of the wheel, kept in a sorted map.
struct Model {
    now_tick: u64,
    /// Due tick and token.
    set: BTreeSet<(u64, u64)>,
    due: BTreeMap<u64, u64>,
}

impl Model {
    fn insert(&mut self, deadline_ns: u64, token: u64) {
        let due = deadline_ns.div_ceil(TICK_NS).max(self.now_tick + 1);
        self.set.insert((due, token));
        self.due.insert(token, due);
    }

    fn cancel(&mut self, token: u64) -> bool {
        match self.due.remove(&token) {
            Some(due) => self.set.remove(&(due, token)),
            None => false,
        }
    }

    /// The due tokens, as one set per tick.
    fn advance(&mut self, now_ns: u64) -> Vec<u64> {
        self.now_tick = self.now_tick.max(now_ns / TICK_NS);
        let later = self.set.split_off(&(self.now_tick + 1, 0));
        let due = std::mem::replace(&mut self.set, later);
        due.into_iter()
            .map(|(_, token)| {
                self.due.remove(&token);
                token
            })
            .collect()
    }
}

proptest! {
    #[test]
    fn the_wheel_does_what_a_sorted_map_does(
        start_ns in prop_oneof![Just(0), Just(START_NS), 0..1_000 * DAY_NS],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut wheel = TimerWheel::new(start_ns, 1 << 16);
        let mut model = Model {
            now_tick: start_ns / TICK_NS,
            set: BTreeSet::new(),
            due: BTreeMap::new(),
        };
        let mut now_ns = start_ns;
        let mut keys: Vec<TimerKey> = Vec::new();
        let mut due_ticks: Vec<u64> = Vec::new();
        for op in ops {
            match op {
                Op::Insert { after_ns } => {
                    let token = keys.len() as u64;
                    keys.push(wheel.insert(now_ns + after_ns, token).unwrap());
                    model.insert(now_ns + after_ns, token);
                    due_ticks.push(model.due[&token]);
                }
                Op::Cancel { pick } if !keys.is_empty() => {
                    let token = pick.index(keys.len());
                    prop_assert_eq!(wheel.cancel(keys[token]), model.cancel(token as u64));
                }
                Op::Cancel { .. } => {}
                Op::Advance { by_ns } => now_ns += by_ns,
                Op::SleepToNext => now_ns = wheel.next_deadline().unwrap_or(now_ns),
            }
            let mut fired = fire_all(&mut wheel, now_ns);
            prop_assert!(
                fired.is_sorted_by_key(|&token| due_ticks[token as usize]),
                "ticks fire in order"
            );
            fired.sort_unstable_by_key(|&token| (due_ticks[token as usize], token));
            prop_assert_eq!(fired, model.advance(now_ns));
            prop_assert_eq!(wheel.len(), model.set.len());

            let earliest = model.set.first().map(|&(tick, _)| tick * TICK_NS);
            match (wheel.next_deadline(), earliest) {
                (Some(next_ns), Some(due_ns)) => {
                    prop_assert!(next_ns <= due_ns, "slept past a timer");
                    prop_assert!(next_ns > now_ns, "a loop that never sleeps");
                }
                (next, due) => prop_assert_eq!(next, due),
            }
        }
    }
}
