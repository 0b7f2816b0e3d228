//! Answers to peers of other protocols on a port that serves Spark's alone, in the peer's own
//! protocol.

use ringrail_codec::spark::{STRAY_ANSWER_ROOM, Stray};

use crate::error::CloseReason;
use crate::metrics::ErrorKind;
use crate::shard::conn::Conn;

impl Conn {
    /// Tells a peer of another protocol that it has connected to the wrong port. Returns the close reason: for that,
    /// or the given one.
    #[cold]
    pub(in crate::shard::conn) fn meet_stray(&self, reason: CloseReason) -> CloseReason {
        let CloseReason::Spark(error) = &reason else {
            return reason;
        };
        // After an encrypting handshake, the peer's bytes reveal no protocol.
        if self.is_client || self.seals() {
            return reason;
        }
        let Some(stray) = Stray::of(error) else {
            return reason;
        };
        let metrics = &self.local.metrics;
        metrics.errors(ErrorKind::ForeignProtocol).increment();
        metrics.connections_refused.increment();
        let mut answer = [0; STRAY_ANSWER_ROOM];
        let len = stray.answer(&mut answer);
        let said = self.say(len, false, |out| {
            out[..len].copy_from_slice(&answer[..len]);
            Ok(len)
        });
        tracing::warn!(
            target: "ringrail::conn", peer = %self.peer, %stray, told = said.is_ok(), "connection refused"
        );
        CloseReason::Handshake(stray.to_string())
    }
}
