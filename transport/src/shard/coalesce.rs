//! Interrupt moderation: the minimum sleep of a shard that sleeps in its ring.
//!
//! A peer that sends many single requests wakes a sleeping shard for every few of them. Each wake-up costs the
//! shard microseconds, and the peer more than the request itself. As in network cards, the next sleep then lasts
//! *at least* a certain time, and the requests that arrive meanwhile are handled together. This helps while
//! requests keep arriving, and harms a peer that waits for answers before it sends more. So longer waits are
//! tried, and kept only if they measure better:
//!
//! ```text
//!   windows of 4 ms:   shorter, longer, shorter, longer, shorter, longer  →  verdict
//!   longer is better:  more frames per sleep, and no fewer per second
//!   not better:        stay, and try again later: each time twice as late
//! ```
//!
//! The wait grows from zero by steps that double, up to `ringrail.transport.coalesceUs`; now and then, and after
//! every pause, it must prove itself against zero. There is no wait if a single frame arrived since the last sleep,
//! nor while peers that do not pipeline are served: see [`hurry`](Coalescer::hurry).
//!
//! The pump reports each sleep ([`park`](Coalescer::park)) and passes the wait to the driver
//! ([`Driver::linger`](crate::sys::driver::Driver::linger)).

/// Steps from no wait to the longest.
const STEPS: u8 = 3;
/// Time over which frames are counted: longer than a peer with some hundred requests in flight takes to go
/// round.
const WINDOW_NS: u64 = 4_000_000;
/// A window that took longer tells of a pause, not of a pace.
const STALE_NS: u64 = 10 * WINDOW_NS;
/// Windows of either kind in a trial.
const ROUNDS: usize = 3;
/// Sleeps that bring more frames than this are paid for: nothing longer is tried.
const AMPLE_FRAMES: u64 = 24;
/// Frames per sleep that a longer wait must bring, in percent of a shorter one's.
const GAIN_PERCENT: u64 = 115;
/// As many, and the first windows tell that there is something to gain.
const HINT_PERCENT: u64 = 105;
/// Frames per second that a step must keep, and all of them together. A peer that waits for its answers loses
/// far more: its requests take microseconds, and so does the wait.
const KEEP_PERCENT: (u64, u64) = (90, 95);
/// Time between trials: the least, and the most; and the most where there is a wait that must prove itself.
const PAUSE_NS: (u64, u64) = (50_000_000, 3_200_000_000);
const CHECK_NS: u64 = 800_000_000;
/// How long nothing waits after something that must not.
const HURRY_NS: u64 = 100_000_000;

/// Sleeps in a row after each of which a connection brought one frame, so that it counts as one that asks
/// and waits for the answer.
const ONE_AT_A_TIME: u8 = 64;

/// The frames that one connection received between two sleeps, and how often it was a single frame.
#[derive(Debug, Default)]
pub(super) struct Batch {
    sleep: u64,
    frames: u64,
    singles: u8,
}

impl Batch {
    /// Takes note of frames that came after so many sleeps; true where calls come one at a time.
    #[inline]
    pub(super) fn is_one_at_a_time(&mut self, frames: u64, sleep: u64) -> bool {
        if self.sleep == sleep {
            self.frames += frames;
        } else {
            self.singles = match self.frames {
                1 => (self.singles + 1).min(ONE_AT_A_TIME),
                _ => 0,
            };
            self.sleep = sleep;
            self.frames = frames;
        }
        self.singles == ONE_AT_A_TIME
    }
}

/// The counts of one window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began_ns: u64,
    took_ns: u64,
    frames: u64,
    sleeps: u64,
}

impl Window {
    /// Frames per second or so.
    fn rate(&self) -> u64 {
        self.frames.saturating_mul(1 << 30) / self.took_ns.max(1)
    }
}

/// Two waits side by side.
#[derive(Debug)]
struct Trial {
    /// The shorter and the longer, as steps.
    steps: [u8; 2],
    windows: [[Window; ROUNDS]; 2],
    taken: usize,
}

impl Trial {
    fn step(&self) -> u8 {
        self.steps[self.taken % 2]
    }

    fn take(&mut self, window: Window) {
        self.windows[self.taken % 2][self.taken / 2] = window;
        self.taken += 1;
    }

    fn is_over(&self) -> bool {
        self.taken == 2 * ROUNDS
    }

    /// Frames per sleep of both, each multiplied with the sleeps of both.
    fn frames_per_sleep(&self) -> [u64; 2] {
        let sums = self.windows.map(|windows| {
            let add = |(frames, sleeps), window: &Window| {
                (frames + window.frames, sleeps + window.sleeps)
            };
            windows.iter().fold((0, 0), add)
        });
        [sums[0].0 * sums[1].1, sums[1].0 * sums[0].1]
    }

    fn gains(&self, percent: u64) -> bool {
        let [shorter, longer] = self.frames_per_sleep();
        longer * 100 >= shorter * percent
    }

    /// Whether the longer wait is the better one.
    fn longer_wins(&self) -> bool {
        let [shorter, longer] = self.windows.map(|windows| {
            let mut rates = windows.map(|window| window.rate());
            rates.sort_unstable();
            rates[ROUNDS / 2]
        });
        let [from, to] = self.steps;
        let keep = match to - from {
            1 => KEEP_PERCENT.0,
            _ => KEEP_PERCENT.1,
        };
        let kept = longer.saturating_mul(100) >= shorter.saturating_mul(keep);
        kept && self.gains(GAIN_PERCENT)
    }
}

