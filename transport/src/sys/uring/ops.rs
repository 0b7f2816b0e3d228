//! The table of operations in flight: what the kernel works on, kept until it is done.
//!
//! `user_data` is slot and generation, so a completion that comes after its slot was given to
//! another operation finds nobody.

use std::fs::File;
use std::os::fd::RawFd;
use std::sync::Arc;

use crate::buf::{Gather, LeaseMut, MAX_PIECES};
use crate::sys::driver::OpKey;
use crate::sys::socket::SockAddr;

use super::files::FileSend;

/// Memory of a `sendmsg`: must stay where it is while the kernel reads it.
#[derive(Debug)]
pub(super) struct MsgScratch {
    header: libc::msghdr,
    iov: [libc::iovec; MAX_PIECES],
}

impl MsgScratch {
    pub(super) fn new() -> Box<Self> {
        // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let empty = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        Box::new(Self {
            header,
            iov: [empty; MAX_PIECES],
        })
    }

    /// Describes what remains of `gather` less its first `sent` bytes; good while neither of the
    /// two is touched.
    pub(super) fn describe(&mut self, gather: &Gather, sent: usize) -> *const libc::msghdr {
        let mut count = 0;
        for (place, (at, len)) in self.iov.iter_mut().zip(gather.parts_after(sent)) {
            *place = libc::iovec {
                iov_base: at.cast_mut().cast(),
                iov_len: len,
            };
            count += 1;
        }
        self.header.msg_iov = self.iov.as_mut_ptr();
        self.header.msg_iovlen = count;
        &raw const self.header
    }

    pub(super) fn iov_count(&self) -> usize {
        self.header.msg_iovlen
    }

    pub(super) fn first(&self) -> libc::iovec {
        self.iov[0]
    }
}

/// What an operation owns while the kernel has it.
#[derive(Debug)]
pub(super) enum State {
    Accept,
    /// The address is only kept alive: the kernel reads it through the pointer it was given.
    Connect {
        _addr: SockAddr,
    },
    RecvMulti,
    Recv {
        buf: LeaseMut,
    },
    /// `quick`: expected to be done when the call that submits it returns.
    Send {
        gather: Gather,
        scratch: Box<MsgScratch>,
        quick: bool,
    },
    SendFile {
        send: FileSend,
        scratch: Box<MsgScratch>,
        socket: RawFd,
        cancelled: bool,
    },
    Read {
        buf: LeaseMut,
        _file: Arc<File>,
    },
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    token: u64,
    state: Option<State>,
}

/// The table. Bounded: a full table gives operations back to the engine.
#[derive(Debug)]
pub(super) struct OpTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    limit: usize,
}

impl OpTable {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty() || self.slots.len() < self.limit
    }

    /// Takes an operation in. The caller looked at [`has_room`](Self::has_room).
    pub(super) fn insert(&mut self, token: u64, state: State) -> OpKey {
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
    pub(super) fn get(&mut self, key: OpKey) -> Option<(u64, &mut State)> {
        let (index, generation) = (key.0 as u32, (key.0 >> 32) as u32);
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation != generation {
            return None;
        }
        let token = slot.token;
        slot.state.as_mut().map(|state| (token, state))
    }

    /// Ends an operation and frees its slot for the next generation.
    pub(super) fn remove(&mut self, key: OpKey) -> Option<(u64, State)> {
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
        let first = table.insert(7, State::Accept);
        assert_eq!(table.remove(first).map(|(token, _)| token), Some(7));
        let second = table.insert(8, State::Accept);
        assert!(table.get(first).is_none());
        assert!(table.remove(first).is_none());
        assert_eq!(table.get(second).map(|(token, _)| token), Some(8));
        assert_eq!(table.in_flight(), 1);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = OpTable::new(1);
        let key = table.insert(1, State::Accept);
        assert!(!table.has_room());
        table.remove(key);
        assert!(table.has_room());
    }
}
