//! Paused connections: their next request waits for a resource that its handler fetches off the shard, such as
//! a file on a slow disk.
//!
//! ```text
//! get_chunk ─► Connection::pause ─► Err ─► held, before all that is held already
//!                   │
//!                   ▼ any thread                          shard
//!                 Pause, dropped ─► Command::Resume ─► get_chunk again, then the others in their order
//! ```

use std::fmt;
use std::rc::Rc;

use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::shard::local::ConnKey;

use super::Conn;

/// While it exists, its connection hands no requests to its handler. Made by
/// [`Connection::pause`](crate::Connection::pause).
///
/// Dropping it, on any thread, resumes the connection. It may outlive the connection.
#[must_use = "dropping it lets the connection go on at once"]
pub struct Pause {
    shard: ShardHandle,
    key: ConnKey,
}

impl Drop for Pause {
    fn drop(&mut self) {
        let key = self.key;
        self.shard.post_surely(Command::Resume { key });
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pause({:?})", self.key)
    }
}

impl Conn {
    /// Hands out no requests until the pause is dropped.
    pub(crate) fn pause(self: &Rc<Self>) -> Pause {
        let mut pauses = self.pauses.get();
        pauses.begin();
        self.pauses.set(pauses);
        Pause {
            shard: self.local.handle.clone(),
            key: self.key,
        }
    }

    /// A pause has ended.
    pub(crate) fn resume(&self) {
        let mut pauses = self.pauses.get();
        pauses.end();
        self.pauses.set(pauses);
        self.mark_dirty();
    }

    /// True while a pause exists.
    #[inline]
    pub(super) fn is_paused(&self) -> bool {
        self.pauses.get().is_paused()
    }
}
