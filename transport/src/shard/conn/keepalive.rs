//! Keepalive: pings, dead peers, idle connections.

use std::rc::Rc;
use std::time::Duration;

use crate::error::CloseReason;
use crate::shard::local::TimerFor;

use super::Conn;
use super::progress::SocketStatus;

impl Conn {
    /// The keepalive timer fired: sends a ping, closes the connection of a dead peer, or closes an
    /// idle one.
    pub(crate) fn on_silence_timer(self: &Rc<Self>, sight: &SocketStatus) {
        if !self.is_open() {
            return;
        }
        self.note_moved(sight);
        let after = self.local.conf.connection_timeout;
        let now = self.local.now_ns();
        let since = |at: u64| Duration::from_nanos(now.saturating_sub(at));
        let silent = since(self.last_in_ns.get());
        let outstanding = self.calls.borrow().waiting();
        // A peer without pings in its protocol may be silent while no request to it is pending.
        if silent >= after && (outstanding > 0 || self.spark().is_none()) {
            self.close(CloseReason::Stalled { after, outstanding });
            return;
        }
        if let Some(reason) = self.standstill(sight) {
            return self.close(reason);
        }
        let unused = since(self.last_request_ns.get()) >= after
            && outstanding == 0
            && self.inbound.borrow().active == 0
            && self.tx.borrow().is_empty();
        if self.local.conf.close_idle && unused {
            self.close_after_flush(CloseReason::Idle { after });
            return;
        }
        self.sweep_overdue();
        self.sweep_stalled(sight);
        if silent >= after / 2 {
            self.control(&ringrail_codec::native::Ping { opaque: now }.header(), &[]);
        }
        self.arm_silence_timer();
    }

    pub(crate) fn arm_silence_timer(&self) {
        let conf = &self.local.conf;
        let every = conf.connection_timeout.min(conf.progress_timeout) / 4;
        let timer = self.local.set_timer(every, TimerFor::Silence(self.key));
        self.silence_timer.set(timer.map(|(key, _)| key));
    }
}
