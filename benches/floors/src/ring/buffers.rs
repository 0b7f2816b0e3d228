//! The provided buffers that multishot receives write to.

use super::uring::Ring;
use crate::region::Region;
use anyhow::{Context, Result};
use io_uring::types::BufRingEntry;
use std::sync::atomic::{AtomicU16, Ordering};

/// How many buffers there are; a power of two.
pub(super) const COUNT: u16 = 64;
/// Length of each in bytes.
pub(super) const LEN: usize = 64 << 10;
/// The only buffer group.
pub(super) const GROUP: u16 = 0;

/// 64 buffers of 64 KiB and the ring that hands them to the kernel.
pub(super) struct Buffers {
    entries: Region,
    data: Region,
    tail: u16,
    published: u16,
}

impl Buffers {
    /// Registers the buffers with the ring and hands all of them over.
    ///
    /// # Errors
    /// The kernel's refusal; the locked-memory limit (`ulimit -l`) can be a reason.
    ///
    /// # Safety
    /// The value must outlive the ring.
    pub(super) unsafe fn register(ring: &Ring<'_>) -> Result<Self> {
        let mut entries = Region::new(usize::from(COUNT) * size_of::<BufRingEntry>())?;
        let addr = entries.as_mut_ptr() as u64;
        // SAFETY: the entries are page-aligned, zeroed and as many as stated, and the caller keeps
        // them long enough.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(addr, COUNT, GROUP, 0)
        }
        .context("registering the provided buffers")?;
        let mut buffers = Self {
            entries,
            data: Region::new(usize::from(COUNT) * LEN)?,
            tail: 0,
            published: 0,
        };
        (0..COUNT).for_each(|id| buffers.recycle(id));
        buffers.publish();
        Ok(buffers)
    }

    /// The `len` received bytes in buffer `id`, which this process owns until it recycles the
    /// buffer.
    pub(super) fn received(&mut self, id: u16, len: usize) -> &[u8] {
        assert!(
            id < COUNT && len <= LEN,
            "the kernel names one of our buffers"
        );
        // SAFETY: inside the region; the kernel does not touch a buffer between its completion and
        // its recycling, and the borrow keeps the caller from recycling it.
        unsafe {
            std::slice::from_raw_parts(self.data.as_mut_ptr().add(usize::from(id) * LEN), len)
        }
    }

    /// Gives buffer `id` back; the kernel sees it after [`publish`](Self::publish).
    pub(super) fn recycle(&mut self, id: u16) {
        let slot = usize::from(self.tail % COUNT);
        // SAFETY: the buffer and the entry lie inside their regions; the kernel does not read
        // entries past the tail that was published, and at most COUNT buffers exist, so this entry
        // is free.
        unsafe {
            let buffer = self.data.as_mut_ptr().add(usize::from(id) * LEN);
            let entry = &mut *self.entries.as_mut_ptr().cast::<BufRingEntry>().add(slot);
            entry.set_addr(buffer as u64);
            entry.set_len(LEN as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see every buffer recycled so far; returns whether there was any.
    pub(super) fn publish(&mut self) -> bool {
        if self.published == self.tail {
            return false;
        }
        let base = self.entries.as_mut_ptr().cast::<BufRingEntry>();
        // SAFETY: the tail lies in the first entry of the live, aligned ring; the kernel reads it
        // with acquire ordering.
        unsafe {
            AtomicU16::from_ptr(BufRingEntry::tail(base).cast_mut())
                .store(self.tail, Ordering::Release)
        };
        self.published = self.tail;
        true
    }
}
