//! The per-shard pool: free lists by size class under a hard budget.
//!
//! ```text
//!                     ┌──────────────── budget ────────────────────────────┐
//!                     │ data share: lease, reserve  │ reserve:              │
//!                     │                             │ lease_reserved,       │
//!                     │                             │ receive buffers       │
//!                     └─────────────────────────────┴───────────────────────┘
//!  lease ──► free list of the class, last in first out ──► else map ──► else a larger free buffer
//!                    ▲                                          └──► else None: the caller waits
//!  last drop, here ──┤
//!  last drop, on another thread ──► ReturnStack ──► emptied when a list runs dry
//! ```
//!
//! Only the shard's thread leases. The buffer that came back last goes out next: it is the one that is still in
//! the cache. Exhaustion is an answer, never an allocation beside the pool. A [`Reservation`] counts against the
//! budget before it is a buffer, so that who is promised memory gets it. `leased <= mapped <= budget` holds at
//! all times; the pool may die before its leases, which then free their memory themselves.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::class::{CLASSES, class_of, size_of_class};
use super::gather::{Gather, MAX_PIECES, Piece};
use super::lease::LeaseMut;
use super::returns::ReturnStack;
use super::slot::Slot;

/// A lease may be given a free buffer that is up to so many times as large, where the budget has no room for a
/// buffer of its own size: to unmap one and map another costs more, and would be repeated.
const LARGER_MAX: usize = 4;

/// Piece lists kept for reuse; what comes back beyond that is freed.
const SPARE_PIECE_LISTS: usize = 1024;

/// The part of a pool that its leases know.
pub(crate) struct Shared {
    owner: u64,
    closed: AtomicBool,
    returns: ReturnStack,
    free: UnsafeCell<FreeLists>,
    /// Bytes mapped: leased and free together; never above `budget`.
    mapped: AtomicUsize,
    budget: usize,
}

struct FreeLists {
    lists: [Vec<NonNull<Slot>>; CLASSES],
    free_bytes: usize,
}

// SAFETY: `free` is touched only on the owner's thread (`on_owner_thread` is checked first, or the
// caller is the `Pool`, which is neither Send nor Sync); everything else is atomic.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Takes back a slot that nobody holds, if this is the owner's thread and the pool lives.
    #[inline]
    pub(super) fn give_back_here(&self, slot: NonNull<Slot>) -> bool {
        if !on_thread(self.owner) || self.closed.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: we are on the owner's thread and no other borrow is alive: no method that
        // borrows the lists runs user code.
        unsafe { self.put_free(slot) };
        true
    }

    /// Takes back a slot that nobody holds, from a foreign thread or after the pool's end.
    #[cold]
    pub(super) fn give_back_from_afar(&self, slot: NonNull<Slot>) {
        self.returns.push(slot);
        if self.closed.load(Ordering::SeqCst) {
            self.destroy_returned();
        }
    }

    pub(super) fn memory_freed(&self, bytes: usize) {
        self.mapped.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// # Safety
    /// On the owner's thread, with no borrow of the lists alive.
    unsafe fn put_free(&self, slot: NonNull<Slot>) {
        // SAFETY: the caller's promise.
        let free = unsafe { &mut *self.free.get() };
        // SAFETY: a slot in our hands is alive.
        let class = unsafe { slot.as_ref() }.class;
        free.free_bytes += size_of_class(class);
        free.lists[class].push(slot);
    }

    fn destroy_returned(&self) {
        // SAFETY: `take_all` hands over slots that nobody holds and that left the stack.
        self.returns.take_all(|slot| unsafe { Slot::destroy(slot) });
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// A number of the calling thread, unique for the life of the process.
fn thread_number() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
    // A thread that is being torn down has no number: its drops take the foreign path.
    NUMBER
        .try_with(|number| {
            if number.get() == 0 {
                number.set(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            }
            number.get()
        })
        .unwrap_or(0)
}

fn on_thread(owner: u64) -> bool {
    thread_number() == owner
}

/// Counters of a pool; see [`Pool::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes the pool may map at most.
    pub budget_bytes: usize,
    /// Bytes mapped now, leased and free together.
    pub mapped_bytes: usize,
    /// Bytes in leases now (by size class). Buffers dropped on a foreign thread count until the
    /// owner collects them.
    pub leased_bytes: usize,
    /// The highest `leased_bytes` seen at a lease.
    pub high_water_bytes: usize,
    /// Leases given that had to map fresh memory: zero per lease after warm-up.
    pub fresh: u64,
    /// Leases refused because the budget was used up.
    pub exhausted: u64,
}

/// A shard's buffers: size classes of page-aligned memory under a hard budget.
///
/// Cheap to clone (a reference count); stays on its thread. A part of the budget, the *reserve*,
/// is open only to [`lease_reserved`](Pool::lease_reserved): the control lane (receive buffers,
/// replies) keeps moving while the data lane has used its share up.
///
/// ```
/// use ringrail_transport::buf::Pool;
///
/// let pool = Pool::new(1 << 20, 0);
/// let mut lease = pool.lease(5_000).expect("within the budget");
/// lease.put(b"hello");
/// let shared = lease.freeze();
/// let bytes: bytes::Bytes = shared.slice(1..3).into();
/// assert_eq!(&bytes[..], b"el");
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    reserve: usize,
    /// The part of the reserve that only receive buffers may use.
    receive: usize,
    high_water: Cell<usize>,
    fresh: AtomicU64,
    exhausted: AtomicU64,
    spare_pieces: RefCell<Vec<Vec<Piece>>>,
    /// Bytes promised to reservations.
    reserved: Cell<usize>,
    /// Not Send: the lists belong to one thread.
    _local: PhantomData<*mut ()>,
}

