//! Keepalive: pings, dead peers, idle connections.

use std::rc::Rc;

use ringrail_codec::native::Ping;

use crate::conn::liveness::{Load, SocketStatus, TimeLimits, Verdict};
use crate::error::CloseReason;
use crate::shard::local::TimerFor;

use super::Conn;

impl Conn {
    /// The keepalive timer fired: sends a ping, closes the connection of a dead peer, or closes an
    /// idle one.
    pub(crate) fn on_keepalive_timer(self: &Rc<Self>, status: &SocketStatus) {
        if !self.is_open() {
            return;
        }
        let (conf, now_ns) = (&self.local.conf, self.local.now_ns());
        let excused = status.stuck || self.is_paused();
        if excused {
            self.inbound.borrow_mut().excuse(now_ns);
        }
        let limits = TimeLimits {
            connection_timeout: conf.connection_timeout,
            progress_timeout: conf.progress_timeout,
            close_idle: conf.close_idle,
            has_pings: self.wire().has_pings(),
        };
        let load = Load {
            outstanding: self.calls.borrow().waiting(),
            busy: self.inbound.borrow().active > 0 || !self.tx.borrow().is_empty(),
            activity: self.activity.get(),
        };
        let mut liveness = self.liveness.borrow_mut();
        let verdict = liveness.check(now_ns, status, excused, &limits, load);
        drop(liveness);
        match verdict {
            Verdict::Close(reason) => self.close(reason),
            Verdict::Idle { after } => self.close_after_flush(CloseReason::Idle { after }),
            Verdict::Alive { ping } => {
                self.sweep_overdue();
                self.sweep_stalled(status);
                if ping {
                    let ping = Ping { opaque: now_ns };
                    self.control(&ping.header(), &[]);
                }
                self.arm_keepalive_timer();
            }
        }
    }

    pub(crate) fn arm_keepalive_timer(&self) {
        let conf = &self.local.conf;
        let every = conf.connection_timeout.min(conf.progress_timeout) / 4;
        let timer = self.local.set_timer(every, TimerFor::Keepalive(self.key));
        self.keepalive_timer.set(timer.map(|(key, _)| key));
    }
}
