//! Requests and one-way messages of the peer that arrive in slices.
//!
//! Memory for what is granted beyond the slices that have come is leased with the grant, never for the length
//! that the sender announced. This module decides; the shell leases, and sends the credit.
//!
//! ```text
//! slice ──► accept ──► place of the slice, and the buffer, lent
//! received ─► put_back ─► window: how far to grant, in a buffer of which size ──► grant ──► credit, or give up
//! ```

use std::collections::HashMap;

use ringrail_codec::native::{Assembly, AssemblyError, RpcSlice, padded_len};

use crate::buf::LeaseMut;

use super::claim::grown;

/// A large incoming request or one-way message.
#[derive(Debug)]
pub(crate) struct SlicedIn {
    /// The destination buffer; `None` while a receive operation owns it.
    pub(crate) buf: Option<LeaseMut>,
    /// Capacity of that buffer in bytes, also while a receive operation owns it.
    pub(crate) capacity: usize,
    /// Bytes that the peer may have sent once all its credit is used.
    pub(crate) granted: u64,
    pub(crate) assembly: Assembly,
    pub(crate) deadline_ns: u64,
    /// Time of the last slice.
    pub(crate) grew_ns: u64,
}

/// Bodies in slices, and their total memory.
#[derive(Default)]
pub(crate) struct SlicedTable {
    entries: HashMap<u64, SlicedIn>,
    bytes: usize,
}

/// The place of a slice that was accepted.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The buffer of the body, lent until [`SlicedTable::put_back`].
    pub(crate) buf: LeaseMut,
    /// Offset of the slice in it.
    pub(crate) at: usize,
    /// The body is complete with this slice.
    pub(crate) complete: bool,
    /// Bytes that the buffer may grow to.
    pub(crate) limit: usize,
}

/// The reason why a slice ends its connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SliceError {
    /// It does not follow the slices before it.
    Order(AssemblyError),
    /// The peer has sent more than it was granted.
    BeyondCredit { received: u64, granted: u64 },
}

/// How far a body may be granted, once its buffer has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Bytes that have come.
    pub(crate) received: usize,
    /// Bytes that may be granted in all.
    pub(crate) granted: u64,
    /// Capacity that the buffer needs for those.
    pub(crate) capacity: usize,
}

/// The outcome of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Send this credit.
    Credit(u64),
    /// Nothing is due: what was granted has not all come.
    Later,
    /// Nothing more will come without credit, and there is no memory to grant it: give the body up.
    GiveUp { total_len: u64 },
}

impl SlicedIn {
    /// A body of `total_len` bytes whose first slice has `body_len`, in a buffer of `capacity`. The first slice is
    /// free, and so is the credit of the handshake behind it.
    pub(crate) fn begin(
        (total_len, body_len): (u64, u32),
        capacity: usize,
        initial_credit: u64,
        (deadline_ns, now_ns): (u64, u64),
    ) -> Self {
        Self {
            buf: None,
            capacity,
            granted: u64::from(body_len) + initial_credit,
            assembly: Assembly::rpc(total_len, body_len),
            deadline_ns,
            grew_ns: now_ns,
        }
    }

    /// Length of the whole body.
    pub(crate) fn total_len(&self) -> u64 {
        self.assembly
            .total_len()
            .unwrap_or(self.assembly.received())
    }

    /// How far to grant next: once half of what was granted is here, and the body is not granted whole.
    pub(crate) fn window(&self) -> Option<Window> {
        let (received, total_len) = (self.assembly.received(), self.total_len());
        if self.granted >= total_len || received < self.granted / 2 || self.buf.is_none() {
            return None;
        }
        let granted = grown(received as usize, total_len as usize);
        Some(Window {
            received: received as usize,
            granted: granted as u64,
            capacity: padded_len(granted),
        })
    }

    /// Grants up to `granted` bytes, as far as the buffer allows.
    pub(crate) fn grant(&mut self, window: Window) -> Grant {
        let fits = self.capacity >= window.capacity;
        let before = self.granted;
        if fits && window.granted > before {
            self.granted = window.granted;
            return Grant::Credit(window.granted - before);
        }
        let total_len = self.total_len();
        match self.assembly.received() >= before {
            true => Grant::GiveUp { total_len },
            false => Grant::Later,
        }
    }
}

impl SlicedTable {
    /// Memory that the buffers of the bodies have, in bytes, lent or not.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Accepts a slice, and lends the buffer that it goes to; `None` for a body that is not here: a request that
    /// was refused or retracted may still send what was granted.
    ///
    /// # Errors
    /// If the peer broke a rule.
    pub(crate) fn accept(
        &mut self,
        id: u64,
        slice: &RpcSlice,
        body_len: u32,
    ) -> Result<Option<Slot>, SliceError> {
        let Some(sliced) = self.entries.get_mut(&id) else {
            return Ok(None);
        };
        let Some(buf) = sliced.buf.take() else {
            return Ok(None);
        };
        let place = sliced.assembly.rpc_slice(slice, body_len);
        let place = place.map_err(SliceError::Order)?;
        let (received, granted) = (sliced.assembly.received(), sliced.granted);
        if received > granted {
            return Err(SliceError::BeyondCredit { received, granted });
        }
        assert_eq!(
            buf.capacity(),
            sliced.capacity,
            "the buffer is the one that was counted"
        );
        Ok(Some(Slot {
            buf,
            at: place.offset as usize,
            complete: place.complete,
            limit: padded_len(sliced.total_len() as usize),
        }))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.entries.contains_key(&id)
    }

