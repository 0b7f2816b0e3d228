//! The synchronisation primitives of the crate's lock-free parts: the real
//! ones, or loom's.
//!
//! Modules that are model-checked import from here instead of from `std`.
//! Under `--cfg loom` the same code then runs on loom's atomics, which explore
//! every interleaving and every reordering that the memory model allows:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p ringrail-transport --release --lib loom_
//! ```

#[cfg(not(loom))]
pub(crate) use crossbeam_queue::ArrayQueue;
#[cfg(not(loom))]
pub(crate) use std::sync::Arc;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence,
};

#[cfg(loom)]
pub(crate) use loom::sync::Arc;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(loom)]
pub(crate) use model::ArrayQueue;

/// A bounded queue that loom can see into.
///
/// `crossbeam_queue` is built on the real atomics, which loom cannot explore,
/// and a mutex in its place would order everything and so hide the very bugs
/// the models look for. This is the same algorithm (Vyukov's bounded MPMC
/// queue) with orderings that are never stronger than the original's.
#[cfg(loom)]
mod model {
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread::yield_now;

    struct Slot<T> {
        /// `2 * position`: free for the push at `position`. One more: holds the
        /// value pushed there. (Doubled, so that a queue of one slot can tell its
        /// full slot from the next lap's free one.)
        stamp: AtomicUsize,
        value: UnsafeCell<Option<T>>,
    }

    pub(crate) struct ArrayQueue<T> {
        head: AtomicUsize,
        tail: AtomicUsize,
        slots: Box<[Slot<T>]>,
    }

    // SAFETY: a slot's value is touched only by the thread that moved `tail`
    // (push) or `head` (pop) past it, and the stamp hands it over.
    unsafe impl<T: Send> Send for ArrayQueue<T> {}
    // SAFETY: as above.
    unsafe impl<T: Send> Sync for ArrayQueue<T> {}

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            assert!(capacity > 0, "capacity must be non-zero");
            let slot = |position| Slot {
                stamp: AtomicUsize::new(2 * position),
                value: UnsafeCell::new(None),
            };
            Self {
                head: AtomicUsize::new(0),
                tail: AtomicUsize::new(0),
                slots: (0..capacity).map(slot).collect(),
            }
        }

        pub(crate) fn push(&self, value: T) -> Result<(), T> {
            loop {
                let tail = self.tail.load(Ordering::Relaxed);
                let slot = &self.slots[tail % self.slots.len()];
                let stamp = slot.stamp.load(Ordering::Acquire);
                if stamp == 2 * tail {
                    if Self::advance(&self.tail, tail) {
                        // SAFETY: moving `tail` claimed this free slot.
                        slot.value.with_mut(|cell| unsafe { *cell = Some(value) });
                        slot.stamp.store(2 * tail + 1, Ordering::Release);
                        return Ok(());
                    }
                } else if tail - self.head.load(Ordering::Acquire) >= self.slots.len() {
                    return Err(value);
                }
                yield_now();
            }
        }

        pub(crate) fn pop(&self) -> Option<T> {
            loop {
                let head = self.head.load(Ordering::Relaxed);
                let slot = &self.slots[head % self.slots.len()];
                let stamp = slot.stamp.load(Ordering::Acquire);
                if stamp == 2 * head + 1 {
                    if Self::advance(&self.head, head) {
                        // SAFETY: moving `head` claimed this full slot.
                        let value = slot.value.with_mut(|cell| unsafe { (*cell).take() });
                        slot.stamp
                            .store(2 * (head + self.slots.len()), Ordering::Release);
                        return value;
                    }
                } else if self.tail.load(Ordering::Relaxed) == head {
                    return None;
                }
                yield_now();
            }
        }

        fn advance(position: &AtomicUsize, from: usize) -> bool {
            position
                .compare_exchange(from, from + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }

        pub(crate) fn len(&self) -> usize {
            let head = self.head.load(Ordering::Acquire);
            self.tail.load(Ordering::Acquire).saturating_sub(head)
        }

        pub(crate) fn capacity(&self) -> usize {
            self.slots.len()
        }
    }
}
