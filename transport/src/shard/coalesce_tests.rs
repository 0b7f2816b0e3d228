//! The coalescer against simulated peers: requests arrive, the shard sleeps and works, and time
//! passes as they say.

use super::{AMPLE_FRAMES, Batch, Coalescer, HURRY_NS, ONE_AT_A_TIME, STEPS};

const MOST_NS: u64 = 200_000;
/// Cost of a sleep and a wake-up, in nanoseconds.
const WAKE_NS: u64 = 20_000;
/// Time that the shard needs per frame, in nanoseconds.
const FRAME_NS: u64 = 1_000;

/// A shard and the peer whose requests it answers.
struct Shard {
    coalescer: Coalescer,
    now_ns: u64,
    /// Frames of the last turn.
    last: u64,
    sleeps: u64,
    frames: u64,
    waited_ns: u64,
}

impl Shard {
    fn new() -> Self {
        Self {
            coalescer: Coalescer::new(MOST_NS),
            now_ns: 1_000_000,
            last: 0,
            sleeps: 0,
            frames: 0,
            waited_ns: 0,
        }
    }

    /// One sleep and one turn: `arrive` tells how many frames are there after a sleep of at least so
    /// many nanoseconds, and how long it took.
    fn turn(&mut self, arrive: &mut impl FnMut(u64) -> (u64, u64)) {
        let wait_ns = self.coalescer.park(self.now_ns, self.last);
        let (frames, slept_ns) = arrive(wait_ns);
        self.now_ns += slept_ns + WAKE_NS + frames * FRAME_NS;
        self.last = frames;
        self.sleeps += 1;
        self.frames += frames;
        self.waited_ns += wait_ns;
    }

    fn run(&mut self, for_ns: u64, mut arrive: impl FnMut(u64) -> (u64, u64)) {
        (self.sleeps, self.frames, self.waited_ns) = (0, 0, 0);
        let end_ns = self.now_ns + for_ns;
        while self.now_ns < end_ns {
            self.turn(&mut arrive);
        }
    }

    fn step(&self) -> u8 {
        self.coalescer.step
    }
}

const SECOND: u64 = 1_000_000_000;

/// A peer that sends a request every `gap_ns`, independent of answers, except that waking the shard costs
/// it `wake_ns`.
fn stream(gap_ns: u64, wake_ns: u64) -> impl FnMut(u64) -> (u64, u64) {
    move |wait_ns| {
        let awake_ns = WAKE_NS;
        let frames = 1 + (wait_ns + awake_ns).saturating_sub(wake_ns) / gap_ns;
        (frames, wait_ns)
    }
}

/// A peer that sends `window` requests at once, and further ones when all are answered.
fn closed_loop(window: u64) -> impl FnMut(u64) -> (u64, u64) {
    move |wait_ns| (window, wait_ns.max(10_000))
}

#[test]
fn requests_that_stream_in_are_left_to_gather() {
    let mut shard = Shard::new();
    shard.run(SECOND, stream(6_000, 5_000));
    assert_eq!(shard.step(), STEPS, "it climbs to the longest");
    shard.run(SECOND, stream(6_000, 5_000));
    let gathered = shard.frames / shard.sleeps;
    assert!(gathered >= 15, "{gathered} frames per sleep, and not 3");
}

#[test]
fn what_does_not_gather_is_not_waited_for() {
    for window in [2, 8, 32, 64, 512] {
        let mut shard = Shard::new();
        shard.run(SECOND, closed_loop(window));
        assert_eq!(shard.step(), 0, "window {window}");
        shard.run(10 * SECOND, closed_loop(window));
        let share = shard.waited_ns as f64 / (10 * SECOND) as f64;
        assert!(share < 0.002, "window {window}: {share} of the time");
    }
}

#[test]
fn a_gain_that_costs_throughput_is_refused() {
    // The second half of the window comes only after a while: waiting for it gathers more, and loses time.
    let mut shard = Shard::new();
    let halves = |wait_ns: u64| match wait_ns {
        0 => (8, 5_000),
        wait_ns => (10, wait_ns.max(60_000)),
    };
    shard.run(2 * SECOND, halves);
    assert_eq!(shard.step(), 0);
    assert!(shard.coalescer.trials() > 0, "it has been tried");
}

