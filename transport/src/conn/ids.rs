//! Tables by ids that a peer has chosen.
//!
//! Used by the tables of the peer's requests (`inbound`) and of bodies on their way out (`lane`). The
//! hash is keyed by numbers of this process: a peer that knew it could choose ids that all fall into
//! one place of a table, and every look-up would then pass over all of them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// Makes [`IdHasher`]s; all of a process have the same keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdState {
    start: u64,
    factor: u64,
}

impl Default for IdState {
    fn default() -> Self {
        static KEYS: OnceLock<(u64, u64)> = OnceLock::new();
        let &(start, factor) = KEYS.get_or_init(|| {
            let random = RandomState::new();
            (random.hash_one(0), random.hash_one(1) | 1)
        });
        Self { start, factor }
    }
}

impl BuildHasher for IdState {
    type Hasher = IdHasher;

    #[inline]
    fn build_hasher(&self) -> IdHasher {
        IdHasher {
            state: self.start,
            factor: self.factor,
        }
    }
}

/// Golden ratio in fixed point; any odd number with well-mixed bits would serve.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Multiplies by a secret factor and folds the product; `finish` does so once more, because ids that
/// differ only in their upper bits have not affected the low bits of a table's slot by then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHasher {
    state: u64,
    factor: u64,
}

impl Hasher for IdHasher {
    #[inline]
    fn finish(&self) -> u64 {
        fold(self.state, SPREAD)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, id: u64) {
        self.state = fold(self.state ^ id, self.factor);
    }
}

#[inline]
fn fold(number: u64, factor: u64) -> u64 {
    let product = u128::from(number) * u128::from(factor);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_differ_in_their_upper_bits_alone_are_spread() {
        // A table uses the low bits and the uppermost seven.
        let state = IdState {
            start: 0x243f_6a88_85a3_08d3,
            factor: 0x1319_8a2e_0370_7345,
        };
        let places: std::collections::HashSet<u64> = (0..4096u64)
            .map(|count| state.hash_one(count << 48) & 0xfff)
            .collect();
        assert!(places.len() > 2_000, "{} of 4096 places", places.len());
    }
}
