//! How long an idle shard spins before it sleeps.
//!
//! A sleep in the kernel costs tens of microseconds until the shard runs again; a
//! spin finds work at once, and wastes a core if none comes. So the spinner
//! adapts: an idle spell that ended while the shard spun (a *hit*) lengthens the
//! next spin, one that did not (a *miss*) shortens it, down to nothing. A
//! sleep that turns out so short that a spin would have covered it lengthens the
//! spin again, as KVM's halt polling does. Spinning is off where it can only do
//! harm: on a thread that is not pinned, or if there are more spinning threads than
//! processors.
//!
//! A shard that hosts a tokio runtime must let it park in earnest every now and
//! then, for only then does the runtime look after its timers and files:
//! [`park_due`](Spinner::park_due) says when, under load as well as while
//! spinning.
//!
//! ```text
//! loop { work;  idle? -> should_spin -> yes: look again     -> hit
//!                                    -> no:  miss, park     -> parked }
//! ```

/// The longest time that a shard with a runtime goes without a real park, in
/// nanoseconds.
pub const FORCED_PARK_INTERVAL_NS: u64 = 100_000;

/// The shortest spin, unless the configured one is shorter; less becomes none.
const SPIN_MIN_NS: u64 = 1_000;

/// The placement of a shard's thread, as far as it matters for spinning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The thread is pinned to one processor.
    pub pinned: bool,
    /// More threads spin than there are processors.
    pub oversubscribed: bool,
    /// The shard hosts a runtime, which needs real parks.
    pub hosted: bool,
}

/// Decides, for one shard, whether to spin or to sleep.
///
/// # Example
///
/// ```
/// use ringrail_transport::shard::spin::{Placement, Spinner};
///
/// let placement = Placement { pinned: true, oversubscribed: false, hosted: false };
/// let mut spinner = Spinner::new(50_000, placement);
/// let idle_since_ns = 1_000_000;
/// assert!(spinner.should_spin(idle_since_ns, idle_since_ns + 20_000));
/// assert!(!spinner.should_spin(idle_since_ns, idle_since_ns + 50_000));
/// spinner.miss();
/// assert!(!spinner.should_spin(idle_since_ns, idle_since_ns + 25_000));
/// ```
#[derive(Debug, Clone)]
pub struct Spinner {
    /// The longest spin; 0 where spinning is off.
    max_ns: u64,
    /// The present spin, from 0 to `max_ns`.
    spin_ns: u64,
    hosted: bool,
    last_park_ns: u64,
}

impl Spinner {
    /// A spinner that spins at most `max_spin_ns` at a stretch; 0 turns spinning
    /// off. It starts with the longest spin.
    pub fn new(max_spin_ns: u64, placement: Placement) -> Self {
        let harmless = placement.pinned && !placement.oversubscribed;
        let max_ns = if harmless { max_spin_ns } else { 0 };
        Self {
            max_ns,
            spin_ns: max_ns,
            hosted: placement.hosted,
            last_park_ns: 0,
        }
    }

    /// Whether this shard ever spins.
    pub fn is_enabled(&self) -> bool {
        self.max_ns > 0
    }

    /// How long the shard would spin now, in nanoseconds.
    pub fn spin_ns(&self) -> u64 {
        self.spin_ns
    }

    /// Whether a shard that has been idle since `idle_since_ns` should poll for
    /// work once more instead of sleeping.
    pub fn should_spin(&self, idle_since_ns: u64, now_ns: u64) -> bool {
        now_ns.saturating_sub(idle_since_ns) < self.spin_ns
    }

    /// Whether the shard must park now, if only for an instant, because the runtime it hosts has
    /// not run for [`FORCED_PARK_INTERVAL_NS`].
    pub fn park_due(&self, now_ns: u64) -> bool {
        self.hosted && now_ns.saturating_sub(self.last_park_ns) >= FORCED_PARK_INTERVAL_NS
    }

    /// Work came while the shard spun: spin longer.
    pub fn hit(&mut self) {
        self.grow_to(self.spin_ns.saturating_mul(2));
    }

    /// The shard has parked, for any time.
    pub fn rested(&mut self, now_ns: u64) {
        self.last_park_ns = now_ns;
    }

    /// No work came while the shard spun: spin less.
    pub fn miss(&mut self) {
        self.spin_ns /= 2;
        if self.spin_ns < SPIN_MIN_NS {
            self.spin_ns = 0;
        }
    }

    /// The shard has parked and runs again at `now_ns`, after being idle since
    /// `idle_since_ns`; `worked` if work ended the park (and not a timer). If a
    /// longer spin would have met the work, the next one is longer.
    pub fn parked(&mut self, idle_since_ns: u64, now_ns: u64, worked: bool) {
        self.last_park_ns = now_ns;
        let idle_ns = now_ns.saturating_sub(idle_since_ns);
        if worked && idle_ns < self.max_ns {
            // Doubling the spin that has just been halved would gain nothing.
            self.grow_to(idle_ns.saturating_mul(2));
        }
    }

    fn grow_to(&mut self, spin_ns: u64) {
        let grown = spin_ns.max(self.spin_ns).max(SPIN_MIN_NS);
        self.spin_ns = grown.min(self.max_ns);
    }
}

#[cfg(test)]
#[path = "spin_tests.rs"]
mod tests;
