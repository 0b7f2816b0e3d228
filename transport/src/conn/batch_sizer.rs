//! How much bulk leaves in one send: as much as the link takes in a few milliseconds.
//!
//! An urgent frame waits for the piece that was handed to the socket before it. A fast
//! link takes megabytes in no time, and is best fed in large pieces: with several connections the
//! memory that each copies from stays in the cache. On a slow one the same pieces would block the
//! connection for long. So the batch doubles while sends are quick, and halves where they are not.

/// A send of bulk that took longer than this was too much.
const SLOW_NS: u64 = 8_000_000;

/// A send of bulk that took less than this may be doubled.
const QUICK_NS: u64 = SLOW_NS / 2;

/// The batches of one connection. A copy of three numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSizer {
    batch: usize,
    began_ns: u64,
    sending: usize,
}

/// Between what the batch moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) least: usize,
    pub(crate) most: usize,
}

impl BatchSizer {
    /// Begins with batches of `first` bytes.
    pub(crate) fn new(first: usize) -> Self {
        Self {
            batch: first,
            began_ns: 0,
            sending: 0,
        }
    }

    /// Bytes of bodies for the next send.
    pub(crate) fn batch(self) -> usize {
        self.batch
    }

    /// A send of `len` bytes is handed to the socket.
    #[inline]
    pub(crate) fn began(&mut self, len: usize, now_ns: u64) {
        self.sending = len;
        self.began_ns = now_ns;
    }

    /// The socket has taken all of it.
    #[inline]
    pub(crate) fn ended(&mut self, now_ns: u64, bounds: Bounds) {
        assert!(bounds.least <= bounds.most, "{bounds:?}");
        let batch = self.batch;
        // A send that was not full tells nothing of full ones.
        if self.sending < batch {
            return;
        }
        let took_ns = now_ns.saturating_sub(self.began_ns);
        if took_ns > SLOW_NS {
            self.batch = (batch / 2).max(bounds.least);
        } else if took_ns < QUICK_NS {
            self.batch = (batch * 2).min(bounds.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        least: 256 << 10,
        most: 4 << 20,
    };

    /// Sends full batches over a link of so many bytes per ns; what the last one took.
    fn settle(sizer: &mut BatchSizer, bytes_per_ns: f64) -> u64 {
        let mut took = 0;
        for _ in 0..20 {
            took = (sizer.batch() as f64 / bytes_per_ns) as u64;
            sizer.began(sizer.batch(), 1_000);
            sizer.ended(1_000 + took, BOUNDS);
        }
        took
    }

    #[test]
    fn a_fast_link_is_fed_in_large_pieces() {
        let mut sizer = BatchSizer::new(1 << 20);
        settle(&mut sizer, 8.0);
        assert_eq!(sizer.batch(), BOUNDS.most);
    }

    #[test]
    fn a_slow_link_is_not_blocked_for_long() {
        let mut sizer = BatchSizer::new(1 << 20);
        settle(&mut sizer, 0.125);
        assert!(settle(&mut sizer, 0.125) <= SLOW_NS, "a gigabit per second");
        settle(&mut sizer, 0.000_125);
        assert_eq!(sizer.batch(), BOUNDS.least, "a megabit per second");
        settle(&mut sizer, 8.0);
        assert_eq!(sizer.batch(), BOUNDS.most, "it became fast");
    }

    #[test]
    fn small_sends_change_nothing() {
        let mut sizer = BatchSizer::new(1 << 20);
        sizer.began(100, 0);
        sizer.ended(1, BOUNDS);
        sizer.began(100, 0);
        sizer.ended(u64::MAX, BOUNDS);
        assert_eq!(sizer.batch(), 1 << 20);
    }
}
