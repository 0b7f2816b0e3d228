//! The way home for buffers dropped on a foreign thread: a Treiber stack that is only ever
//! emptied whole.
//!
//! Pushers compete with compare-and-swap; the owner takes everything with one swap, so the ABA
//! problem of a popping Treiber stack cannot arise.

use std::ptr::NonNull;

use crate::sync::{AtomicPtr, Ordering};

use super::slot::Slot;

/// Stack of slots whose last lease was dropped away from the pool's thread.
#[derive(Debug)]
pub(super) struct ReturnStack {
    head: AtomicPtr<Slot>,
}

impl ReturnStack {
    pub(super) fn new() -> Self {
        Self {
            head: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Puts a slot that nobody holds on the stack.
    pub(super) fn push(&self, slot: NonNull<Slot>) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller's slot has no holder and is in no list: it is ours to link.
            unsafe { slot.as_ref() }.next.store(head, Ordering::Relaxed);
            // SeqCst: a pool that closes looks at the stack after it set `closed`, a pusher looks
            // at `closed` after its push; one of the two must see the other.
            match self.head.compare_exchange_weak(
                head,
                slot.as_ptr(),
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// True where nothing waits: one load, for the owner's fast path.
    pub(super) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Takes all slots and gives each to `each`.
    pub(super) fn take_all(&self, mut each: impl FnMut(NonNull<Slot>)) {
        let mut at = self.head.swap(std::ptr::null_mut(), Ordering::SeqCst);
        while let Some(slot) = NonNull::new(at) {
            // SAFETY: the swap made the whole chain ours; `next` was written before the push.
            at = unsafe { slot.as_ref() }.next.load(Ordering::Relaxed);
            each(slot);
        }
    }
}
