//! The conditions of a park: a number of completions, and the timeouts in the ring.

use io_uring::{opcode, types};

use crate::sys::driver::LINGER_COMPLETIONS;

use super::driver::{TIMEOUTS, UringDriver};

/// Timeouts in flight at most. A new one is posted only for a time before all others.
pub(super) const MAX_TIMEOUTS: usize = 16;

/// A timeout that lies in the ring, so that a park need not bring one along.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeout {
    spec: types::Timespec,
    pub(super) due_ns: Option<u64>,
}

impl UringDriver {
    /// Sees that a completion comes by `at`; false where no more timeouts can be posted.
    ///
    /// A timeout stays in the ring when other completions end the park, and serves the next one:
    /// a busy shard posts one per timer, not one per park.
    pub(super) fn wake_by(&mut self, at: u64) -> bool {
        if self
            .timeouts
            .iter()
            .any(|timeout| timeout.due_ns.is_some_and(|due| due <= at))
        {
            return true;
        }
        let Some(place) = self
            .timeouts
            .iter()
            .position(|timeout| timeout.due_ns.is_none())
        else {
            return false;
        };
        let (sec, nsec) = (at / 1_000_000_000, (at % 1_000_000_000) as u32);
        let spec = types::Timespec::new().sec(sec).nsec(nsec);
        self.timeouts[place] = Timeout {
            spec,
            due_ns: Some(at),
        };
        let spec = &raw const self.timeouts[place].spec;
        let entry = opcode::Timeout::new(spec)
            .flags(types::TimeoutFlags::ABS)
            .build();
        self.push(&entry.user_data(TIMEOUTS + place as u64));
        true
    }
}

/// How many completions a park waits for: one, and one for each quick send that it submits, for these
/// complete in the same call, whether the socket took them or was full. Waiting for the one alone would
/// return with a send's, and cost a second call to wait for what matters. A park that lingers waits for
/// many, and at least for so long, in microseconds, before one suffices.
pub(super) fn completions_wanted(quick_posted: u32, linger_us: u32) -> (u32, u32) {
    match linger_us {
        0 => (1 + quick_posted, 0),
        least => (LINGER_COMPLETIONS + quick_posted, least),
    }
}
