//! Signs of life: when to ping, when a peer is dead, when a connection is idle.
//!
//! Everything received counts, by the bytes that the socket has moved: a receive of a whole body completes long
//! after its first bytes on a slow link. Pongs are no progress of a body. Time in which this side does not read
//! is not held against the peer.

use std::time::Duration;

use crate::error::CloseReason;
use crate::sys::driver::Moved;

/// State of a connection's socket and parser when its keepalive timer fires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketStatus {
    /// Bytes that the socket has moved so far, if the system reports them.
    pub(crate) moved: Option<Moved>,
    /// A frame has begun to arrive.
    pub(crate) within_a_frame: bool,
    /// The request or message of that frame, if the frame is a slice of a body.
    pub(crate) body_id: Option<u64>,
    /// This side does not read at present.
    pub(crate) stuck: bool,
    /// A send is in flight.
    pub(crate) sending: bool,
}

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimits {
    /// Silence after which the peer counts as dead, and idleness after which the connection is closed.
    pub(crate) connection_timeout: Duration,
    /// Time that a frame may stand still.
    pub(crate) progress_timeout: Duration,
    /// Idle connections are closed.
    pub(crate) close_idle: bool,
    /// The protocol has pings: a silent peer is a dead one even where no request to it is pending.
    pub(crate) has_pings: bool,
}

/// Work on a connection when its keepalive timer fires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Requests of this side that wait for an answer.
    pub(crate) outstanding: usize,
    /// Anything of the peer's without an answer, or anything to be sent.
    pub(crate) busy: bool,
    pub(crate) activity: Activity,
}

/// The action due when the keepalive timer has fired.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The peer is dead or does not read: close the connection for this reason.
    Close(CloseReason),
    /// Nothing has been asked for in the whole timeout: close after flushing.
    Idle { after: Duration },
    /// Sweep what stands still, ping if `ping`, and look again.
    Alive { ping: bool },
}

/// When something moved last, in ns of the shard's clock.
#[derive(Debug)]
pub(crate) struct Liveness {
    received_ns: u64,
    /// When bytes that wait to be sent moved last.
    sent_ns: u64,
    /// Bytes that the socket had moved at the last look.
    moved: Moved,
}

/// When requests travelled last, in ns of the shard's clock. A copy of two numbers, for the hot path writes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    request_ns: u64,
    /// 0 for never.
    rpc_ns: u64,
}

impl Activity {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            request_ns: now_ns,
            rpc_ns: 0,
        }
    }

    /// A request travels, in either direction.
    #[inline(always)]
    pub(crate) fn requested(&mut self, now_ns: u64) {
        self.request_ns = now_ns;
    }

    /// An RPC travels, in either direction.
    #[inline(always)]
    pub(crate) fn rpc(&mut self, now_ns: u64) {
        self.rpc_ns = now_ns;
    }

    /// Time since the last RPC.
    #[inline]
    pub(crate) fn since_rpc_ns(self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.rpc_ns)
    }
}

