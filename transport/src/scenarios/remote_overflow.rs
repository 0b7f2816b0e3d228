//! Messages between shards of which one does not take any.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::shard::command::Command;
use crate::shard::handle::Turn;
use crate::sys::sim::Faults;

use super::cluster::Cluster;
use super::settings;

const INBOX: usize = 4;

/// A message that does not fit waits with its shard, which sleeps meanwhile and tries again by timer;
/// messages keep their order.
#[test]
fn a_shard_whose_message_does_not_fit_sleeps_until_it_does() {
    let mut cluster = Cluster::simulated(1, Faults::default());
    let mut conf = settings::plain();
    conf.inbox = INBOX;
    cluster.add_shard(conf.clone());
    cluster.add_shard(conf);
    let to = cluster.shards[1].handle();
    let ran = Arc::new(AtomicU64::new(0));
    let number = Cell::new(0);
    let message = || {
        let (ran, expected) = (Arc::clone(&ran), number.replace(number.get() + 1));
        Command::Run(Box::new(move |_| {
            assert_eq!(ran.fetch_add(1, Ordering::Relaxed), expected, "in order");
        }))
    };
    for _ in 0..INBOX {
        assert!(to.post(message()).is_ok());
    }
    {
        let _turn = Turn::of(&cluster.shards[0].pump.local);
        for _ in 0..3 * INBOX {
            to.post_surely(message());
        }
    }
    let sender = &mut cluster.shards[0].pump;
    assert!(!sender.local.remote_overflow.borrow().is_empty());
    assert!(!sender.has_work(), "it does not stay awake for them");
    assert!(sender.next_timer().is_some(), "and looks after them again");
    cluster.until(|_| ran.load(Ordering::Relaxed) == 4 * INBOX as u64);
    assert!(
        cluster.shards[0]
            .pump
            .local
            .remote_overflow
            .borrow()
            .is_empty()
    );
    cluster.finish();
}
