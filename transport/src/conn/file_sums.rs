//! Checksums of files that do not change, so that they leave by `sendfile` on connections with CRC32C too.
//!
//! A shard keeps the sums of the files that it sends ([`FileSums`]), by what the kernel says a file is:
//! device, inode, length, times of its last change. They are believed for one slice at a time, after the
//! kernel has been asked again; a file that it describes otherwise begins anew with no sum known. What the
//! kernel's times cannot tell apart is not kept ([`Driver::file_state`]), and sums older than
//! [`BELIEVED_NS`] are forgotten, for a file that is written to through a mapping may keep its times.
//! A sum that is wrong all the same makes a receiver refuse the slice; it never makes it accept another's bytes.
//!
//! ```text
//! compose_file ── look ──► known ──────────► header with its sum, body by sendfile or from the mapping
//!                   └────► unknown, a ticket ──► read into a lease ──► keep (same file still?) ──► gathered
//! ```
//!
//! [`Driver::file_state`]: crate::sys::driver::Driver::file_state

use std::collections::HashMap;

use slab::Slab;

use crate::buf::BlockSums;
use crate::sys::driver::FileState;

/// How long the sums of a file are believed after the first of them was computed.
const BELIEVED_NS: u64 = 60_000_000_000;

/// Bytes of an entry besides its sums: its part of the slab and of the index.
const ENTRY_LEN: u64 = 192;

/// Names the sums of a file for the length of one read: they are another's once the file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SumTicket {
    slot: usize,
    generation: u64,
}

/// The outcome of a look at a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Its sum.
    Known(u32),
    /// Nothing, or not of all of it: it is to be read, and [kept](FileSums::keep) under this ticket.
    Unknown(SumTicket),
    /// Nothing, and nothing is to be kept.
    Never,
}

#[derive(Debug)]
struct Entry {
    state: FileState,
    sums: BlockSums,
    generation: u64,
    made_ns: u64,
    /// PeerRequests for since the hand last passed it.
    used: bool,
}

/// The sums of the files that a shard sends, within a budget.
#[derive(Debug)]
pub(crate) struct FileSums {
    budget: u64,
    used: u64,
    entries: Slab<Entry>,
    /// By device and inode.
    index: HashMap<(u64, u64), usize>,
    /// Position at which the search for an entry to evict continues.
    hand: usize,
    generation: u64,
}

impl FileSums {
    /// None, and never more than `budget` bytes of them.
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            budget: budget as u64,
            used: 0,
            entries: Slab::new(),
            index: HashMap::new(),
            hand: 0,
            generation: 0,
        }
    }

    /// Looks up the sum of `len` bytes from `offset` on, of a file that is in this state now.
    pub(crate) fn look(&mut self, state: &FileState, offset: u64, len: u64, now_ns: u64) -> Look {
        let Some(slot) = self.entry(state, now_ns) else {
            return Look::Never;
        };
        let entry = &self.entries[slot];
        match entry.sums.known(offset, len) {
            Some(crc) => Look::Known(crc),
            None => Look::Unknown(SumTicket {
                slot,
                generation: entry.generation,
            }),
        }
    }

    /// The table in which the sums of bytes that were read under a ticket are kept, where the file is in the
    /// same state after the read as before it.
    pub(crate) fn keep(&self, ticket: SumTicket, state: &FileState) -> Option<&BlockSums> {
        let entry = self.entries.get(ticket.slot)?;
        let same = entry.generation == ticket.generation && entry.state == *state;
        same.then_some(&entry.sums)
    }

    fn entry(&mut self, state: &FileState, now_ns: u64) -> Option<usize> {
        let key = (state.dev, state.ino);
        if let Some(&slot) = self.index.get(&key) {
            let entry = &mut self.entries[slot];
            let believed = now_ns < entry.made_ns.saturating_add(BELIEVED_NS);
            if entry.state == *state && believed {
                entry.used = true;
                return Some(slot);
            }
            self.forget(slot);
        }
        let cost = cost_of(state);
        if cost > self.budget {
            return None;
        }
        while self.used + cost > self.budget {
            self.forget_one();
        }
        self.used += cost;
        self.generation += 1;
        let slot = self.entries.insert(Entry {
            state: *state,
            sums: BlockSums::new(state.len),
            generation: self.generation,
            made_ns: now_ns,
            used: false,
        });
        self.index.insert(key, slot);
        Some(slot)
    }

    /// Forgets a file that was not asked for since the last time round.
    fn forget_one(&mut self) {
        assert!(
            !self.entries.is_empty(),
            "{} bytes are in no entry",
            self.used
        );
        loop {
            self.hand = (self.hand + 1) % self.entries.capacity().max(1);
            match self.entries.get_mut(self.hand) {
                Some(entry) if entry.used => entry.used = false,
                Some(_) => return self.forget(self.hand),
                None => {}
            }
        }
    }

    fn forget(&mut self, slot: usize) {
        let entry = self.entries.remove(slot);
        self.used -= cost_of(&entry.state);
        let gone = self.index.remove(&(entry.state.dev, entry.state.ino));
        assert_eq!(gone, Some(slot), "an entry has its place in the index");
    }
}