impl Pool {
    /// A pool of at most `budget` bytes, of which `reserve` bytes are for the control lane alone.
    pub fn new(budget: usize, reserve: usize) -> Self {
        Self::with_receive_part(budget, reserve, 0)
    }

    /// As [`new`](Pool::new), with `receive` bytes of the reserve open to
    /// [`lease_receive`](Pool::lease_receive) alone: whatever else the control lane holds, bytes can be
    /// received.
    pub fn with_receive_part(budget: usize, reserve: usize, receive: usize) -> Self {
        let shared = Arc::new(Shared {
            owner: thread_number(),
            closed: AtomicBool::new(false),
            returns: ReturnStack::new(),
            free: UnsafeCell::new(FreeLists {
                lists: std::array::from_fn(|_| Vec::new()),
                free_bytes: 0,
            }),
            mapped: AtomicUsize::new(0),
            budget,
        });
        let inner = Inner {
            shared,
            reserve: reserve.min(budget),
            receive: receive.min(reserve).min(budget),
            high_water: Cell::new(0),
            fresh: AtomicU64::new(0),
            exhausted: AtomicU64::new(0),
            spare_pieces: RefCell::new(Vec::new()),
            reserved: Cell::new(0),
            _local: PhantomData,
        };
        Self {
            inner: Rc::new(inner),
        }
    }

    /// A buffer of at least `len` bytes, or `None` where the budget less the reserve is used up
    /// (back-pressure: try again when a lease has come back) or `len` passes
    /// [`MAX_LEASE_LEN`](super::MAX_LEASE_LEN).
    pub fn lease(&self, len: usize) -> Option<LeaseMut> {
        self.lease_within(len, self.inner.shared.budget - self.inner.reserve)
    }

    /// As [`lease`](Pool::lease), with the reserve open too, less what is for receive buffers: for heads,
    /// control frames and replies.
    pub fn lease_reserved(&self, len: usize) -> Option<LeaseMut> {
        self.lease_within(len, self.inner.shared.budget - self.inner.receive)
    }

    /// As [`lease`](Pool::lease), with the whole budget open: for receive buffers.
    pub fn lease_receive(&self, len: usize) -> Option<LeaseMut> {
        self.lease_within(len, self.inner.shared.budget)
    }

