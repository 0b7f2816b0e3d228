//! Periodic work: rates, and removal of executors whose directories are gone.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};

use super::metrics::TICK;
use super::service::Shared;

/// Ticks after which executors are looked through: ten minutes.
const LOOK_THROUGH_EVERY: u64 = 120;

/// A thread that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Housekeeping {
    _alive: SyncSender<()>,
}

impl Housekeeping {
    /// Starts the thread.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (alive, ended) = sync_channel::<()>(0);
        let shared = Arc::downgrade(shared);
        std::thread::Builder::new()
            .name(String::from("ringrail-keeper"))
            .spawn(move || {
                let mut ticks = 0;
                while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    ticks += 1;
                    tick(&shared, ticks);
                }
            })?;
        Ok(Self { _alive: alive })
    }
}

fn tick(shared: &Weak<Shared>, ticks: u64) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    shared.metrics.tick();
    if !ticks.is_multiple_of(LOOK_THROUGH_EVERY) || shared.recovery.is_handed_over() {
        return;
    }
    let executors = shared.executors.forget_gone(&shared.roots).map(|_| ());
    let merges = match &shared.merges {
        Some(merges) => merges.forget_gone(&shared.roots),
        None => Ok(()),
    };
    for error in [executors, merges].into_iter().filter_map(Result::err) {
        tracing::warn!(
            target: "ringrail::shuffle", %error, "what has no directory any more is kept in the store"
        );
    }
}
