//! Deadlines: relative microseconds on the wire, an absolute moment of a monotonic clock on either side.
//!
//! The clock is the caller's; its moments are given as microseconds since any fixed point.

use std::time::Duration;

/// The `deadline_us` that says "none".
pub const NO_DEADLINE_US: u32 = 0;

/// The longest deadline that travels, about 71 minutes; a longer one is kept by the initiator alone.
pub const MAX_DEADLINE: Duration = Duration::from_micros(u32::MAX as u64);

/// The `deadline_us` of a request that may take `timeout`. Rounded up to a microsecond, so that 0 always
/// means none; `None` and timeouts beyond [`MAX_DEADLINE`] give 0.
pub const fn deadline_us(timeout: Option<Duration>) -> u32 {
    let Some(timeout) = timeout else {
        return NO_DEADLINE_US;
    };
    let micros = timeout.as_nanos().div_ceil(1000);
    if micros == 0 {
        1
    } else if micros > u32::MAX as u128 {
        NO_DEADLINE_US
    } else {
        micros as u32
    }
}

/// The time after which the answer is no longer wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline {
    at_us: u64,
}

impl Deadline {
    /// The deadline of a request that arrived at `now_us`; `None` if it has none. The time on the way is
    /// not known and is given to the responder for free.
    #[inline]
    pub const fn from_wire(deadline_us: u32, now_us: u64) -> Option<Deadline> {
        if deadline_us == NO_DEADLINE_US {
            return None;
        }
        Some(Deadline {
            at_us: now_us.saturating_add(deadline_us as u64),
        })
    }

    /// The moment, in the microseconds of the caller's clock.
    #[inline]
    pub const fn at_us(&self) -> u64 {
        self.at_us
    }

    /// Whether it has passed.
    #[inline]
    pub const fn is_over(&self, now_us: u64) -> bool {
        now_us >= self.at_us
    }

    /// The `deadline_us` for a request that is made on behalf of this one; `None` if the deadline
    /// has passed.
    #[inline]
    pub const fn to_wire(&self, now_us: u64) -> Option<u32> {
        if self.is_over(now_us) {
            return None;
        }
        let left = self.at_us - now_us;
        if left > u32::MAX as u64 {
            return Some(NO_DEADLINE_US);
        }
        Some(left as u32)
    }
}
