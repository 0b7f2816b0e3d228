//! The bodies of one connection on their way out: those that can go on, and those that wait for
//! credit.
//!
//! `compose` walks the ready ones in their order; `dispatch` finds one by name for a Credit or a
//! Cancel. A slab holds them, the ready ones are linked, and an index knows their names, so that every
//! step costs the same whatever the number of bodies: a peer decides how many there are. A body that
//! waits for credit is unlinked; the credit links it again, behind those that were ready before.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use slab::Slab;

use super::ids::IdState;
use super::transfer::{Carries, Transfer, TransferKey};

/// No neighbour.
const NONE: u32 = u32::MAX;

/// Places that an empty lane keeps; a burst of bodies beyond them gives its memory back.
const KEPT_PLACES: usize = 64;

/// A place in the lane, good until the body in it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(u32);

/// Names one body for good: found no more once it is out, whoever has its place or its id then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyKey {
    slot: u32,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    transfer: Transfer,
    generation: u64,
    before: u32,
    after: u32,
    parked: bool,
}

/// Bodies on their way out.
#[derive(Debug)]
pub(crate) struct BodyQueue {
    entries: Slab<Entry>,
    index: HashMap<TransferKey, u32, IdState>,
    first: u32,
    last: u32,
    ready_len: usize,
    generation: u64,
    /// Those whose answers keep the order of their requests (Spark's protocol).
    in_order: usize,
    one_ways: usize,
    /// Bodies of all connections of the shard.
    of_shard: Rc<Cell<usize>>,
}

impl BodyQueue {
    /// An empty lane that counts its bodies in `of_shard` as well.
    pub(crate) fn new(of_shard: Rc<Cell<usize>>) -> Self {
        Self {
            entries: Slab::new(),
            index: HashMap::default(),
            first: NONE,
            last: NONE,
            ready_len: 0,
            generation: 0,
            in_order: 0,
            one_ways: 0,
            of_shard,
        }
    }

    /// True where no body is on its way.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bodies on their way.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bodies of all connections of the shard.
    pub(crate) fn len_of_shard(&self) -> usize {
        self.of_shard.get()
    }

    /// True where the first of them has begun and must go on before anything else.
    pub(crate) fn is_running(&self) -> bool {
        self.first()
            .is_some_and(|spot| self.entries[spot.0 as usize].transfer.has_begun())
    }

    /// How many do not wait for credit.
    #[inline]
    pub(crate) fn ready_len(&self) -> usize {
        self.ready_len
    }

    /// True where some answer keeps the order of the requests.
    pub(crate) fn has_ordered(&self) -> bool {
        self.in_order > 0
    }

    /// One-way messages among them.
    pub(crate) fn one_ways(&self) -> usize {
        self.one_ways
    }

    /// True where a body of that name is on its way.
    pub(crate) fn contains(&self, key: TransferKey) -> bool {
        self.index.contains_key(&key)
    }

    /// Adds a body behind those that are ready.
    ///
    /// # Panics
    /// If one of that name is here: the caller looks first.
    pub(crate) fn push(&mut self, transfer: Transfer) {
        self.generation += 1;
        self.in_order += usize::from(keeps_order(&transfer));
        self.one_ways += usize::from(transfer.carries == Carries::OneWay);
        self.of_shard.set(self.of_shard.get() + 1);
        let key = transfer.key();
        let slot = self.entries.insert(Entry {
            transfer,
            generation: self.generation,
            before: NONE,
            after: NONE,
            parked: true,
        }) as u32;
        let before = self.index.insert(key, slot);
        assert!(before.is_none(), "two bodies of one name: {key:?}");
        self.link_last(slot);
    }

    /// The first that does not wait for credit.
    #[inline]
    pub(crate) fn first(&self) -> Option<Spot> {
        (self.first != NONE).then_some(Spot(self.first))
    }

    /// The ready one behind that one.
    #[inline]
    pub(crate) fn after(&self, spot: Spot) -> Option<Spot> {
        let after = self.entries[spot.0 as usize].after;
        (after != NONE).then_some(Spot(after))
    }

    #[inline]
    pub(crate) fn at(&mut self, spot: Spot) -> &mut Transfer {
        &mut self.entries[spot.0 as usize].transfer
    }

    /// A name for that one that outlives it.
    pub(crate) fn key_of(&self, spot: Spot) -> BodyKey {
        BodyKey {
            slot: spot.0,
            generation: self.entries[spot.0 as usize].generation,
        }
    }

    /// The place of the body of that name, if it is here still.
    pub(crate) fn find(&self, key: BodyKey) -> Option<Spot> {
        let entry = self.entries.get(key.slot as usize)?;
        (entry.generation == key.generation).then_some(Spot(key.slot))
    }

    /// Takes that one out.
    pub(crate) fn remove(&mut self, spot: Spot) -> Transfer {
        if !self.entries[spot.0 as usize].parked {
            self.unlink(spot.0);
        }
        let transfer = self.entries.remove(spot.0 as usize).transfer;
        self.index.remove(&transfer.key());
        self.in_order -= usize::from(keeps_order(&transfer));
        self.one_ways -= usize::from(transfer.carries == Carries::OneWay);
        self.of_shard.set(self.of_shard.get() - 1);
        if self.entries.is_empty() && self.entries.capacity() > KEPT_PLACES {
            self.entries = Slab::new();
            self.index = HashMap::default();
        }
        transfer
    }

    /// That one waits for credit.
    pub(crate) fn park(&mut self, spot: Spot) {
        self.unlink(spot.0);
    }

