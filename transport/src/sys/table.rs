//! The table of operations in flight: what a driver works on, kept until it is done.
//!
//! A key is slot and generation, so a completion that arrives after its slot was reused matches no
//! operation. The io_uring driver gives the keys to the kernel as `user_data`.

use super::driver::OpKey;

#[derive(Debug)]
struct Slot<S> {
    generation: u32,
    token: u64,
    state: Option<S>,
}

/// The table. Bounded: a full table gives operations back to the engine.
#[derive(Debug)]
pub(super) struct OpTable<S> {
    slots: Vec<Slot<S>>,
    free: Vec<u32>,
    limit: usize,
}

impl<S> OpTable<S> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    /// Room for `count` more operations.
    #[inline]
    pub(super) fn has_room(&self, count: usize) -> bool {
        self.free.len() + self.limit.saturating_sub(self.slots.len()) >= count
    }

    /// Takes an operation in. The caller looked at [`has_room`](Self::has_room).
    pub(super) fn insert(&mut self, token: u64, state: S) -> OpKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                token: 0,
                state: None,
            });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.token = token;
        slot.state = Some(state);
        key_of(index, slot.generation)
    }

    /// The operation of a key, with its token.
    pub(super) fn get(&mut self, key: OpKey) -> Option<(u64, &mut S)> {
        let (index, generation) = (key.0 as u32, (key.0 >> 32) as u32);
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation != generation {
            return None;
        }
        let token = slot.token;
        slot.state.as_mut().map(|state| (token, state))
    }

    /// Ends an operation and frees its slot for the next generation.
    pub(super) fn remove(&mut self, key: OpKey) -> Option<(u64, S)> {
        let (index, generation) = (key.0 as u32, (key.0 >> 32) as u32);
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation != generation {
            return None;
        }
        let state = slot.state.take()?;
        // 31 bits: the top bit of user_data marks the driver's own entries.
        slot.generation = (slot.generation + 1) & 0x7fff_ffff;
        self.free.push(index);
        Some((slot.token, state))
    }

    /// All operations, in no particular order.
    pub(super) fn states_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.slots.iter_mut().filter_map(|slot| slot.state.as_mut())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

fn key_of(index: u32, generation: u32) -> OpKey {
    OpKey(u64::from(generation) << 32 | u64::from(index))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nobody() {
        let mut table = OpTable::new(2);
        let first = table.insert(7, ());
        assert_eq!(table.remove(first).map(|(token, _)| token), Some(7));
        let second = table.insert(8, ());
        assert!(table.get(first).is_none());
        assert!(table.remove(first).is_none());
        assert_eq!(table.get(second).map(|(token, _)| token), Some(8));
        assert_eq!(table.in_flight(), 1);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = OpTable::new(1);
        let key = table.insert(1, ());
        assert!(!table.has_room(1));
        table.remove(key);
        assert!(table.has_room(1));
        assert!(!table.has_room(2));
    }
}
