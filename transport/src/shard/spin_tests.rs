//! The spinner against a simulated shard: work arrives at given gaps, and time
//! passes in small steps.

use proptest::prelude::*;

use super::{FORCED_PARK_INTERVAL_NS, Placement, SPIN_MIN_NS, Spinner};

const BARE: Placement = Placement {
    pinned: true,
    oversubscribed: false,
    hosted: false,
};
const HOSTED: Placement = Placement {
    hosted: true,
    ..BARE
};
const MAX_NS: u64 = 50_000;
/// How long one look for work takes.
const LOOK_NS: u64 = 200;

/// The results of a simulated shard.
#[derive(Debug, Default)]
struct Outcome {
    hits: usize,
    sleeps: usize,
    spun_ns: u64,
    longest_without_park_ns: u64,
}

/// Runs a shard for which work arrives after each of the gaps, as the loop in
/// the module's documentation does.
fn simulate(spinner: &mut Spinner, gaps_ns: impl IntoIterator<Item = u64>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut now_ns = FORCED_PARK_INTERVAL_NS;
    let mut last_park_ns = now_ns;
    spinner.parked(now_ns, now_ns, false);
    for gap_ns in gaps_ns {
        let idle_since_ns = now_ns;
        let arrival_ns = now_ns + gap_ns;
        loop {
            outcome.longest_without_park_ns =
                outcome.longest_without_park_ns.max(now_ns - last_park_ns);
            if spinner.park_due(now_ns) {
                spinner.parked(idle_since_ns, now_ns, false);
                last_park_ns = now_ns;
            }
            if now_ns >= arrival_ns {
                spinner.hit();
                outcome.hits += 1;
                break;
            }
            if !spinner.should_spin(idle_since_ns, now_ns) {
                spinner.miss();
                now_ns = arrival_ns;
                spinner.parked(idle_since_ns, now_ns, true);
                last_park_ns = now_ns;
                outcome.sleeps += 1;
                break;
            }
            now_ns += LOOK_NS;
            outcome.spun_ns += LOOK_NS;
        }
    }
    outcome
}

#[test]
fn it_never_spins_where_spinning_harms() {
    let loose = Placement {
        pinned: false,
        ..BARE
    };
    let crowded = Placement {
        oversubscribed: true,
        ..BARE
    };
    for (max_spin_ns, placement) in [(0, BARE), (MAX_NS, loose), (MAX_NS, crowded)] {
        let mut spinner = Spinner::new(max_spin_ns, placement);
        assert!(!spinner.is_enabled());
        let outcome = simulate(&mut spinner, [300; 100]);
        assert_eq!((outcome.spun_ns, outcome.sleeps), (0, 100));
    }
    assert!(Spinner::new(MAX_NS, BARE).is_enabled());
}

#[test]
fn a_lone_shard_that_nobody_talks_to_stops_spinning() {
    let mut spinner = Spinner::new(MAX_NS, BARE);
    let outcome = simulate(&mut spinner, [1_000_000; 1_000]);
    assert_eq!(outcome.hits, 0);
    assert!(outcome.spun_ns <= 2 * MAX_NS + 10 * LOOK_NS, "{outcome:?}");
    assert_eq!(spinner.spin_ns(), 0);
}

#[test]
fn a_burst_after_silence_is_spun_for_again() {
    let mut spinner = Spinner::new(MAX_NS, BARE);
    simulate(&mut spinner, [1_000_000; 50]);
    let outcome = simulate(&mut spinner, [20_000; 100]);
    assert_eq!((outcome.sleeps, outcome.hits), (1, 99));
}

#[test]
fn work_under_load_lets_a_hosted_shard_park_in_time() {
    let mut spinner = Spinner::new(MAX_NS, HOSTED);
    let outcome = simulate(&mut spinner, std::iter::repeat_n(1_000, 10_000));
    assert_eq!(outcome.sleeps, 0);
    assert!(outcome.longest_without_park_ns >= FORCED_PARK_INTERVAL_NS);
    assert!(outcome.longest_without_park_ns < FORCED_PARK_INTERVAL_NS + LOOK_NS);

    let mut bare = Spinner::new(MAX_NS, BARE);
    let outcome = simulate(&mut bare, std::iter::repeat_n(1_000, 10_000));
    assert!(outcome.longest_without_park_ns > 10 * FORCED_PARK_INTERVAL_NS);
}

proptest! {
    /// Steady work that comes within the longest spin is met by spinning, with
    /// one sleep at most, whatever came before.
    #[test]
    fn steady_work_is_met_by_spinning(
        before in prop::collection::vec(0..200_000_u64, 0..50),
        gap_ns in 0..MAX_NS - LOOK_NS,
        hosted: bool,
    ) {
        let mut spinner = Spinner::new(MAX_NS, Placement { hosted, ..BARE });
        simulate(&mut spinner, before);
        let outcome = simulate(&mut spinner, [gap_ns; 100]);
        prop_assert!(outcome.sleeps <= 1, "{outcome:?}");
    }

    /// For any arrivals: a spell is spun for at most the longest spin, the spin
    /// stays in its range, and a hosted shard parks in time.
    #[test]
    fn no_spell_is_spun_for_longer_than_configured(
        max_spin_ns in 0..200_000_u64,
        gaps in prop::collection::vec(0..400_000_u64, 1..100),
    ) {
        let mut spinner = Spinner::new(max_spin_ns, HOSTED);
        for gap_ns in gaps {
            let outcome = simulate(&mut spinner, [gap_ns]);
            prop_assert!(outcome.spun_ns < max_spin_ns + LOOK_NS);
            prop_assert!(
                outcome.longest_without_park_ns < FORCED_PARK_INTERVAL_NS + LOOK_NS
            );
            let shortest = SPIN_MIN_NS.min(max_spin_ns);
            prop_assert!(
                spinner.spin_ns() == 0
                    || (shortest..=max_spin_ns).contains(&spinner.spin_ns())
            );
        }
    }
}
