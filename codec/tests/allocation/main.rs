//! No allocation follows from a number that a peer sends, and the hot paths allocate nothing at all.

#[path = "../native/any_frame.rs"]
mod any_frame;
#[cfg(feature = "spark")]
mod java;
mod native;
mod spark;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; the counters are plain thread-local cells
// without a destructor, so they neither allocate nor fail here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations of `work` on this thread: how many, and of how many bytes in all.
pub(crate) fn allocations<T>(work: impl FnOnce() -> T) -> (usize, usize, T) {
    let before = (COUNT.get(), BYTES.get());
    let result = work();
    (COUNT.get() - before.0, BYTES.get() - before.1, result)
}

#[test]
fn the_counter_counts() {
    let (count, bytes, vec) = allocations(|| Vec::<u8>::with_capacity(100));
    assert_eq!((count, bytes, vec.capacity()), (1, 100, 100));
}

/// Numbers that look like anything, the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
