//! How much bulk leaves in one send: as much as the link takes in a few milliseconds.
//!
//! An urgent frame waits for the piece that was handed to the socket before it. A fast
//! link takes megabytes in no time, and is best fed in large pieces: with several connections the
//! memory that each copies from stays in the cache. On a slow one the same pieces would block the
//! connection for long. So the batch doubles while sends are quick, and halves where they are not.

use std::cell::Cell;

/// A send of bulk that took longer than this was too much.
const SLOW_NS: u64 = 8_000_000;

/// A send of bulk that took less than this may be doubled.
const QUICK_NS: u64 = SLOW_NS / 2;

/// The pace of one connection.
#[derive(Debug)]
pub(crate) struct BatchSizer {
    batch: Cell<usize>,
    began_ns: Cell<u64>,
    sending: Cell<usize>,
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
            batch: Cell::new(first),
            began_ns: Cell::new(0),
            sending: Cell::new(0),
        }
    }

    /// Bytes of bodies for the next send.
    pub(crate) fn batch(&self) -> usize {
        self.batch.get()
    }

    /// A send of `len` bytes is handed to the socket.
    #[inline]
    pub(crate) fn began(&self, len: usize, now_ns: u64) {
        self.sending.set(len);
        self.began_ns.set(now_ns);
    }

    /// The socket has taken all of it.
    #[inline]
    pub(crate) fn ended(&self, now_ns: u64, bounds: Bounds) {
        let batch = self.batch.get();
        // A send that was not full tells nothing of full ones.
        if self.sending.get() < batch {
            return;
        }
        let took_ns = now_ns.saturating_sub(self.began_ns.get());
        if took_ns > SLOW_NS {
            self.batch.set((batch / 2).max(bounds.least));
        } else if took_ns < QUICK_NS {
            self.batch.set((batch * 2).min(bounds.most));
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
    fn settle(pace: &BatchSizer, bytes_per_ns: f64) -> u64 {
        let mut took = 0;
        for _ in 0..20 {
            took = (pace.batch() as f64 / bytes_per_ns) as u64;
            pace.began(pace.batch(), 1_000);
            pace.ended(1_000 + took, BOUNDS);
        }
        took
    }

    #[test]
    fn a_fast_link_is_fed_in_large_pieces() {
        let pace = BatchSizer::new(1 << 20);
        settle(&pace, 8.0);
        assert_eq!(pace.batch(), BOUNDS.most);
    }

    #[test]
    fn a_slow_link_is_not_blocked_for_long() {
        let pace = BatchSizer::new(1 << 20);
        settle(&pace, 0.125);
        assert!(settle(&pace, 0.125) <= SLOW_NS, "a gigabit per second");
        settle(&pace, 0.000_125);
        assert_eq!(pace.batch(), BOUNDS.least, "a megabit per second");
        settle(&pace, 8.0);
        assert_eq!(pace.batch(), BOUNDS.most, "it became fast");
    }

    #[test]
    fn small_sends_change_nothing() {
        let pace = BatchSizer::new(1 << 20);
        pace.began(100, 0);
        pace.ended(1, BOUNDS);
        pace.began(100, 0);
        pace.ended(u64::MAX, BOUNDS);
        assert_eq!(pace.batch(), 1 << 20);
    }
}
