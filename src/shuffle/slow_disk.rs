//! A disk that does not answer, for tests.

use std::sync::{Condvar, Mutex};

use rustix::io::Errno;

use super::roots::Wait;

/// Files whose path contains a text are not in memory, and reads of them block until they are
/// released.
#[derive(Debug, Default)]
pub(super) struct SlowDisk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stuck: Option<&'static str>,
    waiting: usize,
}

impl SlowDisk {
    /// Makes reads of files whose path contains `text` block; `None` releases all.
    pub(super) fn stick(&self, text: Option<&'static str>) {
        self.state.lock().unwrap().stuck = text;
        self.changed.notify_all();
    }

    /// Blocks until a thread waits for a stuck file.
    pub(super) fn until_somebody_waits(&self) {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_while(state, |state| state.waiting == 0);
        drop(waited.unwrap());
    }

    /// Every file lookup calls this.
    pub(super) fn pass(&self, path: &str, wait: Wait) -> Result<(), Errno> {
        let stuck = |state: &mut State| state.stuck.is_some_and(|text| path.contains(text));
        let mut state = self.state.lock().unwrap();
        if !stuck(&mut state) {
            return Ok(());
        }
        if wait == Wait::Never {
            return Err(Errno::AGAIN);
        }
        state.waiting += 1;
        self.changed.notify_all();
        self.changed.wait_while(state, stuck).unwrap().waiting -= 1;
        Ok(())
    }
}
