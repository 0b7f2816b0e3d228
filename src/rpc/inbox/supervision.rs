//! The treatment of a supervised endpoint of which a handler or hook panics.
//!
//! The inbox finds out when the handler has returned, and lets the endpoint go before anything else is handled:
//! what waits in the inbox is handled by the new one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::rpc::clock;
use crate::rpc::dispatcher::{AnyInbox, Dispatcher};
use crate::rpc::endpoint::RpcEndpoint;
use crate::rpc::supervision::{LONGEST_PAUSE, Supervision};
use crate::rpc::sync::thread;

use super::{Inbox, Phase};

/// The supervision of one endpoint.
pub(crate) struct Supervisor<E> {
    policy: Supervision,
    make: Box<dyn FnMut() -> E>,
    restarts: u32,
}

impl<E> Supervisor<E> {
    pub(crate) fn new(policy: Supervision, make: Box<dyn FnMut() -> E>) -> Self {
        Self {
            policy,
            make,
            restarts: 0,
        }
    }

    /// The pause before the next restart; `None` where the endpoint is to be stopped.
    fn next_pause(&mut self) -> Option<Duration> {
        let Supervision::Restart { at_most, pause } = self.policy else {
            return None;
        };
        if self.restarts >= at_most {
            return None;
        }
        let doubled = pause.saturating_mul(1 << self.restarts.min(16));
        self.restarts += 1;
        Some(doubled.min(LONGEST_PAUSE))
    }
}

impl<E: RpcEndpoint> Inbox<E> {
    /// Makes the endpoint anew after a pause, or stops it.
    #[cold]
    pub(super) fn supervise(&self, dispatcher: &Rc<Dispatcher>) {
        assert_eq!(self.phase.get(), Phase::Broken, "a handler has panicked");
        self.drop_endpoint();
        let mut supervisor = self.supervisor.borrow_mut();
        while let Some(supervisor) = supervisor.as_mut()
            && let Some(pause) = supervisor.next_pause()
            && !self.stopping.get()
            && self.pause(dispatcher, pause)
        {
            let (endpoint, restarts) = (&*self.face.text, supervisor.restarts);
            if let Ok(new) = catch_unwind(AssertUnwindSafe(&mut supervisor.make)) {
                tracing::warn!(target: "ringrail::rpc", endpoint, restarts, "an endpoint is restarted");
                *self.endpoint.borrow_mut() = Some(new);
                return self.phase.set(Phase::Starting);
            }
            tracing::error!(target: "ringrail::rpc", endpoint, restarts, "making the endpoint panicked");
        }
        drop(supervisor);
        let endpoint = &*self.face.text;
        tracing::error!(target: "ringrail::rpc", endpoint, "a handler panicked: the endpoint is stopped");
        dispatcher.env().registry.forget(self.id(), self.serial);
        self.phase.set(Phase::Ready);
        self.abandon(dispatcher);
        // Its thread ends with it, turns away what comes, and fails asks that waited.
        dispatcher.handle().run(|dispatcher| dispatcher.abandon());
    }

    /// Waits so long; false where the endpoint is stopped first, or its env. The thread is the endpoint's own.
    fn pause(&self, dispatcher: &Rc<Dispatcher>, pause: Duration) -> bool {
        let end_ns = clock::now_ns().saturating_add(clock::ns(pause));
        loop {
            // The code that stops it takes it from the registry, and wakes its thread.
            if dispatcher.env().registry.serial_of(self.id()) != Some(self.serial) {
                return false;
            }
            let left_ns = end_ns.saturating_sub(clock::now_ns());
            if left_ns == 0 {
                return true;
            }
            thread::park_timeout(Duration::from_nanos(left_ns));
        }
    }
}