    /// Enters a body under a free id.
    ///
    /// # Panics
    /// If the id is in use: check first.
    pub(crate) fn insert(&mut self, id: u64, sliced: SlicedIn) {
        self.bytes += sliced.capacity;
        let before = self.entries.insert(id, sliced);
        assert!(before.is_none(), "two bodies in slices under one id");
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut SlicedIn> {
        self.entries.get_mut(&id)
    }

    /// Takes back the buffer of a body, which may be a larger one by now.
    pub(crate) fn put_back(&mut self, id: u64, buf: LeaseMut, now_ns: u64) {
        let Some(sliced) = self.entries.get_mut(&id) else {
            return;
        };
        assert!(sliced.buf.is_none(), "a body has one buffer");
        self.bytes = self.bytes - sliced.capacity + buf.capacity();
        sliced.capacity = buf.capacity();
        sliced.buf = Some(buf);
        sliced.grew_ns = now_ns;
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<SlicedIn> {
        let sliced = self.entries.remove(&id)?;
        self.bytes -= sliced.capacity;
        assert!(
            !self.entries.is_empty() || self.bytes == 0,
            "{} bytes belong to no body",
            self.bytes
        );
        Some(sliced)
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Ids of those for which `is_over` holds.
    pub(crate) fn over(&self, is_over: impl Fn(&SlicedIn) -> bool) -> Vec<u64> {
        let over = self.entries.iter().filter(|(_, it)| is_over(it));
        over.map(|(id, _)| *id).collect()
    }

    /// Restarts the measurement of the time without growth for all bodies.
    pub(crate) fn touch(&mut self, now_ns: u64) {
        for sliced in self.entries.values_mut() {
            sliced.grew_ns = now_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ringrail_codec::native::SliceOf;

    use super::*;
    use crate::buf::Pool;

    fn slice(offset: u64, seq: u32, more: bool) -> RpcSlice {
        RpcSlice {
            id: 1,
            of: SliceOf::Request,
            offset,
            seq,
            more,
        }
    }

    proptest! {
        /// A sender that uses all of its credit gets a body of any length through, never has more than the window
        /// outstanding, and the table never counts more memory than the body needs.
        #[test]
        fn an_honest_sender_gets_through_in_growing_windows(
            total in 40_000u64..2_000_000,
            first in 16u32..8_000,
            initial_credit in 16u64..40_000,
            slice_max in 16u32..64_000,
        ) {
            let pool = Pool::new(64 << 20, 1 << 20);
            let mut table = SlicedTable::default();
            let buf = pool.lease(4096.max(padded_len(first as usize))).unwrap();
            let sliced = SlicedIn::begin((total, first), buf.capacity(), initial_credit, (u64::MAX, 0));
            table.insert(1, sliced);
            table.put_back(1, buf, 0);
            let (mut sent, mut seq, mut credit) = (u64::from(first), 0, initial_credit);
            let mut complete = false;
            while !complete {
                if let Some(window) = table.get_mut(1).unwrap().window() {
                    if table.get_mut(1).unwrap().capacity < window.capacity {
                        let old = table.get_mut(1).unwrap().buf.take();
                        prop_assert!(old.is_some());
                        table.put_back(1, pool.lease(window.capacity).unwrap(), 0);
                    }
                    if let Grant::Credit(bytes) = table.get_mut(1).unwrap().grant(window) {
                        credit += bytes;
                    }
                }
                prop_assert!(credit > 0, "a sender without credit waits for ever at {sent} of {total}");
                let len = u64::from(slice_max).min(credit).min(total - sent);
                seq += 1;
                let more = sent + len < total;
                let slot = table.accept(1, &slice(sent, seq, more), len as u32);
                let slot = slot.expect("within its credit").expect("it is here");
                prop_assert_eq!(slot.at as u64, sent);
                (sent, credit, complete) = (sent + len, credit - len, slot.complete);
                table.put_back(1, slot.buf, 0);
                prop_assert!(table.bytes() <= 8 * (total as usize + 8192));
            }
            prop_assert_eq!(sent, total);
            table.remove(1);
            prop_assert_eq!(table.bytes(), 0);
        }
    }

    #[test]
    fn more_than_was_granted_is_told_and_a_body_without_memory_is_given_up() {
        let pool = Pool::new(1 << 20, 1 << 16);
        let mut table = SlicedTable::default();
        let buf = pool.lease(4096).unwrap();
        table.insert(
            1,
            SlicedIn::begin((1 << 20, 2048), 4096, 2048, (u64::MAX, 0)),
        );
        table.put_back(1, buf, 0);
        let sliced = table.get_mut(1).unwrap();
        let window = sliced.window().expect("half of the credit is used");
        assert_eq!(
            sliced.grant(window),
            Grant::Later,
            "the rest of the credit may still come"
        );
        let slot = table
            .accept(1, &slice(2048, 1, true), 2048)
            .unwrap()
            .unwrap();
        table.put_back(1, slot.buf, 0);
        let sliced = table.get_mut(1).unwrap();
        let window = sliced.window().unwrap();
        let total_len = 1 << 20;
        assert_eq!(sliced.grant(window), Grant::GiveUp { total_len });
        let error = table.accept(1, &slice(4096, 2, true), 16).unwrap_err();
        let (received, granted) = (4112, 4096);
        assert_eq!(error, SliceError::BeyondCredit { received, granted });
    }
}
