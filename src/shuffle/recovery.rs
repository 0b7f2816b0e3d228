//! State kept for the next start, as long as this process owns the store.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::ShuffleError;
use super::store::Store;

/// The store of a service, if it has one, until another process takes over.
#[derive(Debug)]
pub(super) struct Recovery(Mutex<State>);

#[derive(Debug)]
enum State {
    /// Nothing is kept.
    Off,
    In(Store),
    /// With the process that has taken over.
    HandedOver,
}

impl Recovery {
    /// State is kept in `store`; without one, nothing is kept.
    pub(super) fn new(store: Option<Store>) -> Self {
        Self(Mutex::new(store.map_or(State::Off, State::In)))
    }

    /// Reads or changes the store, if there is one. Blocks on the disk.
    ///
    /// # Errors
    /// Those of `change`, or another process has taken over.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&Store) -> Result<(), ShuffleError>,
    ) -> Result<(), ShuffleError> {
        match &*self.state() {
            State::Off => Ok(()),
            State::In(store) => change(store),
            State::HandedOver => Err(ShuffleError::HandedOver),
        }
    }

    /// Closes the store, so that another process can open it. Later changes are refused.
    pub(super) fn hand_over(&self) {
        let mut state = self.state();
        if matches!(*state, State::In(_)) {
            *state = State::HandedOver;
        }
    }

    /// Whether another process has taken over.
    pub(super) fn is_handed_over(&self) -> bool {
        matches!(*self.state(), State::HandedOver)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