/// Decides, for one shard, how long the next sleep lasts at least.
#[derive(Debug)]
pub(super) struct Coalescer {
    /// The longest wait; 0 for never any.
    most_ns: u64,
    step: u8,
    trial: Option<Trial>,
    /// The next trial climbs, or else compares with none.
    climbs: bool,
    next_trial_ns: u64,
    pause_ns: u64,
    window: Window,
    hurry_until_ns: u64,
    trials: u64,
}

impl Coalescer {
    /// One that lets sleeps last `most_ns` at least where that helps; 0 turns it off.
    pub(super) fn new(most_ns: u64) -> Self {
        Self {
            most_ns,
            step: 0,
            trial: None,
            climbs: true,
            next_trial_ns: 0,
            pause_ns: PAUSE_NS.0,
            window: Window::default(),
            hurry_until_ns: 0,
            trials: 0,
        }
    }

    /// Never waits from now on: for shards that do not sleep.
    pub(super) fn turn_off(&mut self) {
        self.most_ns = 0;
    }

    /// Trials begun.
    pub(super) fn trials(&self) -> u64 {
        self.trials
    }

    /// Work is done that must not wait, bulk or calls that come one at a time: for some time, nothing does.
    #[inline]
    pub(super) fn hurry(&mut self, now_ns: u64) {
        self.hurry_until_ns = now_ns.saturating_add(HURRY_NS);
    }

    /// The shard goes to sleep; since it did so last, so many frames have come. How long it is to sleep at
    /// least, in nanoseconds.
    #[inline]
    pub(super) fn park(&mut self, now_ns: u64, frames: u64) -> u64 {
        if self.most_ns == 0 {
            return 0;
        }
        self.window.frames += frames;
        self.window.sleeps += 1;
        if now_ns.saturating_sub(self.window.began_ns) >= WINDOW_NS {
            self.end_window(now_ns);
        }
        let step = self.trial.as_ref().map_or(self.step, Trial::step);
        if step == 0 || frames < 2 || now_ns < self.hurry_until_ns {
            return 0;
        }
        self.most_ns >> (STEPS - step)
    }

    fn end_window(&mut self, now_ns: u64) {
        let mut window = std::mem::take(&mut self.window);
        self.window.began_ns = now_ns;
        window.took_ns = now_ns.saturating_sub(window.began_ns);
        if window.took_ns > STALE_NS {
            return self.break_off(now_ns);
        }
        let pipelined = window.frames >= 2 * window.sleeps;
        if !pipelined || now_ns < self.hurry_until_ns {
            return self.break_off(now_ns);
        }
        match self.trial.take() {
            Some(mut trial) => {
                trial.take(window);
                // No gain at all: the windows that are left would cost, and tell nothing.
                let in_vain = self.climbs && trial.taken == 2 && !trial.gains(HINT_PERCENT);
                if in_vain || trial.is_over() {
                    self.conclude(&trial, now_ns);
                } else {
                    self.trial = Some(trial);
                }
            }
            None if now_ns >= self.next_trial_ns => self.begin_trial(&window),
            None => {}
        }
    }

    fn begin_trial(&mut self, window: &Window) {
        let ample = window.frames > AMPLE_FRAMES * window.sleeps;
        if self.climbs && (self.step == STEPS || ample) {
            self.climbs = false;
        }
        let steps = match (self.climbs, self.step) {
            (true, step) => [step, step + 1],
            // Nothing to compare, and nothing to gain.
            (false, 0) => return self.climbs = true,
            (false, step) => [0, step],
        };
        self.trials += 1;
        self.trial = Some(Trial {
            steps,
            windows: Default::default(),
            taken: 0,
        });
    }

    fn conclude(&mut self, trial: &Trial, now_ns: u64) {
        let climbed = self.climbs;
        let longer = trial.longer_wins();
        let later_ns = (self.pause_ns * 2).min(PAUSE_NS.1);
        match (climbed, longer) {
            // On at once.
            (true, true) => {
                self.settle(trial.steps[1], now_ns, PAUSE_NS.0);
                self.next_trial_ns = now_ns;
            }
            (true, false) => {
                self.settle(trial.steps[0], now_ns, later_ns);
                self.climbs = trial.steps[0] == 0;
            }
            (false, true) => {
                self.settle(trial.steps[1], now_ns, later_ns.min(CHECK_NS));
                self.climbs = trial.steps[1] < STEPS;
            }
            (false, false) => {
                self.settle(trial.steps[1] - 1, now_ns, PAUSE_NS.0);
                self.climbs = self.step == 0;
            }
        }
    }

    /// Nothing is to be gathered now: what was tried told nothing, and what was found must prove itself as
    /// soon as there is.
    fn break_off(&mut self, now_ns: u64) {
        if self.trial.is_some() {
            self.settle(self.step, now_ns, self.pause_ns);
        }
        if self.step > 0 {
            self.climbs = false;
            self.next_trial_ns = now_ns;
        }
    }

    /// Stays at `step`, and tries no other for `pause_ns`.
    fn settle(&mut self, step: u8, now_ns: u64, pause_ns: u64) {
        self.trial = None;
        self.step = step;
        self.pause_ns = pause_ns;
        self.next_trial_ns = now_ns.saturating_add(pause_ns);
    }
}

#[cfg(test)]
#[path = "coalesce_tests.rs"]
mod tests;