#[test]
fn calls_that_come_one_at_a_time_are_never_kept() {
    let mut shard = Shard::new();
    shard.run(5 * SECOND, closed_loop(1));
    assert_eq!(shard.waited_ns, 0);
    assert_eq!(shard.coalescer.trials(), 0);
    // Nor after a stream: the first one may be, no other.
    shard.run(SECOND, stream(6_000, 5_000));
    assert_eq!(shard.step(), STEPS);
    shard.run(SECOND, closed_loop(1));
    assert!(shard.waited_ns <= MOST_NS, "{} ns", shard.waited_ns);
}

#[test]
fn nothing_waits_while_there_is_hurry() {
    let mut shard = Shard::new();
    shard.run(SECOND, stream(6_000, 5_000));
    shard.coalescer.suppress_moderation(shard.now_ns);
    shard.run(HURRY_NS - 1_000_000, stream(6_000, 5_000));
    assert_eq!(shard.waited_ns, 0);
    shard.run(SECOND, stream(6_000, 5_000));
    assert!(shard.waited_ns > 0, "it begins anew");
}

#[test]
fn a_load_that_changes_is_noticed() {
    let mut shard = Shard::new();
    shard.run(SECOND, stream(6_000, 5_000));
    assert_eq!(shard.step(), STEPS);
    shard.run(4 * SECOND, closed_loop(16));
    assert_eq!(shard.step(), 0, "no more to gather");
    shard.run(8 * SECOND, stream(6_000, 5_000));
    assert_eq!(shard.step(), STEPS, "and again");
}

#[test]
fn after_a_pause_what_was_found_must_prove_itself() {
    let mut shard = Shard::new();
    shard.run(SECOND, stream(6_000, 5_000));
    shard.now_ns += SECOND;
    let trials = shard.coalescer.trials();
    shard.run(20_000_000, stream(6_000, 5_000));
    assert_eq!(shard.coalescer.trials(), trials + 1, "at once");
    shard.run(SECOND, stream(6_000, 5_000));
    assert_eq!(shard.step(), STEPS);
    shard.now_ns += SECOND;
    shard.run(SECOND, closed_loop(16));
    assert_eq!(
        shard.step(),
        0,
        "and does not where there is nothing to gather"
    );
}

#[test]
fn sleeps_that_bring_plenty_are_left_alone() {
    let mut shard = Shard::new();
    shard.run(SECOND, |wait_ns| {
        (AMPLE_FRAMES + 8 + wait_ns / 100, wait_ns + 30_000)
    });
    assert_eq!(shard.waited_ns, 0);
}

#[test]
fn none_is_none() {
    let mut shard = Shard::new();
    shard.coalescer = Coalescer::new(0);
    shard.run(SECOND, stream(6_000, 5_000));
    assert_eq!(shard.waited_ns, 0);
    let mut shard = Shard::new();
    shard.coalescer.turn_off();
    shard.run(SECOND, stream(6_000, 5_000));
    assert_eq!(shard.waited_ns, 0);
}

#[test]
fn a_connection_that_asks_and_waits_is_known_after_some_calls() {
    let mut batch = Batch::default();
    let calls = 1..=u64::from(ONE_AT_A_TIME) + 1;
    let known: Vec<_> = calls
        .filter(|&sleep| batch.is_one_at_a_time(1, sleep))
        .collect();
    assert_eq!(known, [u64::from(ONE_AT_A_TIME) + 1]);
    // A second frame after the same sleep, and the next sleep knows better.
    let last = known[0];
    batch.is_one_at_a_time(1, last);
    assert!(!batch.is_one_at_a_time(1, last + 1));
    // Frames that come one by one, but faster than the shard sleeps.
    for sleep in last + 2..last + 200 {
        for _ in 0..4 {
            assert!(!batch.is_one_at_a_time(1, sleep));
        }
    }
}
