//! The group of buffers a multishot receive picks from.
//!
//! Every place of the group is filled with a lease of the shard's pool. A completion takes the
//! lease out, as the receive buffer of its bytes; [`Group::refill`] puts another in, which is the
//! one that came back last and is still in the cache. When the pool is used up the group runs
//! dry, receives end with `ENOBUFS`, and the kernel's socket buffers hold the peers back.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::{IoUring, types::BufRingEntry};

use crate::buf::{LeaseMut, Pool};

/// The group's number, given in every multishot receive.
pub(super) const GROUP: u16 = 0;

#[derive(Debug)]
pub(super) struct Group {
    ring: *mut BufRingEntry,
    ring_bytes: usize,
    places: Vec<Option<LeaseMut>>,
    empty: Vec<u16>,
    tail: u16,
    buffer_len: usize,
}

impl Group {
    /// Registers a group of `count` places (a power of two) for buffers of `buffer_len` bytes.
    pub(super) fn register(ring: &IoUring, count: u16, buffer_len: usize) -> io::Result<Self> {
        let ring_bytes = usize::from(count) * size_of::<BufRingEntry>();
        // SAFETY: a fresh anonymous mapping; page-aligned as the kernel wants it.
        let memory = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                ring_bytes,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::PRIVATE,
            )
        }?;
        let group = Self {
            ring: memory.cast(),
            ring_bytes,
            places: (0..count).map(|_| None).collect(),
            empty: (0..count).rev().collect(),
            tail: 0,
            buffer_len,
        };
        // SAFETY: the memory is `count` entries long and lives until the group is dropped, which
        // the driver does after its ring is gone.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(memory as u64, count, GROUP, 0)
        }?;
        Ok(group)
    }

    /// Fills empty places; how many are filled then.
    pub(super) fn refill(&mut self, pool: &Pool) -> usize {
        if self.empty.is_empty() {
            return self.places.len();
        }
        let mask = self.places.len() as u16 - 1;
        while let Some(&place) = self.empty.last() {
            let Some(mut lease) = pool.lease_receive(self.buffer_len) else {
                break;
            };
            self.empty.pop();
            // SAFETY: the index is inside the ring, and the kernel does not read the entry before
            // the tail passes it.
            let entry = unsafe { &mut *self.ring.add(usize::from(self.tail & mask)) };
            entry.set_addr(lease.as_mut_ptr() as u64);
            entry.set_len(self.buffer_len as u32);
            entry.set_bid(place);
            self.tail = self.tail.wrapping_add(1);
            self.places[usize::from(place)] = Some(lease);
        }
        self.publish();
        self.places.len() - self.empty.len()
    }

    fn publish(&self) {
        // SAFETY: the tail lies inside the ring's memory, and the kernel reads it atomically.
        let tail = unsafe { &*BufRingEntry::tail(self.ring).cast::<AtomicU16>() };
        // Release: the entries must be there before the kernel may see them counted.
        tail.store(self.tail, Ordering::Release);
    }

    /// The buffer that a completion named, with its first `len` bytes filled.
    pub(super) fn take(&mut self, place: u16, len: usize) -> Option<LeaseMut> {
        let mut lease = self.places.get_mut(usize::from(place))?.take()?;
        self.empty.push(place);
        lease.set_len(len.min(lease.capacity()));
        Some(lease)
    }

    /// Never frees the memory: the kernel may still write to it.
    pub(super) fn give_up(&mut self) {
        std::mem::forget(std::mem::take(&mut self.places));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: our mapping; the ring that used it is closed. Failure cannot be acted upon.
        let _ = unsafe { rustix::mm::munmap(self.ring.cast(), self.ring_bytes) };
    }
}