    /// Gives credit to a body; false where there is none of that name.
    pub(crate) fn grant(&mut self, key: TransferKey, bytes: u64) -> bool {
        let Some(&slot) = self.index.get(&key) else {
            return false;
        };
        let entry = &mut self.entries[slot as usize];
        entry.transfer.grant(bytes);
        if entry.parked {
            self.link_last(slot);
        }
        true
    }

    /// Takes the body of that name out, unless it has begun and cannot be broken off.
    pub(crate) fn take(&mut self, key: TransferKey) -> Option<Transfer> {
        let &slot = self.index.get(&key)?;
        if self.entries[slot as usize].transfer.has_begun() {
            return None;
        }
        Some(self.remove(Spot(slot)))
    }

    /// Takes out what waits for credit beyond its deadline.
    pub(crate) fn take_overdue(&mut self, now_ns: u64) -> Vec<Transfer> {
        let overdue: Vec<u32> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.parked && entry.transfer.deadline_ns <= now_ns)
            .map(|(slot, _)| slot as u32)
            .collect();
        overdue
            .into_iter()
            .map(|slot| self.remove(Spot(slot)))
            .collect()
    }

    /// Takes everything out, in no particular order.
    pub(crate) fn take_all(&mut self) -> Vec<Transfer> {
        let slots: Vec<u32> = self.entries.iter().map(|(slot, _)| slot as u32).collect();
        slots
            .into_iter()
            .map(|slot| self.remove(Spot(slot)))
            .collect()
    }

    fn link_last(&mut self, slot: u32) {
        let last = std::mem::replace(&mut self.last, slot);
        let entry = &mut self.entries[slot as usize];
        debug_assert!(entry.parked);
        entry.parked = false;
        (entry.before, entry.after) = (last, NONE);
        match last {
            NONE => self.first = slot,
            last => self.entries[last as usize].after = slot,
        }
        self.ready_len += 1;
    }

    fn unlink(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        assert!(!entry.parked, "a body is unlinked once");
        entry.parked = true;
        let (before, after) = (entry.before, entry.after);
        match before {
            NONE => self.first = after,
            before => self.entries[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.entries[after as usize].before = before,
        }
        self.ready_len -= 1;
    }
}

impl Drop for BodyQueue {
    fn drop(&mut self) {
        self.of_shard.set(self.of_shard.get() - self.entries.len());
    }
}

fn keeps_order(transfer: &Transfer) -> bool {
    matches!(transfer.carries, Carries::Stream | Carries::Refusal)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::buf::ManagedBuffer;

    fn chunk(id: u64) -> Transfer {
        let data = ManagedBuffer::from(Bytes::from_static(&[7; 100]));
        Transfer::new(id, Carries::Chunk { stream: 1 }, data, 4096, 0, u64::MAX)
    }

    fn key(id: u64) -> TransferKey {
        TransferKey::of_peer(id)
    }

    fn order(lane: &mut BodyQueue) -> Vec<u64> {
        let mut ids = Vec::new();
        let mut at = lane.first();
        while let Some(spot) = at {
            ids.push(lane.at(spot).id);
            at = lane.after(spot);
        }
        assert_eq!(ids.len(), lane.ready_len());
        ids
    }

    #[test]
    fn bodies_keep_their_order_whatever_is_taken_from_among_them() {
        let count = Rc::new(Cell::new(0));
        let mut lane = BodyQueue::new(Rc::clone(&count));
        for id in 0..5 {
            lane.push(chunk(id));
        }
        assert_eq!(lane.take(key(2)).map(|it| it.id), Some(2));
        assert!(lane.take(key(2)).is_none());
        let first = lane.first().unwrap();
        lane.park(first);
        assert_eq!(order(&mut lane), [1, 3, 4]);
        assert!(lane.grant(key(3), 10), "a ready one keeps its place");
        assert!(lane.grant(key(0), 10), "a parked one goes behind");
        assert!(!lane.grant(key(2), 10));
        assert_eq!(order(&mut lane), [1, 3, 4, 0]);
        assert_eq!((lane.len(), count.get()), (4, 4));
        let last = lane.find(lane.key_of(lane.first().unwrap())).unwrap();
        assert_eq!(lane.remove(last).id, 1);
        assert_eq!(lane.take_all().len(), 3);
        assert!(lane.is_empty() && lane.first().is_none());
        lane.push(chunk(9));
        assert_eq!(order(&mut lane), [9]);
        drop(lane);
        assert_eq!(count.get(), 0);
    }

    #[test]
    fn a_name_of_a_body_that_is_gone_finds_nobody() {
        let mut lane = BodyQueue::new(Rc::default());
        lane.push(chunk(7));
        let name = lane.key_of(lane.first().unwrap());
        assert!(lane.find(name).is_some());
        lane.take(key(7)).unwrap();
        assert!(lane.find(name).is_none());
        lane.push(chunk(7));
        assert!(lane.find(name).is_none(), "the same id in the same place");
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut lane = BodyQueue::new(Rc::default());
        for id in 0..10_000 {
            lane.push(chunk(id));
        }
        for id in 0..10_000 {
            lane.take(key(id)).unwrap();
        }
        assert!(lane.entries.capacity() <= KEPT_PLACES && lane.index.capacity() <= KEPT_PLACES);
    }

    #[test]
    fn only_what_waits_for_credit_is_overdue() {
        let mut lane = BodyQueue::new(Rc::default());
        for id in 0..3 {
            let mut transfer = chunk(id);
            transfer.deadline_ns = 5 + id;
            lane.push(transfer);
        }
        let first = lane.first().unwrap();
        let second = lane.after(first).unwrap();
        lane.park(first);
        lane.park(second);
        let overdue: Vec<u64> = lane.take_overdue(5).iter().map(|it| it.id).collect();
        assert_eq!(overdue, [0]);
        assert_eq!((lane.len(), order(&mut lane)), (2, vec![2]));
    }
}
