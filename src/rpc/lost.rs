//! Messages that wanted no reply, were taken, and were not handled: who is told of them.
//!
//! `send` tells at once what it can know at once. What happens to a message later (its endpoint stops, its
//! connection is not to be had, the other side has no room) comes here: counted, logged at most once a second,
//! and given to the env's own listener.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clock;
use super::error::RpcError;

/// Between two lines of the log, in ns.
const LOG_EVERY_NS: u64 = 1_000_000_000;

/// A message that wanted no reply and is lost; see [`RpcEnvBuilder::on_lost`](super::RpcEnvBuilder::on_lost).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LostMessage {
    /// The endpoint that it was for, as a ref to it is printed; its name alone where a peer reports the loss.
    pub endpoint: Arc<str>,
    /// The name of its type.
    pub message: Arc<str>,
    /// Why it is lost.
    pub cause: RpcError,
}

impl LostMessage {
    pub(crate) fn new(
        endpoint: impl Into<Arc<str>>,
        message: impl Into<Arc<str>>,
        cause: RpcError,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            message: message.into(),
            cause,
        }
    }
}

impl fmt::Display for LostMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a {} for {} is lost: {}",
            self.message, self.endpoint, self.cause
        )
    }
}

/// Told of every lost message, on whichever thread finds it lost; must not block.
pub(crate) type LossListener = Arc<dyn Fn(&LostMessage) + Send + Sync>;

/// The losses of one env.
#[derive(Default)]
pub(crate) struct Losses {
    listener: Option<LossListener>,
    count: AtomicU64,
    /// Not in the log yet.
    unlogged: AtomicU64,
    next_log_ns: AtomicU64,
}

impl Losses {
    pub(crate) fn new(listener: Option<LossListener>) -> Self {
        Self {
            listener,
            ..Self::default()
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A message is lost.
    #[cold]
    pub(crate) fn note(&self, lost: &LostMessage) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let unlogged = self.unlogged.fetch_add(1, Ordering::Relaxed) + 1;
        let (now_ns, due_ns) = (clock::now_ns(), self.next_log_ns.load(Ordering::Relaxed));
        let order = Ordering::Relaxed;
        let next_ns = now_ns.saturating_add(LOG_EVERY_NS);
        let is_due = now_ns >= due_ns;
        if is_due
            && self
                .next_log_ns
                .compare_exchange(due_ns, next_ns, order, order)
                .is_ok()
        {
            self.unlogged.fetch_sub(unlogged, Ordering::Relaxed);
            tracing::warn!(target: "ringrail::rpc", count = unlogged, "{lost}");
        }
        if let Some(listener) = &self.listener {
            listener(lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn every_loss_is_counted_and_told() {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let of_listener = Arc::clone(&told);
        let losses = Losses::new(Some(Arc::new(move |lost: &LostMessage| {
            of_listener.lock().unwrap().push(lost.to_string());
        })));
        for n in 0..3 {
            losses.note(&LostMessage {
                endpoint: "counter".into(),
                message: format!("Add{n}").into(),
                cause: RpcError::OutboxStopped,
            });
        }
        assert_eq!(losses.count(), 3);
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 3);
        assert!(
            told[2].starts_with("a Add2 for counter is lost: "),
            "{told:?}"
        );
    }
}