    /// An empty gather with a head buffer of at least `head_len` bytes, from the reserve if need
    /// be; `None` where that is used up too.
    pub fn gather(&self, head_len: usize) -> Option<Gather> {
        let head = self.lease_reserved(head_len)?;
        let pieces = self.inner.spare_pieces.borrow_mut().pop();
        Some(Gather::new(
            head,
            pieces.unwrap_or_else(|| Vec::with_capacity(MAX_PIECES)),
        ))
    }

    /// Takes a gather apart: its bodies are released, its memory is used again.
    pub fn recycle(&self, gather: Gather) {
        let pieces = gather.into_pieces();
        let mut spare = self.inner.spare_pieces.borrow_mut();
        if spare.len() < SPARE_PIECE_LISTS {
            spare.push(pieces);
        }
    }

    /// Part of the budget that is in leases, in 1/256.
    pub fn pressure(&self) -> usize {
        (self.leased_bytes() << 8) / self.inner.shared.budget.max(1)
    }

    /// Whether at least so many quarters of the budget are in leases: [`pressure`](Self::pressure) without
    /// its division.
    #[inline]
    pub fn is_filled(&self, quarters: usize) -> bool {
        self.leased_bytes() >= self.inner.shared.budget / 4 * quarters
    }

    fn lease_within(&self, len: usize, limit: usize) -> Option<LeaseMut> {
        let class = class_of(len)?;
        let size = size_of_class(class);
        if !self.inner.shared.returns.is_empty() {
            self.collect();
        }
        let leased = self.leased_bytes() + size;
        let slot = if leased > limit {
            None
        } else {
            self.take(class, size, limit)
        };
        let Some(slot) = slot else {
            bump(&self.inner.exhausted);
            return None;
        };
        let leased = self.leased_bytes();
        if leased > self.inner.high_water.get() {
            self.inner.high_water.set(leased);
        }
        // SAFETY: the slot came out of a free list or is fresh: nobody else holds it.
        Some(unsafe { LeaseMut::adopt(slot) })
    }

    fn take(&self, class: usize, size: usize, limit: usize) -> Option<NonNull<Slot>> {
        if let Some(slot) = self.pop_free(class, size) {
            return Some(slot);
        }
        let shared = &self.inner.shared;
        if shared.mapped.load(Ordering::Relaxed) + size > shared.budget {
            if let Some(slot) = self.pop_larger(class, size, limit) {
                return Some(slot);
            }
            self.make_room(size);
        }
        if shared.mapped.load(Ordering::Relaxed) + size > shared.budget {
            return None;
        }
        shared.mapped.fetch_add(size, Ordering::Relaxed);
        bump(&self.inner.fresh);
        Slot::create(shared, class, size).or_else(|| {
            shared.memory_freed(size);
            None
        })
    }

    fn pop_free(&self, class: usize, size: usize) -> Option<NonNull<Slot>> {
        // SAFETY: `Pool` stays on the owner's thread, and nothing below runs user code.
        let free = unsafe { &mut *self.inner.shared.free.get() };
        let slot = free.lists[class].pop()?;
        free.free_bytes -= size;
        Some(slot)
    }

    /// A free buffer of one of the next larger classes, where what is leased stays within `limit`.
    fn pop_larger(&self, class: usize, size: usize, limit: usize) -> Option<NonNull<Slot>> {
        let most = (limit - self.leased_bytes()).min(size * LARGER_MAX);
        (class + 1..CLASSES)
            .map(|larger| (larger, size_of_class(larger)))
            .take_while(|&(_, size)| size <= most)
            .find_map(|(larger, size)| self.pop_free(larger, size))
    }

    /// Unmaps free buffers of other classes, largest first, until `size` more bytes fit.
    fn make_room(&self, size: usize) {
        let shared = &self.inner.shared;
        for class in (0..CLASSES).rev() {
            while shared.mapped.load(Ordering::Relaxed) + size > shared.budget {
                let Some(slot) = self.pop_free(class, size_of_class(class)) else {
                    break;
                };
                // SAFETY: a slot out of the free list has no holder and is in no list.
                unsafe { Slot::destroy(slot) };
            }
        }
    }

