//! The end of a dispatcher.

use std::rc::Rc;

use ringrail_codec::native::FailureCode;

use crate::rpc::error::{ENV_STOPPED, RpcError};

use super::{Dispatcher, current};

impl Dispatcher {
    /// An endpoint's `on_stop` has returned.
    pub(crate) fn inbox_ended(&self, serial: u64) {
        let ended = self.live.borrow_mut().remove(&serial);
        drop(ended);
        self.look_for_the_end();
    }

    fn look_for_the_end(&self) {
        if !self.live.borrow().is_empty() || !self.stopping.get() {
            return;
        }
        if self.then_end.get() {
            // Not from inside of its last inbox.
            self.handle.run(|dispatcher| dispatcher.end());
        }
        self.handle.set_quiet();
        self.env.termination.changed();
    }

    /// Stops every endpoint; when the last has ended, so does everything here if `then_end` says so,
    /// else the env is told.
    pub(crate) fn shut_down(self: &Rc<Self>, then_end: bool) {
        self.then_end.set(then_end);
        if self.stopping.replace(true) {
            return;
        }
        self.stop_outboxes();
        let inboxes: Vec<_> = self.live.borrow().values().cloned().collect();
        for inbox in &inboxes {
            inbox.stop(self);
        }
        self.look_for_the_end();
    }

    /// Ends every endpoint that has not ended by itself.
    pub(crate) fn abandon(self: &Rc<Self>) {
        self.stopping.set(true);
        let inboxes: Vec<_> = self.live.borrow().values().cloned().collect();
        for inbox in inboxes {
            inbox.abandon(self);
        }
        self.end();
    }

    /// Why what waits here is not handled any more: the env ends, or the supervised endpoint alone.
    pub(crate) fn cause_of_end(&self) -> RpcError {
        match self.env.is_stopped() {
            true => ENV_STOPPED,
            false => {
                let text = "the endpoint has panicked, and was stopped";
                RpcError::failure(FailureCode::NotFound, text)
            }
        }
    }

    fn end(self: &Rc<Self>) {
        if self.ended.replace(true) {
            return;
        }
        self.stop_outboxes();
        self.drop_stalled();
        let error = self.cause_of_end();
        self.each_table(|table| table.fail_all(&error));
        self.close_links();
        self.runnable.borrow_mut().clear();
        self.inboxes.clear();
        self.live.borrow_mut().clear();
        self.handle.close();
        current::leave(self);
        self.env.host_ended(&self.handle);
    }
}
