//! The tasks of a shard that other threads have woken: one bit each.
//!
//! Any thread sets bits, the shard's thread takes them. A set of bits is bounded by the number of
//! tasks, so a wake-up never fails and never allocates. The bits carry no data: data that a waker
//! published before the wake-up is published by the release here and acquired by the take.

use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// Bits of one word.
const BITS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct WakeList {
    words: Box<[AtomicU64]>,
    /// One bit per word that may have bits set.
    summary: Box<[AtomicU64]>,
    /// Set after a bit is set, cleared before bits are taken.
    any: AtomicBool,
}

impl WakeList {
    /// A list for the slots below `slots`.
    pub(super) fn new(slots: usize) -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        let words = slots.div_ceil(BITS).max(1);
        Self {
            words: zeros(words),
            summary: zeros(words.div_ceil(BITS)),
            any: AtomicBool::new(false),
        }
    }

    /// Marks a slot as woken. Callable from any thread.
    ///
    /// # Panics
    /// If the slot is beyond the list.
    pub(super) fn set(&self, slot: usize) {
        let (word, bit) = (slot / BITS, slot % BITS);
        // Release, in this order: a taker that sees a later store sees the earlier ones, so a bit
        // whose summary was missed is found by the taker that sees `any`.
        self.words[word].fetch_or(1 << bit, Ordering::Release);
        self.summary[word / BITS].fetch_or(1 << (word % BITS), Ordering::Release);
        // A read-modify-write: the taker's swap then comes before it, and it is seen by the next take, or
        // after it, and sees the bits.
        self.any.swap(true, Ordering::AcqRel);
    }

    /// Whether a slot may be marked.
    pub(super) fn has_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Hands every marked slot to `take` and unmarks it. For the shard's thread alone.
    pub(super) fn take(&self, mut take: impl FnMut(usize)) {
        if !self.has_any() {
            return;
        }
        // Cleared first: a slot that is marked while the words are read sets it again.
        self.any.swap(false, Ordering::AcqRel);
        for (group, summary) in self.summary.iter().enumerate() {
            let mut words = take_word(summary);
            while let Some(bit) = lowest(&mut words) {
                let word = group * BITS + bit;
                let mut slots = take_word(&self.words[word]);
                while let Some(bit) = lowest(&mut slots) {
                    take(word * BITS + bit);
                }
            }
        }
    }
}

fn take_word(word: &AtomicU64) -> u64 {
    match word.load(Ordering::Acquire) {
        0 => 0,
        _ => word.swap(0, Ordering::AcqRel),
    }
}

/// Removes the lowest bit that is set and returns its place.
fn lowest(word: &mut u64) -> Option<usize> {
    let bit = word.trailing_zeros();
    if bit == u64::BITS {
        return None;
    }
    *word &= *word - 1;
    Some(bit as usize)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn taken(list: &WakeList) -> Vec<usize> {
        let mut all = Vec::new();
        list.take(|slot| all.push(slot));
        all
    }

    #[test]
    fn slots_are_taken_once_each_in_order() {
        let list = WakeList::new(10_000);
        assert_eq!(taken(&list), []);
        for slot in [9_999, 0, 63, 64, 4_096, 63] {
            list.set(slot);
        }
        assert!(list.has_any());
        assert_eq!(taken(&list), [0, 63, 64, 4_096, 9_999]);
        assert!(!list.has_any());
        assert_eq!(taken(&list), []);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::WakeList;

    #[test]
    fn loom_every_marked_slot_is_taken() {
        loom::model(|| {
            let list = Arc::new(WakeList::new(128));
            let other = thread::spawn({
                let list = Arc::clone(&list);
                move || {
                    list.set(3);
                    list.set(70);
                }
            });
            let mut taken = Vec::new();
            list.take(|slot| taken.push(slot));
            other.join().unwrap();
            list.take(|slot| taken.push(slot));
            taken.sort_unstable();
            taken.dedup();
            assert_eq!(taken, [3, 70]);
            assert!(!list.has_any());
        });
    }
}
