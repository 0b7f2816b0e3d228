//! One pooled buffer: page-aligned memory and the counter of those who hold it.
//!
//! A slot is created by the pool (the only allocation), then circulates: free list → lease →
//! free list. It keeps its pool's shared part alive, so a lease may outlive the pool.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::sync::{AtomicPtr, AtomicUsize, Ordering, fence};

use super::pool::Shared;

/// A pooled buffer. Reached only through raw pointers: leases, free lists and the return stack.
pub(crate) struct Slot {
    /// Leases that look at this buffer; 0 while it lies in a free list.
    refs: AtomicUsize,
    /// Link of the return stack; used only between the last drop and the owner's collection.
    pub(super) next: AtomicPtr<Slot>,
    pub(super) class: usize,
    memory: NonNull<u8>,
    capacity: usize,
    pub(super) shared: Arc<Shared>,
}

impl Slot {
    /// Maps fresh, zeroed, page-aligned memory; `None` where the kernel gives none.
    pub(super) fn create(
        shared: &Arc<Shared>,
        class: usize,
        capacity: usize,
    ) -> Option<NonNull<Slot>> {
        let memory = map_anonymous(capacity)?;
        let slot = Box::new(Slot {
            refs: AtomicUsize::new(0),
            next: AtomicPtr::new(std::ptr::null_mut()),
            class,
            memory,
            capacity,
            shared: Arc::clone(shared),
        });
        NonNull::new(Box::into_raw(slot))
    }

    /// Gives the memory back to the kernel.
    ///
    /// # Safety
    /// `slot` came from [`Slot::create`], nobody holds a lease of it, and it is in no list.
    pub(super) unsafe fn destroy(slot: NonNull<Slot>) {
        // SAFETY: the caller guarantees that this is the only pointer to the boxed slot.
        let slot = unsafe { Box::from_raw(slot.as_ptr()) };
        // SAFETY: `memory` is the mapping of exactly `capacity` bytes made in `create`, and no
        // lease can reach it any more.
        unsafe { libc::munmap(slot.memory.as_ptr().cast(), slot.capacity) };
        slot.shared.memory_freed(slot.capacity);
    }

    pub(super) fn memory(&self) -> NonNull<u8> {
        self.memory
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The first holder takes the buffer out of the free list.
    pub(super) fn acquire_first(&self) {
        self.refs.store(1, Ordering::Relaxed);
    }

    /// A further holder. The caller holds one already, so Relaxed is enough (as in `Arc`).
    pub(super) fn acquire(&self) {
        self.refs.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up one hold; true for the last one, which must return the slot to its pool.
    ///
    /// Release orders this holder's reads before the reuse; the last one's Acquire fence sees
    /// them all. A single holder needs no read-modify-write: nobody else can add a hold.
    pub(super) fn release(&self) -> bool {
        if self.refs.load(Ordering::Acquire) == 1 {
            return true;
        }
        if self.refs.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        fence(Ordering::Acquire);
        true
    }

    pub(super) fn holders(&self) -> usize {
        self.refs.load(Ordering::Relaxed)
    }
}

/// Size from which buffers lie in huge pages, where the kernel has any.
const HUGE_PAGE: usize = 2 << 20;

/// Fresh memory; large buffers begin at a huge page, so that copies spend no time on page tables.
fn map_anonymous(len: usize) -> Option<NonNull<u8>> {
    if len < HUGE_PAGE {
        return map(len);
    }
    let room = map(len + HUGE_PAGE)?;
    let start = room.as_ptr() as usize;
    let skip = start.next_multiple_of(HUGE_PAGE) - start;
    // SAFETY: `skip` is less than a huge page, so it lies inside the mapping.
    let memory = unsafe { room.add(skip) };
    unmap(room, skip);
    // SAFETY: the end of the buffer lies inside the mapping, for `skip` is at most a huge page.
    unmap(unsafe { memory.add(len) }, HUGE_PAGE - skip);
    // SAFETY: advice on our own mapping; a kernel without huge pages refuses it, and that is fine.
    unsafe { libc::madvise(memory.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
    Some(memory)
}

/// Gives a part of a mapping back.
fn unmap(at: NonNull<u8>, len: usize) {
    if len > 0 {
        // SAFETY: the callers name parts of their own fresh mapping that nobody uses.
        unsafe { libc::munmap(at.as_ptr().cast(), len) };
    }
}

fn map(len: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no
    // existing memory; the result is checked.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        None
    } else {
        NonNull::new(address.cast())
    }
}