impl Liveness {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            received_ns: now_ns,
            sent_ns: now_ns,
            moved: Moved::default(),
        }
    }

    /// Bytes have come.
    #[inline]
    pub(crate) fn received(&mut self, now_ns: u64) {
        self.received_ns = now_ns;
    }

    /// Some bytes of a send have been moved.
    #[inline]
    pub(crate) fn sent(&mut self, now_ns: u64) {
        self.sent_ns = now_ns;
    }

    /// The keepalive timer has fired. `excused`: this side has not read, so nothing could come.
    pub(crate) fn check(
        &mut self,
        now_ns: u64,
        status: &SocketStatus,
        excused: bool,
        limits: &TimeLimits,
        load: Load,
    ) -> Verdict {
        self.look_at_socket(now_ns, status);
        if excused {
            self.received_ns = now_ns;
        }
        let since = |at: u64| Duration::from_nanos(now_ns.saturating_sub(at));
        let after = limits.connection_timeout;
        let silent = since(self.received_ns);
        let outstanding = load.outstanding;
        if silent >= after && (outstanding > 0 || limits.has_pings) {
            return Verdict::Close(CloseReason::Stalled { after, outstanding });
        }
        if status.within_a_frame && silent >= limits.progress_timeout {
            let after = limits.progress_timeout;
            return Verdict::Close(CloseReason::NoProgress { after });
        }
        if status.sending && since(self.sent_ns) >= after {
            return Verdict::Close(CloseReason::NotRead { after });
        }
        let unused = outstanding == 0 && !load.busy && since(load.activity.request_ns) >= after;
        if limits.close_idle && unused {
            return Verdict::Idle { after };
        }
        let ping = silent >= after / 2;
        Verdict::Alive { ping }
    }

    fn look_at_socket(&mut self, now_ns: u64, status: &SocketStatus) {
        if let Some(moved) = status.moved {
            let before = std::mem::replace(&mut self.moved, moved);
            if moved.received > before.received {
                self.received_ns = now_ns;
            }
            if moved.acknowledged > before.acknowledged {
                self.sent_ns = now_ns;
                // A peer that acknowledges bytes is alive. If nothing more is pending, an
                // acknowledgement proves little: the peer's kernel accepts some bytes for a hung
                // process.
                if moved.pending {
                    self.received_ns = now_ns;
                }
            }
        }
        if !status.sending {
            self.sent_ns = now_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    const QUIET: SocketStatus = SocketStatus {
        moved: None,
        within_a_frame: false,
        body_id: None,
        stuck: false,
        sending: false,
    };

    const IDLE: Load = Load {
        outstanding: 0,
        busy: false,
        activity: Activity {
            request_ns: 0,
            rpc_ns: 0,
        },
    };

    fn limits() -> TimeLimits {
        TimeLimits {
            connection_timeout: Duration::from_secs(40),
            progress_timeout: Duration::from_secs(10),
            close_idle: false,
            has_pings: true,
        }
    }

    fn check(alive: &mut Liveness, at_s: u64, status: SocketStatus, load: Load) -> Verdict {
        alive.check(at_s * SECOND, &status, status.stuck, &limits(), load)
    }

    #[test]
    fn half_of_the_timeout_is_pinged_and_the_whole_of_it_is_deadly() {
        let mut alive = Liveness::new(0);
        assert!(matches!(
            check(&mut alive, 19, QUIET, IDLE),
            Verdict::Alive { ping: false }
        ));
        assert!(matches!(
            check(&mut alive, 20, QUIET, IDLE),
            Verdict::Alive { ping: true }
        ));
        alive.received(25 * SECOND);
        assert!(matches!(
            check(&mut alive, 40, QUIET, IDLE),
            Verdict::Alive { ping: false }
        ));
        let dead = check(&mut alive, 65, QUIET, IDLE);
        assert!(matches!(
            dead,
            Verdict::Close(CloseReason::Stalled { outstanding: 0, .. })
        ));
    }

    #[test]
    fn bytes_count_where_the_socket_tells_of_them_and_time_without_reading_does_not() {
        let mut alive = Liveness::new(0);
        let came = |received| SocketStatus {
            moved: Some(Moved {
                received,
                ..Moved::default()
            }),
            ..QUIET
        };
        for at_s in [30, 60, 90] {
            assert!(matches!(
                check(&mut alive, at_s, came(at_s), IDLE),
                Verdict::Alive { .. }
            ));
        }
        let stuck = SocketStatus {
            stuck: true,
            ..came(90)
        };
        assert!(matches!(
            check(&mut alive, 900, stuck, IDLE),
            Verdict::Alive { ping: false }
        ));
        assert!(matches!(
            check(&mut alive, 940, came(90), IDLE),
            Verdict::Close(_)
        ));
    }

    #[test]
    fn a_frame_that_stands_still_and_a_peer_that_does_not_read_are_told_apart() {
        let mut alive = Liveness::new(0);
        let within = SocketStatus {
            within_a_frame: true,
            ..QUIET
        };
        assert!(matches!(
            check(&mut alive, 9, within, IDLE),
            Verdict::Alive { .. }
        ));
        let verdict = check(&mut alive, 10, within, IDLE);
        assert!(matches!(
            verdict,
            Verdict::Close(CloseReason::NoProgress { .. })
        ));
        let sending = SocketStatus {
            sending: true,
            ..QUIET
        };
        alive.received(45 * SECOND);
        let verdict = check(&mut alive, 50, sending, IDLE);
        assert!(matches!(
            verdict,
            Verdict::Close(CloseReason::NotRead { .. })
        ));
    }

    #[test]
    fn a_peer_without_pings_may_be_silent_while_nothing_is_asked_of_it() {
        let silent = TimeLimits {
            has_pings: false,
            close_idle: true,
            ..limits()
        };
        let waits = Load {
            outstanding: 1,
            ..IDLE
        };
        let busy = Load { busy: true, ..IDLE };
        let mut alive = Liveness::new(0);
        let mut at = |load| alive.check(41 * SECOND, &QUIET, false, &silent, load);
        assert!(matches!(at(busy), Verdict::Alive { .. }));
        assert!(matches!(at(IDLE), Verdict::Idle { .. }));
        assert!(matches!(
            at(waits),
            Verdict::Close(CloseReason::Stalled { outstanding: 1, .. })
        ));
    }
}
