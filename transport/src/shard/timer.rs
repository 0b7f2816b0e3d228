//! The timers of a shard: request deadlines, idle connections, retries.
//!
//! A hierarchical timing wheel (Varghese and Lauck, "Hashed and hierarchical
//! timing wheels", 1987): a timer costs a few nanoseconds to set and to cancel,
//! whatever their number, and no system call. The shard asks
//! [`next_deadline`](TimerWheel::next_deadline) how long it may sleep and takes
//! what is due with [`pop_due`](TimerWheel::pop_due) or
//! [`advance`](TimerWheel::advance); a timer carries a token in which its owner
//! encodes what to do.
//!
//! ```text
//!  level 5   64 slots of 2^30 ticks   \
//!   ...                                 a slot that is reached is dealt out
//!  level 1   64 slots of 64 ticks      / to the levels below
//!  level 0   64 slots of 1 tick           ... and here its timers fire
//! ```
//!
//! Timers live in one slab and are linked through their indices, so that after
//! warm-up nothing allocates.

use std::fmt;

/// The resolution of the wheel in nanoseconds: a timer fires up to one tick
/// late, and never early.
pub const TICK_NS: u64 = 1_000_000;

/// Limit of the timers of a wheel whose owner sets none.
pub const DEFAULT_MAX_TIMERS: u32 = 1 << 20;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u64 = SLOTS as u64 - 1;
/// Six levels reach 2^36 ticks, more than two years; what lies beyond waits in
/// the outermost slot and is dealt out again from there.
const LEVELS: usize = 6;
/// The farthest a timer is placed from now: one turn of the outermost level, less
/// the slot that the wheel stands in.
const HORIZON_TICKS: u64 = SLOT_MASK << (SLOT_BITS * (LEVELS as u32 - 1));
/// No timer: the end of a list.
const NIL: u32 = u32::MAX;

/// Names a timer that was set, for [`TimerWheel::cancel`].
///
/// A key outlives its timer harmlessly: it carries a generation and names no
/// timer that is set later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

/// The wheel has reached its limit of timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shard already runs {limit} timers, its limit")]
pub struct TimersFull {
    /// The limit of timers.
    pub limit: u32,
}

/// A hierarchical timing wheel with ticks of [`TICK_NS`].
///
/// Time is given by the caller, in nanoseconds of any clock that never goes
/// back, so that a simulation can drive it as well as the monotonic clock.
///
/// # Example
///
/// ```
/// use ringrail_transport::shard::timer::{TICK_NS, TimerWheel};
///
/// let mut timers = TimerWheel::new(0, 1024);
/// let kept = timers.insert(5 * TICK_NS, 1).unwrap();
/// let cancelled = timers.insert(7 * TICK_NS, 2).unwrap();
/// assert!(timers.cancel(cancelled));
/// assert_eq!(timers.next_deadline(), Some(5 * TICK_NS));
///
/// let mut fired = Vec::new();
/// timers.advance(10 * TICK_NS, |token| fired.push(token));
/// assert_eq!(fired, [1]);
/// assert!(!timers.cancel(kept), "it has fired");
/// ```
pub struct TimerWheel {
    /// The tick up to which everything due has fired.
    elapsed: u64,
    /// Bit `s` of level `l` is set while `heads[l][s]` is not empty.
    occupied: [u64; LEVELS],
    heads: [[u32; SLOTS]; LEVELS],
    nodes: Vec<Node>,
    free_head: u32,
    len: u32,
    limit: u32,
}

struct Node {
    /// The tick at which the timer is due.
    tick: u64,
    token: u64,
    /// Also links the free list.
    next: u32,
    prev: u32,
    /// Grows whenever the timer ends, so that old keys no longer match.
    generation: u32,
    level: u8,
    slot: u8,
}

/// The next slot that the wheel has to deal with, and when.
struct Event {
    tick: u64,
    level: usize,
    slot: usize,
}

