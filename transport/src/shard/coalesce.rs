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
//! nor while peers that do not pipeline are served: see [`suppress_moderation`](Coalescer::suppress_moderation).
//!
//! The pump reports each sleep ([`park`](Coalescer::park)) and passes the wait to the driver
//! ([`Driver::linger`](crate::sys::driver::Driver::linger)).

/// Number of steps from no wait to the longest.
const STEPS: u8 = 3;
/// Length of a counting window, in ns: longer than the round trip of a peer with some hundred requests in
/// flight.
const WINDOW_NS: u64 = 4_000_000;
/// A longer window contained a pause and is ignored.
const STALE_NS: u64 = 10 * WINDOW_NS;
/// Windows of each kind in a trial.
const ROUNDS: usize = 3;
/// Sleeps that bring more frames than this pay for their wake-up: no longer wait is tried.
const AMPLE_FRAMES: u64 = 24;
/// Frames per sleep that a longer wait must bring, in percent of the shorter one's.
const GAIN_PERCENT: u64 = 115;
/// The same after the first windows, for the trial to continue.
const HINT_PERCENT: u64 = 105;
/// Frames per second that one step, and all steps together, must keep, in percent. A synchronous peer loses
/// far more: its requests take microseconds, and so does the wait.
const KEEP_PERCENT: (u64, u64) = (90, 95);
/// Least and greatest time between trials, in ns; below, the greatest while a wait is in use and
/// must prove itself.
const PAUSE_NS: (u64, u64) = (50_000_000, 3_200_000_000);
const CHECK_NS: u64 = 800_000_000;
/// Time without a minimum wait after urgent work, in ns.
const HURRY_NS: u64 = 100_000_000;

/// Number of sleeps in a row in which a connection received a single frame, from which the connection
/// counts as synchronous.
const ONE_AT_A_TIME: u8 = 64;

/// The frames that one connection received between two sleeps, and how often it was a single frame.
#[derive(Debug, Default)]
pub(super) struct Batch {
    sleep: u64,
    frames: u64,
    singles: u8,
}

impl Batch {
    /// Records frames received after the given number of sleeps; true if the connection is
    /// synchronous.
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
    /// Frames per second, approximately.
    fn rate(&self) -> u64 {
        self.frames.saturating_mul(1 << 30) / self.took_ns.max(1)
    }
}

/// Two waits under comparison.
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

    /// Frames per sleep of both; each is multiplied by the sleeps of both, to avoid a division.
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

    /// Whether the longer wait is better.
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

/// Decides, for one shard, the minimum length of the next sleep.
#[derive(Debug)]
pub(super) struct Coalescer {
    /// The longest wait, in ns; 0 disables moderation.
    most_ns: u64,
    step: u8,
    trial: Option<Trial>,
    /// Whether the next trial compares with a longer wait, or else with none.
    climbs: bool,
    next_trial_ns: u64,
    pause_ns: u64,
    window: Window,
    hurry_until_ns: u64,
    trials: u64,
}

impl Coalescer {
    /// Moderation with waits of up to `most_ns` where they help; 0 disables it.
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

    /// Disables moderation: for shards that do not sleep.
    pub(super) fn turn_off(&mut self) {
        self.most_ns = 0;
    }

    /// Number of trials begun.
    pub(super) fn trials(&self) -> u64 {
        self.trials
    }

    /// Urgent work was done (bulk or synchronous calls): disables the minimum wait for some time.
    #[inline]
    pub(super) fn suppress_moderation(&mut self, now_ns: u64) {
        self.hurry_until_ns = now_ns.saturating_add(HURRY_NS);
    }

    /// The shard goes to sleep, and has received this many frames since the last sleep. Returns the
    /// minimum length of the sleep, in nanoseconds.
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
                // No gain so far: the remaining windows would cost time and add nothing.
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

    /// No moderation at present: discards the running trial; the present wait must prove itself as soon as
    /// requests stream again.
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
