//! Time limits of requests: conversions, and the one timer that serves all requests of a connection.

use std::time::Duration;

use ringrail_codec::native::deadline_us;

/// A timeout, converted to the units that a request needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    pub(crate) ns: u64,
    /// As it travels: 0 for none.
    pub(crate) us: u32,
    pub(crate) ms: u32,
}

impl Timeout {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            ns: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
            us: deadline_us(Some(timeout)),
            ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        }
    }
}

/// The end of a deadline that arrived in a frame, in ns of the shard's clock.
#[inline]
pub(crate) fn deadline_from(arrived_ns: u64, deadline_us: u32) -> u64 {
    match deadline_us {
        0 => u64::MAX,
        us => arrived_ns.saturating_add(u64::from(us) * 1000),
    }
}

/// Timeouts of this side's requests, and when the timer fires that serves them.
///
/// With equal timeouts the timer is set once per timeout, not once per request: a request whose deadline is
/// later than the armed one changes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    default: Timeout,
    /// The timeout that was given last: callers repeat the same one, and its conversion takes long divisions.
    last: (Duration, Timeout),
    /// When the timer fires; `u64::MAX` where none is set.
    armed_ns: u64,
}

impl Deadlines {
    /// Requests without a timeout of their own have `default`.
    pub(crate) fn new(default: Duration) -> Self {
        Self {
            default: Timeout::new(default),
            last: (Duration::ZERO, Timeout::new(Duration::ZERO)),
            armed_ns: u64::MAX,
        }
    }

    /// The timeout of a request, where no conversion is needed.
    #[inline(always)]
    pub(crate) fn known(&self, given: Option<Duration>) -> Option<Timeout> {
        match given {
            None => Some(self.default),
            Some(given) => (self.last.0 == given).then_some(self.last.1),
        }
    }

    /// Converts a timeout, and knows it from now on.
    #[cold]
    pub(crate) fn convert(&mut self, given: Duration) -> Timeout {
        let converted = Timeout::new(given);
        self.last = (given, converted);
        converted
    }

    /// True where the timer fires too late for this deadline, and is to be set anew.
    #[inline(always)]
    pub(crate) fn is_late_for(&self, deadline_ns: u64) -> bool {
        deadline_ns < self.armed_ns
    }

    /// The timer fires at that time; `None` where it is not set.
    pub(crate) fn armed(&mut self, at_ns: Option<u64>) {
        self.armed_ns = at_ns.unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_set_for_the_earliest_deadline_alone() {
        let mut deadlines = Deadlines::new(Duration::from_secs(1));
        let mut sets = 0;
        for deadline_ns in [500, 700, 600, 400, 400, 900] {
            if deadlines.is_late_for(deadline_ns) {
                deadlines.armed(Some(deadline_ns));
                sets += 1;
            }
        }
        assert_eq!(sets, 2);
        deadlines.armed(None);
        assert!(deadlines.is_late_for(u64::MAX - 1) && !deadlines.is_late_for(u64::MAX));
    }

    #[test]
    fn a_timeout_is_converted_as_it_was_given() {
        let mut deadlines = Deadlines::new(Duration::from_millis(7));
        for given in [None, Some(3), Some(3), Some(9), None, Some(0)] {
            let given_as = given.map(Duration::from_millis);
            let timeout = match (deadlines.known(given_as), given_as) {
                (Some(timeout), _) => timeout,
                (None, given) => deadlines.convert(given.expect("the default is known")),
            };
            assert!(deadlines.known(given_as).is_some(), "it is converted once");
            let ms = given.unwrap_or(7);
            assert_eq!((timeout.ms as u64, timeout.ns), (ms, ms * 1_000_000));
        }
        assert_eq!(deadline_from(5, 0), u64::MAX);
        assert_eq!(deadline_from(5, 2), 2_005);
    }
}
