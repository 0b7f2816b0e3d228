//! Messages from this shard to others that a full inbox refused; retried in order.
//!
//! Replies, grants and cancellations must not be lost, and a shard must not block on another, which may
//! be blocked on it. So they are queued here, in order per destination shard, and retried every turn,
//! or after [`RETRY_NS`] if the shard sleeps. Beyond a bound the connection that a message belongs to
//! is closed instead, so that no waiter hangs: that requires only the connection's key.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::command::Command;
use super::handle::ShardHandle;
use super::inbox::PushError;
use super::local::ConnKey;

/// Interval of retries while the shard sleeps, in ns.
pub(super) const RETRY_NS: u64 = 1_000_000;

/// Messages for one shard, in their order.
struct Bag {
    to: ShardHandle,
    commands: VecDeque<Command>,
    /// Connections of that shard that have lost a message and must be closed.
    lost: BTreeSet<(u32, u32)>,
}

/// Messages for other shards, and connections there that have lost some.
#[derive(Default)]
pub(crate) struct RemoteOverflow {
    bags: HashMap<usize, Bag>,
    count: usize,
}

impl RemoteOverflow {
    /// True if no message waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bags.is_empty()
    }

    /// True if messages wait for that shard: later ones queue behind them.
    pub(crate) fn holds_for(&self, to: &ShardHandle) -> bool {
        !self.bags.is_empty() && self.bags.contains_key(&to.identity())
    }

    /// Queues a message; beyond `limit` of them, only the key of its connection. The message is then
    /// returned, to be dropped while nothing is borrowed, because its drop may send messages.
    #[must_use]
    pub(crate) fn keep(
        &mut self,
        to: &ShardHandle,
        command: Command,
        limit: usize,
    ) -> Option<Command> {
        let full = self.count >= limit;
        let bag = self.bags.entry(to.identity()).or_insert_with(|| Bag {
            to: to.clone(),
            commands: VecDeque::new(),
            lost: BTreeSet::new(),
        });
        match command.connection().filter(|_| full) {
            Some(key) => {
                bag.lost.insert((key.slot, key.generation));
                Some(command)
            }
            // Commands without a connection are rare: listeners, connects, shutdown.
            None => {
                bag.commands.push_back(command);
                self.count += 1;
                None
            }
        }
    }

    /// Posts the messages that fit now; true if there was one. Messages to shards that have ended are
    /// pushed on `dead`, to be dropped while nothing is borrowed.
    pub(crate) fn post(&mut self, dead: &mut Vec<Command>) -> bool {
        let mut posted = 0;
        self.bags.retain(|_, bag| {
            let before = bag.commands.len();
            bag.post(dead);
            posted += before - bag.commands.len();
            !bag.commands.is_empty() || !bag.lost.is_empty()
        });
        assert!(posted <= self.count, "more messages were posted than kept");
        self.count -= posted;
        assert!(
            !self.bags.is_empty() || self.count == 0,
            "{} messages are for nobody",
            self.count
        );
        posted > 0
    }
}

impl Bag {
    fn post(&mut self, dead: &mut Vec<Command>) {
        while let Some(command) = self.commands.pop_front() {
            match self.to.post(command) {
                Ok(()) => {}
                Err(PushError::Full(command)) => return self.commands.push_front(command),
                Err(PushError::Closed(command)) => dead.push(command),
            }
        }
        while let Some((slot, generation)) = self.lost.pop_first() {
            let key = ConnKey { slot, generation };
            tracing::warn!(
                target: "ringrail::shard", shard = self.to.index(),
                "a connection is closed: a message for it was lost, for its shard's inbox was full \
                 for long (ringrail.transport.inbox)"
            );
            if let Err(PushError::Full(_)) = self.to.post(Command::Close { key }) {
                self.lost.insert((slot, generation));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(id: u64) -> Command {
        let key = ConnKey {
            slot: id as u32 % 2,
            generation: 1,
        };
        Command::Grant { key, id, bytes: 1 }
    }

    fn ids(shard: &ShardHandle) -> Vec<u64> {
        std::iter::from_fn(|| shard.inbox().pop())
            .map(|command| match command {
                Command::Grant { id, .. } => id,
                Command::Close { key } => 1_000 + u64::from(key.slot),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn messages_keep_their_order_and_nothing_is_lost_in_silence() {
        let shard = ShardHandle::new(3, 2);
        let mut overflow = RemoteOverflow::default();
        for id in 0..4 {
            assert!(overflow.keep(&shard, grant(id), 4).is_none());
        }
        assert!(overflow.holds_for(&shard));
        // Beyond the bound: both connections lose messages, any number of them.
        for id in 4..1_000 {
            assert!(overflow.keep(&shard, grant(id), 4).is_some());
        }
        let mut seen = Vec::new();
        while !overflow.is_empty() {
            overflow.post(&mut Vec::new());
            seen.extend(ids(&shard));
        }
        assert_eq!(seen, [0, 1, 2, 3, 1_000, 1_001]);
        assert!(!overflow.holds_for(&shard) && overflow.count == 0);
    }

    #[test]
    fn messages_to_a_shard_that_has_ended_are_dropped() {
        let shard = ShardHandle::new(0, 2);
        let mut overflow = RemoteOverflow::default();
        assert!(overflow.keep(&shard, grant(1), 4).is_none());
        shard.inbox().close();
        let mut dead = Vec::new();
        overflow.post(&mut dead);
        assert!(overflow.is_empty() && dead.len() == 1);
    }
}
