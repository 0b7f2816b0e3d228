//! The bodies of one connection on their way out: those that can go on, and those that wait for
//! credit.
//!
//! Who waits for credit is put aside, so that any number of such bodies neither hold up the others
//! nor cost a look for every send; the credit brings it back, behind those that were ready before.

use std::collections::VecDeque;

use super::transfer::{Transfer, TransferKey};

/// Bodies on their way out.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    ready: VecDeque<Transfer>,
    parked: Vec<Transfer>,
}

impl Lane {
    /// True where no body is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.parked.is_empty()
    }

    /// True where the first of them has begun and must go on before anything else.
    pub(crate) fn is_running(&self) -> bool {
        self.ready.front().is_some_and(Transfer::has_begun)
    }

    /// How many do not wait for credit.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn push(&mut self, transfer: Transfer) {
        self.ready.push_back(transfer);
    }

    /// The `at`-th that does not wait for credit.
    pub(crate) fn ready_mut(&mut self, at: usize) -> &mut Transfer {
        &mut self.ready[at]
    }

    /// Takes that one out.
    pub(crate) fn remove(&mut self, at: usize) -> Option<Transfer> {
        self.ready.remove(at)
    }

    /// That one waits for credit.
    pub(crate) fn park(&mut self, at: usize) {
        self.parked.extend(self.ready.remove(at));
    }

    /// Gives credit to a body; false where there is none of that name.
    pub(crate) fn grant(&mut self, key: TransferKey, bytes: u64) -> bool {
        if let Some(transfer) = self.ready.iter_mut().find(|it| it.key() == key) {
            transfer.grant(bytes);
            return true;
        }
        let Some(at) = self.parked.iter().position(|it| it.key() == key) else {
            return false;
        };
        let mut transfer = self.parked.swap_remove(at);
        transfer.grant(bytes);
        self.ready.push_back(transfer);
        true
    }

    /// Where a body of that name stands among those that do not wait for credit.
    pub(crate) fn position(&self, key: TransferKey) -> Option<usize> {
        self.ready.iter().position(|it| it.key() == key)
    }

    /// Takes the bodies of that name out; but for one that has begun and cannot be broken off.
    pub(crate) fn take(&mut self, key: TransferKey) -> Vec<Transfer> {
        let mut taken = Vec::new();
        while let Some(at) = self
            .ready
            .iter()
            .position(|it| it.key() == key && !it.has_begun())
        {
            taken.extend(self.ready.remove(at));
        }
        while let Some(at) = self.parked.iter().position(|it| it.key() == key) {
            taken.push(self.parked.swap_remove(at));
        }
        taken
    }

    /// Takes out what waits for credit beyond its deadline.
    pub(crate) fn take_overdue(&mut self, now_ns: u64) -> Vec<Transfer> {
        self.parked
            .extract_if(.., |it| it.deadline_ns <= now_ns)
            .collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Transfer> {
        self.ready.iter().chain(&self.parked)
    }
}