fn cost_of(state: &FileState) -> u64 {
    BlockSums::memory_for(state.len).saturating_add(ENTRY_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringrail_codec::native::crc_of;

    const LEN: u64 = 256 << 10;

    fn state(ino: u64) -> FileState {
        FileState {
            dev: 1,
            ino,
            len: LEN,
            modified: (100, 0),
            changed: (100, 0),
        }
    }

    fn ticket(look: Look) -> SumTicket {
        match look {
            Look::Unknown(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// Sums all of a file of zeros.
    fn fill(sums: &mut FileSums, state: &FileState) {
        let ticket = ticket(sums.look(state, 0, LEN, 0));
        let table = sums.keep(ticket, state).expect("the same file");
        table.fill(0, &vec![0; LEN as usize]);
    }

    #[test]
    fn sums_are_known_once_they_were_kept() {
        let mut sums = FileSums::new(1 << 20);
        fill(&mut sums, &state(7));
        let zeros = crc_of(&vec![0; LEN as usize]);
        assert_eq!(sums.look(&state(7), 0, LEN, 1), Look::Known(zeros));
        assert!(matches!(sums.look(&state(8), 0, LEN, 1), Look::Unknown(_)));
    }

    #[test]
    fn a_file_that_has_changed_begins_anew() {
        let touched = FileState {
            changed: (100, 1),
            ..state(7)
        };
        let shortened = FileState {
            len: LEN - 1,
            ..state(7)
        };
        for changed in [touched, shortened] {
            let mut sums = FileSums::new(1 << 20);
            fill(&mut sums, &state(7));
            let before = sums.used;
            let len = changed.len;
            assert!(matches!(sums.look(&changed, 0, len, 1), Look::Unknown(_)));
            assert_eq!(sums.used, before, "the old sums are forgotten");
            // Back as it was: nothing is remembered of that either.
            assert!(matches!(sums.look(&state(7), 0, LEN, 1), Look::Unknown(_)));
        }
    }

    #[test]
    fn bytes_that_were_read_before_a_change_are_not_kept_after_it() {
        let mut sums = FileSums::new(1 << 20);
        let old = ticket(sums.look(&state(7), 0, LEN, 0));
        let touched = FileState {
            modified: (100, 5),
            ..state(7)
        };
        assert!(sums.keep(old, &touched).is_none());
        let new = ticket(sums.look(&touched, 0, LEN, 0));
        assert!(sums.keep(old, &touched).is_none(), "of another generation");
        assert!(sums.keep(new, &touched).is_some());
    }

    #[test]
    fn sums_are_not_believed_for_ever() {
        let mut sums = FileSums::new(1 << 20);
        fill(&mut sums, &state(7));
        let look = |sums: &mut FileSums, at| sums.look(&state(7), 0, LEN, at);
        assert!(matches!(look(&mut sums, BELIEVED_NS - 1), Look::Known(_)));
        assert!(matches!(look(&mut sums, BELIEVED_NS), Look::Unknown(_)));
    }

    #[test]
    fn the_budget_holds_and_files_that_are_used_stay() {
        let cost = cost_of(&state(0));
        let mut sums = FileSums::new(3 * cost as usize);
        for ino in 0..3 {
            fill(&mut sums, &state(ino));
        }
        for ino in 3..100 {
            assert!(matches!(sums.look(&state(0), 0, LEN, 0), Look::Known(_)));
            fill(&mut sums, &state(ino));
            assert!(sums.used <= sums.budget);
            assert_eq!(sums.entries.len(), 3);
        }
        assert!(matches!(sums.look(&state(1), 0, LEN, 0), Look::Unknown(_)));
    }

    #[test]
    fn without_a_budget_for_it_nothing_is_kept_of_a_file() {
        let mut none = FileSums::new(0);
        assert_eq!(none.look(&state(7), 0, LEN, 0), Look::Never);
        let mut small = FileSums::new(1 << 10);
        let long = FileState {
            len: u64::MAX,
            ..state(7)
        };
        assert_eq!(small.look(&long, 0, LEN, 0), Look::Never);
        assert!(matches!(small.look(&state(8), 0, LEN, 0), Look::Unknown(_)));
    }
}
