//! Keep-alive: when to ping, and when a peer is gone. The time comes in as microseconds of the caller's
//! monotonic clock.

use super::{Ping, Pong};

/// The most pings that a peer may send while the pongs for the earlier ones wait in the send queue.
pub const MAX_PENDING_PONGS: u32 = 16;

/// The result of [`KeepAlive::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAliveStep {
    /// Nothing to do before this moment.
    Wait {
        /// In microseconds of the caller's clock; `u64::MAX` for never.
        until_us: u64,
    },
    /// Send this ping.
    Ping(Ping),
    /// The peer has been silent for too long: close.
    Dead {
        /// For how long, in microseconds.
        silent_us: u64,
    },
}

/// Watches one connection for silence. Everything received counts as a sign of life, not only pongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    ping_after_us: u64,
    dead_after_us: u64,
    heard_us: u64,
    asked: Option<(u64, u64)>,
    next_opaque: u64,
}

impl KeepAlive {
    /// Pings after `ping_after_us` of silence and gives the peer up after `dead_after_us` of it; 0 turns
    /// either off. `now_us` is the moment of the handshake.
    pub const fn new(ping_after_us: u64, dead_after_us: u64, now_us: u64) -> Self {
        Self {
            ping_after_us: never_if_zero(ping_after_us),
            dead_after_us: never_if_zero(dead_after_us),
            heard_us: now_us,
            asked: None,
            next_opaque: 1,
        }
    }

    /// Something was received.
    #[inline]
    pub const fn on_receive(&mut self, now_us: u64) {
        self.heard_us = now_us;
    }

    /// A pong was received. Returns the round trip in microseconds if it answers the outstanding ping;
    /// an unexpected pong is ignored.
    pub const fn on_pong(&mut self, pong: &Pong, now_us: u64) -> Option<u64> {
        self.on_receive(now_us);
        match self.asked {
            Some((opaque, sent_us)) if opaque == pong.opaque => {
                self.asked = None;
                Some(now_us.saturating_sub(sent_us))
            }
            _ => None,
        }
    }

    /// The action that is due now. At most one ping is outstanding at a time.
    pub const fn poll(&mut self, now_us: u64) -> KeepAliveStep {
        let silent_us = now_us.saturating_sub(self.heard_us);
        if silent_us >= self.dead_after_us {
            return KeepAliveStep::Dead { silent_us };
        }
        if silent_us >= self.ping_after_us && !self.asked_since_heard() {
            let ping = Ping {
                opaque: self.next_opaque,
            };
            self.next_opaque = self.next_opaque.wrapping_add(1);
            self.asked = Some((ping.opaque, now_us));
            return KeepAliveStep::Ping(ping);
        }
        let wait_us = if self.asked_since_heard() || self.dead_after_us < self.ping_after_us {
            self.dead_after_us
        } else {
            self.ping_after_us
        };
        KeepAliveStep::Wait {
            until_us: self.heard_us.saturating_add(wait_us),
        }
    }

    /// Whether a ping was sent in the present silence.
    const fn asked_since_heard(&self) -> bool {
        matches!(self.asked, Some((_, sent_us)) if sent_us >= self.heard_us)
    }
}

const fn never_if_zero(us: u64) -> u64 {
    if us == 0 { u64::MAX } else { us }
}

/// Bounds the pongs that wait in the send queue, so that a peer that pings and never reads cannot fill it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PongDebt {
    pending: u32,
}

/// The peer pings without reading the answers. Fatal for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_PENDING_PONGS} pings whose pongs the peer has not read")]
pub struct PingFlood;

impl PongDebt {
    /// A ping has come. Returns the pong to queue.
    ///
    /// # Errors
    /// [`PingFlood`] beyond [`MAX_PENDING_PONGS`].
    pub const fn on_ping(&mut self, ping: &Ping) -> Result<Pong, PingFlood> {
        if self.pending >= MAX_PENDING_PONGS {
            return Err(PingFlood);
        }
        self.pending += 1;
        Ok(Pong {
            opaque: ping.opaque,
        })
    }

    /// A pong has left the send queue.
    pub const fn on_pong_sent(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }
}
