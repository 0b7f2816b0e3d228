//! Leases: the right to write ([`LeaseMut`]) or to read ([`Lease`]) a pooled buffer.

use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use super::slot::Slot;

/// The only holder of a pooled buffer, who may write to it.
///
/// `len` is how much of the capacity is filled; what lies beyond it is zero or left over from an
/// earlier use of the same buffer. Returned to its pool on drop, from any thread.
pub struct LeaseMut {
    slot: NonNull<Slot>,
    len: usize,
}

// SAFETY: a LeaseMut is the only way to its memory, and the slot's bookkeeping is atomic.
unsafe impl Send for LeaseMut {}
// SAFETY: shared access only reads.
unsafe impl Sync for LeaseMut {}

impl LeaseMut {
    /// # Safety
    /// `slot` is alive, has no holder and is in no list.
    pub(super) unsafe fn adopt(slot: NonNull<Slot>) -> Self {
        // SAFETY: the caller's promise.
        unsafe { slot.as_ref() }.acquire_first();
        Self { slot, len: 0 }
    }

    fn slot(&self) -> &Slot {
        // SAFETY: a slot lives as long as somebody holds it, and we do.
        unsafe { self.slot.as_ref() }
    }

    /// Bytes the buffer can hold.
    pub fn capacity(&self) -> usize {
        self.slot().capacity()
    }

    /// Bytes filled.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that can still be appended.
    pub fn room(&self) -> usize {
        self.capacity() - self.len
    }

    /// Declares the first `len` bytes filled.
    ///
    /// # Panics
    /// If `len` passes the capacity.
    pub fn set_len(&mut self, len: usize) {
        assert!(
            len <= self.capacity(),
            "length {len} passes capacity {}",
            self.capacity()
        );
        self.len = len;
    }

    /// The start of the memory, for operations of the kernel.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.slot().memory().as_ptr()
    }

    /// The filled bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the memory is mapped (zeroed by the kernel, so initialised) for `capacity`
        // bytes, `len` is at most that, and only `&mut self` writes.
        unsafe { slice::from_raw_parts(self.slot().memory().as_ptr(), self.len) }
    }

    /// The whole buffer, filled or not.
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        let (memory, capacity) = (self.slot().memory(), self.capacity());
        // SAFETY: as in `as_slice`, and we are the only holder.
        unsafe { slice::from_raw_parts_mut(memory.as_ptr(), capacity) }
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// If they do not fit: look at [`room`](Self::room) first.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        let at = self.len;
        self.buffer_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends `count` zero bytes.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn put_zeros(&mut self, count: usize) {
        let at = self.len;
        self.buffer_mut()[at..at + count].fill(0);
        self.len += count;
    }

    /// Gives up the right to write; the filled bytes can then be shared.
    pub fn freeze(self) -> Lease {
        let lease = Lease {
            slot: self.slot,
            at: self.slot().memory(),
            len: self.len,
        };
        std::mem::forget(self);
        lease
    }
}

impl Drop for LeaseMut {
    fn drop(&mut self) {
        release(self.slot);
    }
}

impl fmt::Debug for LeaseMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseMut({}/{} bytes)", self.len, self.capacity())
    }
}

/// A shared, read-only view of (a part of) a pooled buffer.
///
/// Cloning and slicing count references and copy nothing. Converts into [`bytes::Bytes`] without
/// a copy. The memory goes back to its pool when the last view is dropped, on whatever thread.
/// A view of a few bytes holds the whole buffer: one that is kept for long had better be copied.
pub struct Lease {
    slot: NonNull<Slot>,
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: all holders only read; the slot's bookkeeping is atomic.
unsafe impl Send for Lease {}
// SAFETY: as above.
unsafe impl Sync for Lease {}

impl Lease {
    /// A view of a part of this view.
    ///
    /// # Panics
    /// If the range reaches beyond this view.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Lease {
        let start = match range.start_bound() {
            Bound::Included(&at) => at,
            Bound::Excluded(&at) => at + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&at) => at + 1,
            Bound::Excluded(&at) => at,
            Bound::Unbounded => self.len,
        };
        assert!(
            start <= end && end <= self.len,
            "{start}..{end} of {} bytes",
            self.len
        );
        // SAFETY: we hold the slot, so it is alive.
        unsafe { self.slot.as_ref() }.acquire();
        // SAFETY: `start` is inside this view, which is inside the buffer.
        let at = unsafe { self.at.add(start) };
        Lease {
            slot: self.slot,
            at,
            len: end - start,
        }
    }

    /// Shortens this view to its first `len` bytes; does nothing where it is shorter.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
    /// Bytes of the whole buffer, which this view keeps.
    pub fn capacity(&self) -> usize {
        // SAFETY: we hold the slot, so it is alive.
        unsafe { self.slot.as_ref() }.capacity()
    }

    /// How many views of the buffer there are, this one included.
    pub fn holders(&self) -> usize {
        // SAFETY: we hold the slot, so it is alive.
        unsafe { self.slot.as_ref() }.holders()
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        // SAFETY: we hold the slot, so it is alive.
        unsafe { self.slot.as_ref() }.acquire();
        Lease {
            slot: self.slot,
            at: self.at,
            len: self.len,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        release(self.slot);
    }
}

impl Deref for Lease {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `at..at + len` is inside the mapped, initialised buffer that we hold, and while
        // a `Lease` exists nobody has the right to write.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({} bytes)", self.len)
    }
}

impl From<Lease> for bytes::Bytes {
    fn from(lease: Lease) -> Self {
        bytes::Bytes::from_owner(lease)
    }
}

fn release(slot: NonNull<Slot>) {
    // SAFETY: the caller holds the slot until this very call.
    let held = unsafe { slot.as_ref() };
    if !held.release() || held.shared.give_back_here(slot) {
        return;
    }
    // Away from its thread the slot may be reused or destroyed the moment it is handed over; what
    // takes it must outlive that.
    let shared = Arc::clone(&held.shared);
    shared.give_back_from_afar(slot);
}
