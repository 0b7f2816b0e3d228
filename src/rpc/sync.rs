//! The synchronisation primitives of what several threads share: the real ones, or shuttle's.
//!
//! Under `--cfg shuttle` an env of the in-process backend, threads and all, runs on shuttle's scheduler,
//! which decides at every one of these operations who goes on; `models` has what must hold:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p ringrail --lib shuttle_
//! ```
//!
//! Locks whose holder does none of these operations are `std`'s everywhere: no switch can happen inside.

use std::sync::PoisonError;

/// Takes the guard of a lock whether or not a holder has panicked: each leaves a state that others can use.
pub(crate) trait Unpoisoned<G> {
    fn unpoisoned(self) -> G;
}

impl<G> Unpoisoned<G> for Result<G, PoisonError<G>> {
    fn unpoisoned(self) -> G {
        self.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(not(shuttle))]
pub(crate) use crossbeam_queue::{ArrayQueue, SegQueue};
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc,
};
#[cfg(not(shuttle))]
pub(crate) use std::{thread, thread_local};

#[cfg(shuttle)]
pub(crate) use model::{ArrayQueue, SegQueue};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc,
};
#[cfg(shuttle)]
pub(crate) use shuttle::{thread, thread_local};

/// Queues that shuttle can see into: `crossbeam_queue` is built on the real atomics. Their own
/// algorithm is not what is modelled here.
#[cfg(shuttle)]
mod model {
    use super::{Mutex, MutexGuard, Unpoisoned};
    use std::collections::VecDeque;

    pub(crate) struct ArrayQueue<T> {
        items: Mutex<VecDeque<T>>,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            assert!(capacity > 0, "capacity must be non-zero");
            let items = Mutex::new(VecDeque::new());
            Self { items, capacity }
        }

        fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
            self.items.lock().unpoisoned()
        }

        pub(crate) fn capacity(&self) -> usize {
            self.capacity
        }

        pub(crate) fn push(&self, item: T) -> Result<(), T> {
            let mut items = self.lock();
            if items.len() == self.capacity {
                return Err(item);
            }
            items.push_back(item);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.lock().pop_front()
        }

        pub(crate) fn len(&self) -> usize {
            self.lock().len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }

    pub(crate) struct SegQueue<T>(ArrayQueue<T>);

    impl<T> SegQueue<T> {
        pub(crate) fn new() -> Self {
            Self(ArrayQueue::new(usize::MAX))
        }

        pub(crate) fn push(&self, item: T) {
            // There is always room.
            let _ = self.0.push(item);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.0.pop()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }
}