    /// Moves what foreign threads returned into the free lists.
    fn collect(&self) {
        let shared = &self.inner.shared;
        // SAFETY: on the owner's thread; `put_free` ends its borrow before the next call.
        shared
            .returns
            .take_all(|slot| unsafe { shared.put_free(slot) });
    }

    #[inline]
    fn leased_bytes(&self) -> usize {
        // SAFETY: on the owner's thread; a read with no other borrow alive.
        let free = unsafe { &*self.inner.shared.free.get() }.free_bytes;
        self.inner.shared.mapped.load(Ordering::Relaxed) - free + self.inner.reserved.get()
    }

    /// Promises a buffer of at least `len` bytes without giving one yet; `None` as
    /// [`lease`](Self::lease).
    ///
    /// A caller that will need memory later holds a promise, not a buffer, so that the few buffers that
    /// are really filled are the ones that came back last and are still in the cache.
    pub fn reserve(&self, len: usize) -> Option<Reservation> {
        let size = class_of(len).map(size_of_class)?;
        if !self.inner.shared.returns.is_empty() {
            self.collect();
        }
        let limit = self.inner.shared.budget - self.inner.reserve;
        if self.leased_bytes() + size > limit {
            bump(&self.inner.exhausted);
            return None;
        }
        self.inner.reserved.set(self.inner.reserved.get() + size);
        Some(Reservation {
            pool: self.clone(),
            size,
        })
    }

    /// True where [`lease`](Self::lease) would give `len` bytes if nothing else were leased.
    pub fn could_hold(&self, len: u64) -> bool {
        let class = usize::try_from(len).ok().and_then(class_of);
        let limit = self.inner.shared.budget - self.inner.reserve;
        class.is_some_and(|class| size_of_class(class) <= limit)
    }

    /// Bytes that [`lease`](Pool::lease) could still give, leaving class sizes aside.
    pub fn available(&self) -> usize {
        if !self.inner.shared.returns.is_empty() {
            self.collect();
        }
        (self.inner.shared.budget - self.inner.reserve).saturating_sub(self.leased_bytes())
    }

    /// The pool's counters.
    pub fn stats(&self) -> PoolStats {
        if !self.inner.shared.returns.is_empty() {
            self.collect();
        }
        PoolStats {
            budget_bytes: self.inner.shared.budget,
            mapped_bytes: self.inner.shared.mapped.load(Ordering::Relaxed),
            leased_bytes: self.leased_bytes(),
            high_water_bytes: self.inner.high_water.get(),
            fresh: self.inner.fresh.load(Ordering::Relaxed),
            exhausted: self.inner.exhausted.load(Ordering::Relaxed),
        }
    }
}

/// A buffer promised by [`Pool::reserve`]: counts against the budget until redeemed or dropped.
#[derive(Debug)]
pub struct Reservation {
    pool: Pool,
    size: usize,
}

impl Reservation {
    /// Bytes promised.
    pub fn capacity(&self) -> usize {
        self.size
    }

    /// The buffer; `None` only where the kernel gives no memory.
    pub fn redeem(self) -> Option<LeaseMut> {
        let (pool, size) = (self.pool.clone(), self.size);
        drop(self);
        pool.lease_reserved(size)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let reserved = &self.pool.inner.reserved;
        reserved.set(reserved.get() - self.size);
    }
}

/// Adds one to a counter with a single writer: a load and a store, no locked instruction.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SeqCst pairs with the push in `give_back`: whoever comes second destroys the slot.
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.destroy_returned();
        // SAFETY: on the owner's thread; the borrow ends before any slot is destroyed.
        let lists = unsafe { &mut (*self.shared.free.get()).lists };
        let lists: Vec<Vec<NonNull<Slot>>> = lists.iter_mut().map(std::mem::take).collect();
        for slot in lists.into_iter().flatten() {
            // SAFETY: a slot of a free list has no holder, and the lists are gone.
            unsafe { Slot::destroy(slot) };
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "pool_tests.rs"]
mod tests;