impl TimerWheel {
    /// A wheel that stands at `now_ns` and holds at most `limit` timers
    /// ([`DEFAULT_MAX_TIMERS`]). It allocates as timers are first needed.
    pub fn new(now_ns: u64, limit: u32) -> Self {
        Self {
            elapsed: now_ns / TICK_NS,
            occupied: [0; LEVELS],
            heads: [[NIL; SLOTS]; LEVELS],
            nodes: Vec::new(),
            free_head: NIL,
            len: 0,
            limit,
        }
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// For how many timers memory has been allocated.
    pub fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    /// Sets a timer; once `deadline_ns` has passed, `token` comes out. A deadline
    /// that has already passed is due at the next tick.
    ///
    /// # Errors
    ///
    /// [`TimersFull`] at the limit.
    pub fn insert(&mut self, deadline_ns: u64, token: u64) -> Result<TimerKey, TimersFull> {
        let index = self.allocate()?;
        let tick = deadline_ns.div_ceil(TICK_NS).max(self.elapsed + 1);
        let node = &mut self.nodes[index as usize];
        node.tick = tick;
        node.token = token;
        let generation = node.generation;
        self.link(index, tick);
        self.len += 1;
        Ok(TimerKey { index, generation })
    }

    /// Cancels a timer. False if it has fired or was cancelled before: the caller then lost the
    /// race.
    pub fn cancel(&mut self, key: TimerKey) -> bool {
        match self.nodes.get(key.index as usize) {
            Some(node) if node.generation == key.generation => {
                self.unlink(key.index);
                self.release(key.index);
                true
            }
            _ => false,
        }
    }

    /// The time of the next check, in nanoseconds: never later than the next timer is due, and
    /// always later than the last time that everything due was taken. A far timer is approached in
    /// at most one step per level.
    pub fn next_deadline(&self) -> Option<u64> {
        self.next_event()
            .map(|event| event.tick.saturating_mul(TICK_NS))
    }

    /// Takes one timer that is due at `now_ns` and returns its token, earliest
    /// tick first. Timers may be set and cancelled between two calls.
    pub fn pop_due(&mut self, now_ns: u64) -> Option<u64> {
        let now = now_ns / TICK_NS;
        while let Some(event) = self.next_event() {
            if event.tick > now {
                break;
            }
            self.elapsed = event.tick;
            if event.level == 0 {
                let index = self.heads[0][event.slot];
                let token = self.nodes[index as usize].token;
                self.unlink(index);
                self.release(index);
                return Some(token);
            }
            self.deal_out(event.level, event.slot);
        }
        self.elapsed = self.elapsed.max(now);
        None
    }

    /// Hands the tokens of all timers that are due at `now_ns` to `fire`,
    /// earliest tick first, and returns how many there were.
    pub fn advance(&mut self, now_ns: u64, mut fire: impl FnMut(u64)) -> usize {
        let mut fired = 0;
        while let Some(token) = self.pop_due(now_ns) {
            fired += 1;
            fire(token);
        }
        fired
    }

    /// The first occupied slot after now. A lower level always comes first: its
    /// timers lie before the end of the slot in which the level above stands.
    fn next_event(&self) -> Option<Event> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let shift = SLOT_BITS * level as u32;
        let position = self.elapsed >> shift;
        let ahead = self.occupied[level].rotate_right((position & SLOT_MASK) as u32);
        let position = position + u64::from(ahead.trailing_zeros());
        Some(Event {
            tick: position << shift,
            level,
            slot: (position & SLOT_MASK) as usize,
        })
    }

    /// Moves the timers of a slot that has been reached to the levels below.
    fn deal_out(&mut self, level: usize, slot: usize) {
        let mut index = std::mem::replace(&mut self.heads[level][slot], NIL);
        self.occupied[level] &= !(1 << slot);
        while index != NIL {
            let Node { next, tick, .. } = self.nodes[index as usize];
            self.link(index, tick);
            index = next;
        }
    }

    /// Puts a timer into the slot where it belongs, as seen from now.
    fn link(&mut self, index: u32, tick: u64) {
        let (level, slot) = self.place(tick);
        let head = std::mem::replace(&mut self.heads[level][slot], index);
        self.occupied[level] |= 1 << slot;
        if head != NIL {
            self.nodes[head as usize].prev = index;
        }
        let node = &mut self.nodes[index as usize];
        node.prev = NIL;
        node.next = head;
        node.level = level as u8;
        node.slot = slot as u8;
    }

    /// The level is that of the highest digit (base 64) in which the tick differs
    /// from now, the slot is that digit.
    fn place(&self, tick: u64) -> (usize, usize) {
        let tick = tick.min(self.elapsed + HORIZON_TICKS);
        let differs = (self.elapsed ^ tick) | SLOT_MASK;
        let level = (differs.ilog2() / SLOT_BITS).min(LEVELS as u32 - 1);
        let slot = (tick >> (SLOT_BITS * level)) & SLOT_MASK;
        (level as usize, slot as usize)
    }

    fn unlink(&mut self, index: u32) {
        let Node {
            prev,
            next,
            level,
            slot,
            ..
        } = self.nodes[index as usize];
        if next != NIL {
            self.nodes[next as usize].prev = prev;
        }
        if prev != NIL {
            self.nodes[prev as usize].next = next;
            return;
        }
        assert_eq!(
            self.heads[level as usize][slot as usize], index,
            "a timer without one before it is the head of its slot"
        );
        self.heads[level as usize][slot as usize] = next;
        if next == NIL {
            self.occupied[level as usize] &= !(1 << slot);
        }
    }

    fn allocate(&mut self) -> Result<u32, TimersFull> {
        let index = self.free_head;
        if index != NIL {
            self.free_head = self.nodes[index as usize].next;
            return Ok(index);
        }
        let index = self.nodes.len() as u32;
        if index >= self.limit {
            return Err(TimersFull { limit: self.limit });
        }
        self.nodes.push(Node {
            tick: 0,
            token: 0,
            next: NIL,
            prev: NIL,
            generation: 0,
            level: 0,
            slot: 0,
        });
        Ok(index)
    }

    /// Gives a slab entry back; last in, first out keeps the hot ones in cache.
    fn release(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.generation = node.generation.wrapping_add(1);
        node.next = self.free_head;
        self.free_head = index;
        self.len -= 1;
    }
}

impl fmt::Debug for TimerWheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerWheel")
            .field("len", &self.len)
            .field("limit", &self.limit)
            .field("next_deadline_ns", &self.next_deadline())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "timer_tests.rs"]
mod tests;
